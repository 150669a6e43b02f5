-- Which workflows of a drive run which others.
SELECT t.name, s.config ->> 'workflow_name' AS linked
FROM workflow_templates t
LEFT JOIN workflow_template_steps s ON s.template_id = t.id AND s.type = 'workflow_link'
WHERE t.drive_id IS NOT DISTINCT FROM %(drive_id)s
