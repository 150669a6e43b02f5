-- One template at a version, with its creator and the steps that stand now; two rows when the name alone is ambiguous.
SELECT
    t.id, t.drive_id, t.name, t.status, t.current_version, t.is_public, t.created_by, t.created_at, t.updated_at,
    u.name AS creator_name, v.version_number, v.version_tag, v.template_snapshot::text AS snapshot,
    (
        SELECT coalesce(json_agg(json_build_array(s.id, s.path, s.name)), '[]')
        FROM workflow_template_steps s
        WHERE s.template_id = t.id
    ) AS steps
FROM workflow_templates t
LEFT JOIN users u ON u.id = t.created_by
LEFT JOIN workflow_template_versions v ON v.template_id = t.id AND CASE
    WHEN %(number)s::integer IS NOT NULL THEN v.version_number = %(number)s
    WHEN %(tag)s::text IS NOT NULL THEN v.version_tag = %(tag)s
    ELSE v.version_number = t.current_version
END
WHERE CASE
    WHEN %(template_id)s::uuid IS NOT NULL THEN t.id = %(template_id)s
    ELSE t.name = %(name)s
END
AND (%(drive_id)s::uuid IS NULL OR t.drive_id = %(drive_id)s)
-- The one without a drive comes first: where no drive is said, it is meant.
ORDER BY t.drive_id IS NOT NULL
LIMIT 2
