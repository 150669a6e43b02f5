-- A template's versions, the newest first, without what was saved.
SELECT
    v.id, v.version_number, v.version_tag, v.change_type, v.change_summary, v.breaking_changes, v.created_by,
    v.created_at
FROM workflow_template_versions v
WHERE v.template_id = %(template_id)s
ORDER BY v.version_number DESC
