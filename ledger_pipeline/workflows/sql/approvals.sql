SELECT * FROM workflow_approvals WHERE execution_id = %s ORDER BY requested_at
