-- The template that a save changes, with its current version, tags and steps.
SELECT
    t.id, t.drive_id, t.name, t.current_version, t.version, t.status,
    (
        SELECT v.template_snapshot::text
        FROM workflow_template_versions v
        WHERE v.template_id = t.id AND v.version_number = t.current_version
    ) AS snapshot,
    ARRAY(SELECT v.version_tag FROM workflow_template_versions v WHERE v.template_id = t.id) AS tags,
    (
        SELECT coalesce(json_agg(json_build_array(s.id, s.path, s.name)), '[]')
        FROM workflow_template_steps s
        WHERE s.template_id = t.id
    ) AS steps
FROM workflow_templates t
WHERE CASE
    WHEN %(template_id)s::uuid IS NULL THEN t.drive_id IS NOT DISTINCT FROM %(drive_id)s AND t.name = %(name)s
    ELSE t.id = %(template_id)s
END
FOR UPDATE OF t
