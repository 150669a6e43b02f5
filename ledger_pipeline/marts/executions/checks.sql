-- by key: Every workflow execution that was created has its row.
SELECT created.execution_id
FROM staging.events AS created
LEFT JOIN marts.executions AS execution ON created.execution_id = execution.execution_id
WHERE created.event_type = 'WorkflowCreated' AND created.execution_kind = 'workflow' AND execution.execution_id IS NULL;

-- Cost and tokens of all executions are those of all their model calls.
SELECT execution.total_cost, execution.spent_tokens, usage.total_cost AS usage_cost, usage.spent_tokens AS usage_tokens
FROM (
    SELECT coalesce(sum(total_cost), 0) AS total_cost, coalesce(sum(spent_tokens), 0) AS spent_tokens
    FROM marts.executions
) AS execution
CROSS JOIN (
    SELECT coalesce(sum(cost_usd), 0) AS total_cost, coalesce(sum(total_tokens), 0) AS spent_tokens
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
) AS usage
WHERE execution.total_cost <> usage.total_cost OR execution.spent_tokens <> usage.spent_tokens;

-- by key: An execution that ended has its time of ending, one that did not has none.
SELECT execution_id, status, ended_at
FROM marts.executions
WHERE (status IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')) <> (ended_at IS NOT NULL);
