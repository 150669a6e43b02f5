-- The same of those that the hot store no longer has; only ended executions are pruned.
SELECT
    count(*) AS total_executions,
    count(*) FILTER (WHERE status = 'running') AS running_executions,
    count(*) FILTER (WHERE status = 'completed') AS successful_executions,
    count(*) FILTER (WHERE status IN ('failed', 'aborted', 'timeout')) AS failed_executions,
    coalesce(sum(total_cost), 0) AS total_cost,
    CAST(coalesce(sum(spent_tokens), 0) AS BIGINT) AS total_tokens,
    CAST(coalesce(sum(event_count), 0) AS BIGINT) AS total_audit_logs,
    count(duration_ms) AS timed_executions,
    CAST(coalesce(sum(duration_ms), 0) AS BIGINT) AS total_time_ms
FROM marts.executions
WHERE user_id = $user AND ended_at IS NOT NULL
    AND execution_id NOT IN (SELECT unnest($hot::UUID[]))
