SELECT * FROM workflow_artifacts WHERE execution_id = %s ORDER BY recorded_at
