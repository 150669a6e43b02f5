-- What the store's queries are answered from: their order as indexes, and the hot window's summaries as views.

-- Pages of executions, newest start first, those that have not started before them.
CREATE INDEX workflow_executions_order ON workflow_executions (coalesce(started_at, 'infinity'::timestamptz), id)
    WHERE execution_kind = 'workflow';
CREATE INDEX workflow_executions_name ON workflow_executions (workflow_name);
CREATE INDEX workflow_executions_type ON workflow_executions (workflow_type);
CREATE INDEX execution_heads_pruned ON execution_heads (pruned_at) WHERE pruned_at IS NOT NULL;

-- Pages of the audit. Rows of one instant are few, and sorted as they are read: the keys that tell them apart would
-- make this, the one index that every event pays for, twice as large.
CREATE INDEX workflow_events_order ON workflow_events (week, occurred_at);

-- Pages of errors, which are rare: of one user, and of log entries those of level error.
CREATE INDEX workflow_failed_events_user ON workflow_failed_events (user_id, week, occurred_at);
CREATE INDEX workflow_timed_out_events_user ON workflow_timed_out_events (user_id, week, occurred_at);
CREATE INDEX execution_aborted_events_user ON execution_aborted_events (user_id, week, occurred_at);
CREATE INDEX log_recorded_events_error ON log_recorded_events (week, occurred_at) WHERE log_level = 'error';
CREATE INDEX log_recorded_events_error_user ON log_recorded_events (user_id, week, occurred_at)
    WHERE log_level = 'error';

CREATE VIEW user_workflow_summary WITH (security_invoker = true) AS
SELECT
    x.user_id,
    count(*) AS total_executions,
    count(*) FILTER (WHERE x.status = 'running') AS running_executions,
    count(*) FILTER (WHERE x.status = 'completed') AS successful_executions,
    count(*) FILTER (WHERE x.status IN ('failed', 'aborted', 'timeout')) AS failed_executions,
    sum(x.total_cost) AS total_cost,
    sum(x.estimated_cost) AS estimated_cost,
    sum(x.spent_tokens)::bigint AS total_tokens,
    sum(h.last_sequence)::bigint AS total_audit_logs,
    -- Boundaries of milliseconds between the two times, and towards zero, as the mart counts and divides.
    div(
        sum(floor(extract(epoch FROM x.ended_at) * 1000) - floor(extract(epoch FROM x.started_at) * 1000)),
        nullif(count(*) FILTER (WHERE x.started_at IS NOT NULL AND x.ended_at IS NOT NULL), 0)
    )::bigint AS average_execution_time_ms,
    -- The event's time: of an import of history, the row was made long after the execution.
    max(coalesce(c.occurred_at, x.started_at)) AS last_execution_at
FROM workflow_executions x
JOIN execution_heads h ON h.id = x.id
LEFT JOIN workflow_events c ON c.execution_id = x.id AND c.event_type = 'WorkflowCreated'
WHERE x.execution_kind = 'workflow' AND x.user_id IS NOT NULL
GROUP BY x.user_id;
COMMENT ON VIEW user_workflow_summary IS
    'What each user''s workflows did and spent. Covers the hot window: executions that were not pruned. The mart of the same name covers all history.';

CREATE VIEW daily_cost_summary WITH (security_invoker = true) AS
SELECT
    e.user_id,
    (e.occurred_at AT TIME ZONE 'UTC')::date AS date,
    e.model,
    count(*) AS calls,
    sum(
        e.input_tokens + e.cache_read_tokens + e.cache_write_5m_tokens + e.cache_write_1h_tokens + e.output_tokens
        + e.reasoning_tokens + e.input_audio_tokens + e.cache_audio_read_tokens + e.output_audio_tokens
        + e.input_image_tokens + e.output_image_tokens
    )::bigint AS total_tokens,
    sum(e.cost_usd) AS cost_usd,
    sum(e.estimated_cost_usd) AS estimated_cost_usd
FROM workflow_events e
WHERE e.event_type = 'TokensUpdated' AND e.execution_kind = 'workflow'
GROUP BY e.user_id, (e.occurred_at AT TIME ZONE 'UTC')::date, e.model;
COMMENT ON VIEW daily_cost_summary IS
    'What each user spent on each model, per UTC day. Covers the hot window: events that were not rolled to cold storage. The mart of the same name covers all history.';

GRANT SELECT ON user_workflow_summary, daily_cost_summary TO ledger_reader, ledger_application, ledger_archiver;
