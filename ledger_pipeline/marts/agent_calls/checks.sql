-- by key: Every dispatch of a workflow execution opened one call.
SELECT dispatched.execution_id, dispatched.call_id
FROM staging.events AS dispatched
LEFT JOIN marts.agent_calls AS call
    ON dispatched.call_id = call.call_id AND dispatched.execution_id = call.execution_id
WHERE
    dispatched.event_type = 'StepDispatched'
    AND dispatched.execution_kind = 'workflow'
    AND call.call_id IS NULL;

-- No call runs on in an execution that ended.
SELECT call.call_id, call.status, execution.status AS execution_status
FROM marts.agent_calls AS call
INNER JOIN marts.executions AS execution ON call.execution_id = execution.execution_id
WHERE call.status = 'running' AND execution.ended_at IS NOT NULL;
