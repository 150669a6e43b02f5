-- One row a workflow execution, in the state that its events leave it in.
WITH history AS (
    SELECT
        execution_id,
        max(sequence) AS event_count,
        max(occurred_at) AS latest_occurred_at,
        max(recorded_at) AS latest_recorded_at,
        max_by(event_type, sequence) FILTER (
            WHERE event_type IN (
                'WorkflowCreated', 'WorkflowStarted', 'WorkflowPaused', 'WorkflowResumed', 'InputRequested',
                'InputReceived', 'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut',
                'ExecutionAborted'
            )
        ) AS last_move,
        max_by(occurred_at, sequence) FILTER (WHERE event_type = 'WorkflowStarted') AS started_at,
        max_by(occurred_at, sequence) FILTER (WHERE event_type IN ('WorkflowPaused', 'InputRequested')) AS paused_at,
        max_by(occurred_at, sequence) FILTER (WHERE event_type IN ('WorkflowResumed', 'InputReceived')) AS resumed_at,
        max(occurred_at) FILTER (WHERE event_type = 'WorkflowCompleted') AS completed_at,
        max(occurred_at) FILTER (WHERE event_type = 'WorkflowFailed') AS failed_at,
        max(occurred_at) FILTER (WHERE event_type = 'WorkflowCancelled') AS cancelled_at,
        max(occurred_at) FILTER (WHERE event_type = 'WorkflowTimedOut') AS timed_out_at,
        max(occurred_at) FILTER (WHERE event_type = 'ExecutionAborted') AS aborted_at,
        max(error_code) FILTER (WHERE event_type = 'WorkflowFailed') AS error_code,
        max(coalesce(error_message, reason)) FILTER (
            WHERE event_type IN ('WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted')
        ) AS error_message,
        max_by(step_id, sequence) FILTER (WHERE event_type = 'StepDispatched') AS current_step_id,
        count(*) FILTER (WHERE event_type = 'StepDispatched') AS agent_calls,
        count(*) FILTER (WHERE event_type = 'StepRetried') AS retries,
        count(*) FILTER (WHERE event_type = 'ApprovalRequested')
        - count(DISTINCT approval_id) FILTER (WHERE event_type = 'ApprovalApplied') AS approvals_pending,
        max_by(operator_id, sequence) FILTER (
            WHERE event_type = 'ApprovalApplied' AND decision = 'approved' AND operator_id IS NOT NULL
        ) AS approved_by,
        count(*) FILTER (WHERE event_type = 'TokensUpdated') AS model_calls,
        coalesce(sum(cost_usd), CAST(0 AS DECIMAL(38, 12))) AS total_cost,
        coalesce(sum(estimated_cost_usd), CAST(0 AS DECIMAL(38, 12))) AS estimated_cost,
        CAST(coalesce(sum(
            input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens
            + reasoning_tokens + input_audio_tokens + cache_audio_read_tokens + output_audio_tokens
            + input_image_tokens + output_image_tokens
        ), 0) AS BIGINT) AS spent_tokens,
        count(*) FILTER (WHERE event_type = 'LogRecorded' AND log_level = 'error') AS log_errors,
        count(*) FILTER (WHERE event_type = 'ArtifactRecorded') AS artifacts,
        count(*) FILTER (WHERE event_type = 'BudgetExceeded') AS budget_breaches
    FROM staging.events
    WHERE execution_kind = 'workflow'
    GROUP BY execution_id
),

progress AS (
    SELECT
        execution_id,
        count(*) FILTER (WHERE parent_step_id IS NULL) AS total_steps,
        count(*) FILTER (WHERE parent_step_id IS NULL AND status IN ('completed', 'skipped')) AS steps_done
    FROM marts.steps
    GROUP BY execution_id
)

SELECT
    created.execution_id,
    created.workflow_name,
    created.workflow_type,
    created.template_id,
    created.template_version,
    created.mode,
    created.drive_id,
    created.customer_id,
    created.user_id,
    created.agent_id,
    created.agent_name,
    CASE history.last_move
        WHEN 'WorkflowCreated' THEN 'pending'
        WHEN 'WorkflowPaused' THEN 'paused'
        WHEN 'InputRequested' THEN 'paused'
        WHEN 'WorkflowCompleted' THEN 'completed'
        WHEN 'WorkflowFailed' THEN 'failed'
        WHEN 'WorkflowCancelled' THEN 'cancelled'
        WHEN 'WorkflowTimedOut' THEN 'timeout'
        WHEN 'ExecutionAborted' THEN 'aborted'
        ELSE 'running'
    END AS status,
    created.retry_of,
    created.parent_execution_id,
    created.parent_step_id,
    created.triggered_by,
    created.triggered_by_kind,
    history.approved_by,
    coalesce(progress.total_steps, 0) AS total_steps,
    coalesce(progress.steps_done, 0) AS steps_done,
    CASE
        WHEN history.last_move = 'WorkflowCompleted' THEN CAST(100 AS DECIMAL(5, 2))
        WHEN coalesce(progress.total_steps, 0) = 0 THEN CAST(0 AS DECIMAL(5, 2))
        -- Hundredths of a percent, half up, in integers.
        ELSE CAST(
            CAST((20000 * progress.steps_done + progress.total_steps) // (2 * progress.total_steps) AS DECIMAL(9, 0))
            * CAST(0.01 AS DECIMAL(3, 2)) AS DECIMAL(5, 2)
        )
    END AS progress_percentage,
    history.current_step_id,
    current_step.step_order AS current_step_order,
    history.approvals_pending,
    history.agent_calls,
    history.retries,
    history.model_calls,
    history.spent_tokens,
    history.total_cost,
    history.estimated_cost,
    created.budget_usd,
    created.budget_tokens,
    history.budget_breaches,
    history.log_errors,
    history.artifacts,
    history.event_count,
    history.error_code,
    history.error_message,
    created.occurred_at AS created_at,
    history.started_at,
    history.paused_at,
    history.resumed_at,
    history.completed_at,
    history.failed_at,
    history.cancelled_at,
    history.aborted_at,
    history.timed_out_at,
    coalesce(
        history.completed_at, history.failed_at, history.cancelled_at, history.aborted_at, history.timed_out_at
    ) AS ended_at,
    history.latest_occurred_at,
    history.latest_recorded_at,
    date_diff(
        'millisecond',
        history.started_at,
        coalesce(
            history.completed_at, history.failed_at, history.cancelled_at, history.aborted_at, history.timed_out_at
        )
    ) AS duration_ms,
    created.day,
    created.week,
    created.month,
    created.source
FROM staging.events AS created
INNER JOIN history ON created.execution_id = history.execution_id
LEFT JOIN progress ON created.execution_id = progress.execution_id
LEFT JOIN marts.steps AS current_step
    ON history.current_step_id = current_step.step_id AND history.execution_id = current_step.execution_id
WHERE created.event_type = 'WorkflowCreated' AND created.execution_kind = 'workflow'
