-- One row an event, with one line that says what happened.
SELECT
    event_id,
    execution_id,
    sequence,
    event_type,
    event_version,
    occurred_at,
    recorded_at,
    day,
    week,
    epoch,
    tx,
    execution_kind,
    workflow_name,
    workflow_type,
    template_id,
    template_version,
    mode,
    drive_id,
    customer_id,
    user_id,
    agent_id,
    agent_name,
    operator_id,
    operator_kind,
    step_id,
    step_name,
    call_id,
    attempt,
    source,
    source_file,
    source_line,
    CASE event_type
        WHEN 'WorkflowCreated' THEN 'Created' || coalesce(' by ' || triggered_by, '')
        WHEN 'WorkflowStarted' THEN 'Started'
        WHEN 'WorkflowPaused' THEN 'Paused' || coalesce(': ' || reason, '')
        WHEN 'WorkflowResumed' THEN 'Resumed' || coalesce(': ' || reason, '')
        WHEN 'WorkflowCompleted' THEN 'Completed'
        WHEN 'WorkflowFailed' THEN 'Failed: ' || error_message
        WHEN 'WorkflowCancelled' THEN 'Cancelled' || coalesce(': ' || reason, '')
        WHEN 'WorkflowTimedOut' THEN 'Timed out' || coalesce(': ' || reason, '')
        WHEN 'ExecutionAborted' THEN 'Aborted' || coalesce(': ' || reason, '')
        WHEN 'StepDispatched' THEN 'Dispatched ' || coalesce(step_name, 'step') || coalesce(' with ' || tool_name, '')
        WHEN 'StepCompleted' THEN 'Completed ' || coalesce(step_name, 'step')
        WHEN 'StepFailed' THEN 'Failed ' || coalesce(step_name, 'step') || ': ' || error_message
        WHEN 'StepRetried'
            THEN 'Retries ' || coalesce(step_name, 'step') || ', attempt ' || CAST(next_attempt AS VARCHAR)
        WHEN 'StepSkipped' THEN 'Skipped ' || coalesce(step_name, 'step') || coalesce(': ' || reason, '')
        WHEN 'BranchTaken'
            THEN 'Branch ' || branch_condition || ': ' || branch_result || coalesce(', to ' || branch_target, '')
        WHEN 'IterationStarted'
            THEN 'Iteration ' || CAST(iteration_index AS VARCHAR) || ' of ' || coalesce(step_name, 'step')
        WHEN 'ChildExecutionLinked' THEN 'Runs as execution ' || CAST(child_execution_id AS VARCHAR)
        WHEN 'InputRequested' THEN 'Asked for input' || coalesce(': ' || prompt, '')
        WHEN 'InputReceived' THEN 'Got the input'
        WHEN 'ApprovalRequested'
            THEN 'Asked for approval' || coalesce(' by ' || requested_from, '') || ': ' || approval_subject
        WHEN 'ApprovalApplied'
            THEN decision || ' by ' || coalesce(operator_id, 'unknown') || coalesce(': ' || decision_comment, '')
        WHEN 'TokensUpdated'
            THEN 'Used ' || model || coalesce(
                ' for $' || CAST(cost_usd AS VARCHAR), ', unpriced' || coalesce(': ' || unpriced_reason, '')
            )
        WHEN 'CostRecalculated'
            THEN 'Corrected call ' || model_call_id || ' by $' || CAST(difference_usd AS VARCHAR) || ': ' || reason
        WHEN 'BudgetExceeded'
            THEN budget_scope || ' budget' || coalesce(' of $' || CAST(limit_usd AS VARCHAR), '')
            || coalesce(' of ' || CAST(limit_tokens AS VARCHAR) || ' tokens', '')
            || ' reached ' || CAST(threshold_percent AS VARCHAR) || ' %'
        WHEN 'ContextUpdated' THEN 'Updated the context'
        WHEN 'ArtifactRecorded' THEN 'Recorded ' || artifact_type || ' ' || artifact_name
        WHEN 'LogRecorded' THEN log_level || ': ' || message
        ELSE event_type
    END AS summary,
    lower(hex(leaf)) AS leaf,
    lower(hex(hash)) AS hash,
    proof_positions.checkpoint,
    proof_positions.batch_index,
    proof_positions.tree_index
FROM staging.events
LEFT JOIN staging.proof_positions USING (execution_id, sequence)
