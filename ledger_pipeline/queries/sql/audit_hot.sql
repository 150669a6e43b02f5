SELECT {columns} FROM workflow_events
WHERE execution_kind = 'workflow'{conditions}
ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
LIMIT %(rows)s
