-- Two parts, so that each is read in order from an index of its own.
SELECT * FROM (
    (
        SELECT {columns} FROM workflow_events
        WHERE execution_kind = 'workflow'
            AND event_type IN ('WorkflowFailed', 'WorkflowTimedOut', 'ExecutionAborted'){conditions}
        ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
        LIMIT %(rows)s
    )
    UNION ALL
    (
        SELECT {columns} FROM workflow_events
        WHERE execution_kind = 'workflow' AND event_type = 'LogRecorded' AND log_level = 'error'{conditions}
        ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
        LIMIT %(rows)s
    )
) AS of_both
ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
LIMIT %(rows)s
