SELECT * FROM executions WHERE execution_id = %s ORDER BY started_at, created_at
