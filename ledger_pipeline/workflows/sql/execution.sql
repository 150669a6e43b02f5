SELECT x.*, h.state, h.last_sequence
FROM workflow_executions x
JOIN execution_heads h ON h.id = x.id
WHERE x.id = %s
