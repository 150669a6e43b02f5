-- What the user's executions that are not pruned did and spent.
SELECT
    count(*) AS total_executions,
    count(*) FILTER (WHERE x.status = 'running') AS running_executions,
    count(*) FILTER (WHERE x.status = 'completed') AS successful_executions,
    count(*) FILTER (WHERE x.status IN ('failed', 'aborted', 'timeout')) AS failed_executions,
    coalesce(sum(x.total_cost), 0::numeric(38, 12)) AS total_cost,
    coalesce(sum(x.spent_tokens), 0)::bigint AS total_tokens,
    -- Looked up one by one: a join would read the heads of everybody's executions.
    coalesce(sum((SELECT h.last_sequence FROM execution_heads h WHERE h.id = x.id)), 0)::bigint AS total_audit_logs,
    count(*) FILTER (WHERE x.started_at IS NOT NULL AND x.ended_at IS NOT NULL) AS timed_executions,
    -- Boundaries of milliseconds between the two times, as the marts count them.
    coalesce(sum(
        floor(extract(epoch FROM x.ended_at) * 1000) - floor(extract(epoch FROM x.started_at) * 1000)
    ), 0)::bigint AS total_time_ms
FROM workflow_executions x
WHERE x.user_id = %(user)s AND x.execution_kind = 'workflow'
