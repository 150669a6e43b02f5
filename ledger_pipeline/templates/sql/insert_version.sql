INSERT INTO workflow_template_versions (
    template_id, version_number, version_tag, template_snapshot, change_summary, change_type, breaking_changes, created_by
)
VALUES (
    %(template_id)s, %(number)s, %(version)s, %(snapshot)s, %(change_summary)s, %(change_type)s, %(breaking)s,
    %(changed_by)s
)
