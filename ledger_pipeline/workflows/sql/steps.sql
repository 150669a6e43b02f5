SELECT * FROM workflow_steps WHERE execution_id = %s
