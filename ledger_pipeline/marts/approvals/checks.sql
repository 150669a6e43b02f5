-- warning: Every decision belongs to an approval that was requested.
SELECT applied.execution_id, applied.approval_id
FROM staging.events AS applied
LEFT JOIN marts.approvals AS approval
    ON applied.approval_id = approval.approval_id AND applied.execution_id = approval.execution_id
WHERE
    applied.event_type = 'ApprovalApplied'
    AND applied.execution_kind = 'workflow'
    AND approval.approval_id IS NULL;
