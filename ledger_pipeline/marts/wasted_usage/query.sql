-- Model calls that came to nothing: of executions that ended without completing, else of attempts that failed.
SELECT
    usage.execution_id,
    usage.sequence,
    usage.occurred_at,
    usage.day,
    usage.week,
    usage.month,
    CASE
        WHEN execution.status = 'failed' THEN 'execution_failed'
        WHEN execution.status = 'aborted' THEN 'execution_aborted'
        WHEN execution.status = 'timeout' THEN 'execution_timed_out'
        WHEN execution.status = 'cancelled' THEN 'execution_cancelled'
        WHEN usage.attempt < step.attempt THEN 'attempt_repeated'
        ELSE 'step_failed'
    END AS reason,
    coalesce(call.error_code, execution.error_code) AS error_code,
    coalesce(call.error_message, execution.error_message) AS error_message,
    usage.workflow_name,
    usage.workflow_type,
    usage.template_id,
    usage.template_version,
    usage.mode,
    usage.drive_id,
    usage.customer_id,
    usage.user_id,
    usage.agent_id,
    usage.agent_name,
    usage.step_id,
    usage.step_name,
    usage.call_id,
    usage.attempt,
    usage.provider,
    usage.model,
    usage.total_tokens,
    usage.cost_usd,
    usage.estimated_cost_usd,
    usage.corrected_cost_usd,
    usage.corrected_estimate_usd
FROM marts.model_usage AS usage
INNER JOIN marts.executions AS execution ON usage.execution_id = execution.execution_id
LEFT JOIN marts.steps AS step ON usage.execution_id = step.execution_id AND usage.step_id = step.step_id
LEFT JOIN marts.agent_calls AS call ON usage.execution_id = call.execution_id AND usage.call_id = call.call_id
WHERE
    execution.status IN ('failed', 'aborted', 'timeout', 'cancelled')
    OR usage.attempt < step.attempt
    OR call.status = 'failed'
