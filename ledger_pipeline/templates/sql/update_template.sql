UPDATE workflow_templates SET
    name = %(name)s, title = %(title)s, description = %(description)s, version = %(version)s,
    current_version = %(number)s, status = %(status)s, category = %(category)s, tags = %(tags)s,
    parameters = %(parameters)s, outputs = %(outputs)s, timeout_minutes = %(timeout_minutes)s,
    max_retries = %(max_retries)s, is_public = %(is_public)s
WHERE id = %(template_id)s
RETURNING id
