-- An execution's last hot event of a type.
SELECT e.*, e.payload::text AS payload
FROM execution_heads h
JOIN workflow_events e ON e.execution_id = h.id AND e.week BETWEEN h.first_week AND h.last_week
WHERE h.id = %s AND e.event_type = %s
ORDER BY e.sequence DESC
LIMIT 1
