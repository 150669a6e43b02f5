SELECT * FROM workflow_steps WHERE execution_id = %s ORDER BY created_at, path
