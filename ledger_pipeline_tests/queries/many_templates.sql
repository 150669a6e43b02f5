-- A thousand templates in each drive.
INSERT INTO workflow_templates (id, drive_id, created_by, name, version, current_version, status)
SELECT gen_random_uuid(), d.id, u.id, 'template_' || nth, '1.0.0', 1, 'active'
FROM drives d
CROSS JOIN generate_series(1, 1000) AS nth
LEFT JOIN (SELECT array_agg(id) AS ids FROM users) e ON true
CROSS JOIN LATERAL (SELECT e.ids[1 + nth % cardinality(e.ids)] AS id) u;

INSERT INTO workflow_template_steps (template_id, version, path, step_order, name, type, config)
SELECT t.id, 1, nth::text, nth, 'step', 'action', '{}'
FROM workflow_templates t
CROSS JOIN generate_series(0, 4) AS nth
WHERE t.name ~ '^template_\d+$';
