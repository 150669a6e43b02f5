-- What each user's workflows did and spent.
SELECT
    user_id,
    count(*) AS total_executions,
    count(*) FILTER (WHERE status = 'running') AS running_executions,
    count(*) FILTER (WHERE status = 'completed') AS successful_executions,
    count(*) FILTER (WHERE status IN ('failed', 'aborted', 'timeout')) AS failed_executions,
    sum(total_cost) AS total_cost,
    sum(estimated_cost) AS estimated_cost,
    CAST(sum(spent_tokens) AS BIGINT) AS total_tokens,
    CAST(sum(event_count) AS BIGINT) AS total_audit_logs,
    CAST(sum(duration_ms) // count(duration_ms) AS BIGINT) AS average_execution_time_ms,
    max(created_at) AS last_execution_at
FROM marts.executions
WHERE user_id IS NOT NULL
GROUP BY user_id
