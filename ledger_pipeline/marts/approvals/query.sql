-- One row an approval: what was asked, of whom, who decided what, and how long it took.
WITH decisions AS (
    SELECT
        execution_id,
        approval_id,
        count(*) AS decisions,
        max_by(decision, sequence) AS decision,
        max_by(occurred_at, sequence) AS decided_at,
        -- No stored text is empty, so an empty one can stand for NULL, which max_by may pass over.
        max_by(coalesce(operator_id, ''), sequence) AS decided_by,
        max_by(coalesce(operator_kind, ''), sequence) AS decided_by_kind,
        max_by(coalesce(decision_comment, ''), sequence) AS comment
    FROM staging.events
    WHERE event_type = 'ApprovalApplied'
    GROUP BY execution_id, approval_id
),

created AS (
    SELECT execution_id, triggered_by
    FROM staging.events
    WHERE event_type = 'WorkflowCreated'
)

SELECT
    requested.approval_id,
    requested.execution_id,
    requested.step_id,
    requested.step_name,
    requested.call_id,
    requested.workflow_name,
    requested.workflow_type,
    requested.mode,
    requested.drive_id,
    requested.customer_id,
    requested.user_id,
    requested.agent_id,
    requested.agent_name,
    requested.approval_subject AS subject,
    requested.requested_from,
    requested.operator_id AS requested_by,
    created.triggered_by,
    coalesce(decisions.decision, 'pending') AS status,
    requested.occurred_at AS requested_at,
    decisions.decided_at,
    nullif(decisions.decided_by, '') AS decided_by,
    nullif(decisions.decided_by_kind, '') AS decided_by_kind,
    nullif(decisions.comment, '') AS comment,
    coalesce(decisions.decisions, 0) AS decisions,
    CASE
        WHEN nullif(decisions.decided_by, '') IS NOT NULL
            THEN decisions.decided_by = coalesce(requested.operator_id, '')
            OR decisions.decided_by = coalesce(created.triggered_by, '')
    END AS self_decided,
    CASE
        WHEN nullif(decisions.decided_by, '') IS NOT NULL
            THEN decisions.decided_by <> requested.requested_from
    END AS decided_by_another,
    date_diff('millisecond', requested.occurred_at, decisions.decided_at) AS latency_ms,
    requested.day,
    requested.week
FROM staging.events AS requested
LEFT JOIN decisions
    ON requested.execution_id = decisions.execution_id AND requested.approval_id = decisions.approval_id
LEFT JOIN created ON requested.execution_id = created.execution_id
WHERE requested.event_type = 'ApprovalRequested' AND requested.execution_kind = 'workflow'
