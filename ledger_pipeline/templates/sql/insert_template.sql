INSERT INTO workflow_templates (
    drive_id, name, title, description, version, current_version, status, category, tags, parameters, outputs,
    timeout_minutes, max_retries, created_by, is_public
)
VALUES (
    %(drive_id)s, %(name)s, %(title)s, %(description)s, %(version)s, 1, %(status)s, %(category)s, %(tags)s,
    %(parameters)s, %(outputs)s, %(timeout_minutes)s, %(max_retries)s, %(created_by)s, %(is_public)s
)
RETURNING id
