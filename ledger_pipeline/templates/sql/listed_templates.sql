-- A page of templates, the newest first, each with its creator and its steps.
WITH page AS (
    SELECT t.*
    FROM workflow_templates t
    WHERE true{conditions}
    ORDER BY t.created_at DESC, t.id DESC
    LIMIT %(rows)s
)
SELECT
    p.*,
    -- Of the whole row: a creator has an e-mail address where the ledger keeps one.
    CASE WHEN u.id IS NOT NULL THEN json_build_object('id', u.id, 'name', u.name, 'email', to_jsonb(u) -> 'email') END
        AS creator,
    s.steps
FROM page p
LEFT JOIN users u ON u.id = p.created_by
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(s) - 'template_id' - 'created_at' - 'updated_at'
        ORDER BY string_to_array(s.path, '/')::integer[]), '[]') AS steps
    FROM workflow_template_steps s
    WHERE s.template_id = p.id
) s
ORDER BY p.created_at DESC, p.id DESC
