-- Executions and calls that run longer than they may. The limits are free JSON: what is no sensible number limits nothing.
WITH running AS (
    SELECT
        x.id AS execution_id, x.workflow_name, x.started_at,
        CASE WHEN jsonb_typeof(x.metadata #> '{definition,timeout_minutes}') = 'number'
            THEN least((x.metadata #>> '{definition,timeout_minutes}')::numeric, 1e7) * 60 END AS limit_seconds
    FROM workflow_executions x
    WHERE x.status IN ('running', 'paused') AND x.execution_kind = 'workflow'
),
executions_overdue AS (
    SELECT
        r.execution_id, r.workflow_name, NULL::text AS step_name, NULL::uuid AS call_id, r.started_at AS since,
        r.limit_seconds
    FROM running r
    WHERE r.limit_seconds > 0 AND r.started_at + make_interval(secs => r.limit_seconds::float) < %(now)s
),
calls AS (
    SELECT
        s.execution_id, x.workflow_name, s.step_name, c.id AS call_id, c.started_at,
        CASE WHEN jsonb_typeof(s.step_config -> 'timeout_seconds') = 'number'
            THEN least((s.step_config ->> 'timeout_seconds')::numeric, 1e9) END AS limit_seconds
    FROM workflow_steps s
    JOIN executions c ON c.execution_id = s.execution_id AND c.step_id = s.id AND c.status = 'running'
    JOIN workflow_executions x ON x.id = s.execution_id
    WHERE s.status = 'running'
        AND NOT EXISTS (SELECT FROM executions_overdue o WHERE o.execution_id = s.execution_id)
)
SELECT o.execution_id, o.workflow_name, o.step_name, o.call_id, o.since, o.limit_seconds::bigint AS limit_seconds
FROM (
    SELECT * FROM executions_overdue
    UNION ALL
    SELECT c.execution_id, c.workflow_name, c.step_name, c.call_id, c.started_at, c.limit_seconds
    FROM calls c
    WHERE c.limit_seconds > 0 AND c.started_at + make_interval(secs => c.limit_seconds::float) < %(now)s
) o
ORDER BY o.call_id IS NOT NULL, o.since + make_interval(secs => o.limit_seconds::float), o.execution_id, o.call_id
LIMIT %(most)s
