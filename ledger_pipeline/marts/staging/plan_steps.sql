-- The positions that plans name: one row a plan entry, of the three event types that carry any.
WITH plans AS (
    SELECT
        execution_id, sequence, event_type, occurred_at, week, execution_kind,
        CASE event_type
            WHEN 'WorkflowCreated' THEN json_extract(payload, '$.plan')
            WHEN 'IterationStarted' THEN json_extract(payload, '$.steps')
            ELSE json_array(json_extract(payload, '$.plan_entry'))
        END AS plan
    FROM incoming
    WHERE event_type IN ('WorkflowCreated', 'IterationStarted')
        -- A dispatch seldom carries its entry: the text is searched before it is parsed.
        OR (event_type = 'StepDispatched' AND contains(payload, '"plan_entry"'))
),

entries AS (
    SELECT
        execution_id, sequence, event_type, occurred_at, week, execution_kind,
        unnest(
            from_json(
                plan,
                '[{
                    "step_id": "UUID", "parent_step_id": "UUID", "path": "VARCHAR", "step_order": "INTEGER",
                    "step_name": "VARCHAR", "step_type": "VARCHAR", "template_step_id": "UUID", "agent_id": "UUID",
                    "agent_name": "VARCHAR", "max_attempts": "INTEGER"
                }]'
            )
        ) AS entry
    FROM plans
)

SELECT
    CAST(execution_id AS UUID) AS execution_id,
    sequence,
    event_type,
    occurred_at,
    week,
    execution_kind,
    entry.step_id,
    entry.parent_step_id,
    entry.path,
    entry.step_order,
    entry.step_name,
    coalesce(entry.step_type, 'action') AS step_type,
    entry.template_step_id,
    entry.agent_id,
    entry.agent_name,
    coalesce(entry.max_attempts, 1) AS max_attempts
FROM entries
WHERE entry.step_id IS NOT NULL
