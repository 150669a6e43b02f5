-- One row a position of an execution, in the state that its events and the execution's end leave it in.
WITH ends AS (
    SELECT execution_id, event_type, occurred_at
    FROM staging.events
    WHERE event_type IN (
        'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted'
    )
),

step_moves AS (
    SELECT
        execution_id,
        step_id,
        max_by(event_type, sequence) AS last_move,
        max_by(occurred_at, sequence) AS last_moved_at,
        min_by(occurred_at, sequence) FILTER (WHERE event_type = 'StepDispatched') AS started_at,
        max(next_attempt) AS attempt,
        count(*) FILTER (WHERE event_type = 'StepDispatched') AS agent_calls,
        -- No stored text is empty, so an empty one can stand for NULL, which max_by may pass over.
        max_by(coalesce(tool_name, ''), sequence) FILTER (WHERE event_type = 'StepDispatched') AS tool_name,
        max(sequence) FILTER (WHERE event_type = 'StepFailed') AS failed_sequence,
        max(sequence) FILTER (WHERE event_type = 'StepCompleted') AS completed_sequence,
        max_by(error_message, sequence) FILTER (WHERE event_type = 'StepFailed') AS error_message,
        max_by(coalesce(error_code, ''), sequence) FILTER (WHERE event_type = 'StepFailed') AS error_code
    FROM staging.events
    WHERE event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped')
    GROUP BY execution_id, step_id
),

children AS (
    SELECT execution_id, step_id, max_by(child_execution_id, sequence) AS child_execution_id
    FROM staging.events
    WHERE event_type = 'ChildExecutionLinked'
    GROUP BY execution_id, step_id
),

moved AS (
    SELECT
        plan.*,
        move.started_at,
        coalesce(move.attempt, 1) AS attempt,
        coalesce(move.agent_calls, 0) AS agent_calls,
        nullif(move.tool_name, '') AS tool_name,
        CASE
            WHEN move.failed_sequence > coalesce(move.completed_sequence, 0) THEN move.error_message
        END AS error_message,
        CASE
            WHEN move.failed_sequence > coalesce(move.completed_sequence, 0) THEN nullif(move.error_code, '')
        END AS error_code,
        CASE move.last_move
            WHEN 'StepDispatched' THEN 'running'
            WHEN 'StepCompleted' THEN 'completed'
            WHEN 'StepFailed' THEN 'failed'
            WHEN 'StepRetried' THEN 'retrying'
            WHEN 'StepSkipped' THEN 'skipped'
            ELSE 'pending'
        END AS moved_to,
        CASE
            WHEN move.last_move IN ('StepCompleted', 'StepFailed', 'StepSkipped') THEN move.last_moved_at
        END AS moved_at,
        children.child_execution_id
    FROM staging.plan_steps AS plan
    LEFT JOIN step_moves AS move ON plan.execution_id = move.execution_id AND plan.step_id = move.step_id
    LEFT JOIN children ON plan.execution_id = children.execution_id AND plan.step_id = children.step_id
    WHERE plan.execution_kind = 'workflow'
),

settled AS (
    SELECT
        moved.*,
        CASE
            WHEN ends.event_type IS NULL THEN moved.moved_to
            WHEN moved.moved_to = 'pending' THEN 'skipped'
            WHEN ends.event_type <> 'WorkflowCompleted' AND moved.moved_to IN ('running', 'retrying') THEN 'failed'
            ELSE moved.moved_to
        END AS status,
        ends.occurred_at AS execution_ended_at
    FROM moved
    LEFT JOIN ends ON moved.execution_id = ends.execution_id
)

SELECT
    step.step_id,
    step.execution_id,
    step.parent_step_id,
    step.path,
    step.step_order,
    step.step_name,
    step.step_type,
    step.template_step_id,
    step.agent_id,
    step.agent_name,
    created.workflow_name,
    created.workflow_type,
    created.mode,
    created.drive_id,
    created.customer_id,
    created.user_id,
    step.status,
    step.attempt,
    step.max_attempts,
    step.agent_calls,
    step.tool_name,
    step.error_code,
    step.error_message,
    step.child_execution_id,
    step.occurred_at AS planned_at,
    step.started_at,
    CASE WHEN step.status <> step.moved_to THEN step.execution_ended_at ELSE step.moved_at END AS completed_at,
    date_diff(
        'millisecond',
        step.started_at,
        CASE WHEN step.status <> step.moved_to THEN step.execution_ended_at ELSE step.moved_at END
    ) AS duration_ms,
    step.week
FROM settled AS step
INNER JOIN staging.events AS created
    ON step.execution_id = created.execution_id AND created.event_type = 'WorkflowCreated'
