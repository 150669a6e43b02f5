-- One row an agent call: one attempt of an agent or tool at a step, with the usage that named it.
WITH closings AS (
    SELECT execution_id, call_id, event_type, occurred_at, error_code, error_message
    FROM staging.events
    WHERE event_type IN ('StepCompleted', 'StepFailed')
),

unfinished_ends AS (
    SELECT execution_id, occurred_at
    FROM staging.events
    WHERE event_type IN ('WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted')
),

usage AS (
    SELECT
        execution_id,
        call_id,
        count(*) AS model_calls,
        max_by(model, sequence) AS model,
        CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
        CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
        CAST(sum(
            input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens
            + reasoning_tokens + input_audio_tokens + cache_audio_read_tokens + output_audio_tokens
            + input_image_tokens + output_image_tokens
        ) AS BIGINT) AS spent_tokens,
        coalesce(sum(cost_usd), CAST(0 AS DECIMAL(38, 12))) AS total_cost,
        coalesce(sum(estimated_cost_usd), CAST(0 AS DECIMAL(38, 12))) AS estimated_cost
    FROM staging.events
    WHERE event_type = 'TokensUpdated' AND call_id IS NOT NULL
    GROUP BY execution_id, call_id
),

approvals AS (
    SELECT execution_id, call_id, max_by(operator_id, sequence) AS approved_by
    FROM staging.events
    WHERE
        event_type = 'ApprovalApplied' AND decision = 'approved' AND operator_id IS NOT NULL AND call_id IS NOT NULL
    GROUP BY execution_id, call_id
)

SELECT
    opened.call_id,
    opened.execution_id,
    opened.step_id,
    opened.step_name,
    opened.agent_id,
    opened.agent_name,
    opened.workflow_name,
    opened.workflow_type,
    opened.mode,
    opened.drive_id,
    opened.customer_id,
    opened.user_id,
    opened.tool_name,
    coalesce(opened.attempt, 1) AS attempt,
    CASE
        WHEN closings.event_type = 'StepCompleted' THEN 'completed'
        WHEN closings.event_type = 'StepFailed' THEN 'failed'
        WHEN unfinished_ends.execution_id IS NOT NULL THEN 'aborted'
        ELSE 'running'
    END AS status,
    usage.model,
    coalesce(usage.model_calls, 0) AS model_calls,
    coalesce(usage.input_tokens, 0) AS input_tokens,
    coalesce(usage.output_tokens, 0) AS output_tokens,
    coalesce(usage.spent_tokens, 0) AS spent_tokens,
    coalesce(usage.total_cost, CAST(0 AS DECIMAL(38, 12))) AS total_cost,
    coalesce(usage.estimated_cost, CAST(0 AS DECIMAL(38, 12))) AS estimated_cost,
    opened.operator_id AS triggered_by,
    approvals.approved_by,
    closings.error_code,
    closings.error_message,
    opened.occurred_at AS started_at,
    coalesce(closings.occurred_at, unfinished_ends.occurred_at) AS ended_at,
    date_diff('millisecond', opened.occurred_at, coalesce(closings.occurred_at, unfinished_ends.occurred_at))
        AS duration_ms,
    opened.day,
    opened.week
FROM staging.events AS opened
LEFT JOIN closings ON opened.execution_id = closings.execution_id AND opened.call_id = closings.call_id
LEFT JOIN unfinished_ends ON opened.execution_id = unfinished_ends.execution_id
LEFT JOIN usage ON opened.execution_id = usage.execution_id AND opened.call_id = usage.call_id
LEFT JOIN approvals ON opened.execution_id = approvals.execution_id AND opened.call_id = approvals.call_id
WHERE opened.event_type = 'StepDispatched' AND opened.execution_kind = 'workflow'
