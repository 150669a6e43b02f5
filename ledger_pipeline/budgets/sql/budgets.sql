-- Budgets in order of their ids, each with what it counted in the last period in which there was something.
SELECT
    b.id, b.drive_id, b.scope, b.workflow_name, b.agent_id, b.customer_id, b.period, b.limit_usd, b.limit_tokens,
    b.thresholds, b.created_at, b.updated_at, t.period AS last_period, t.total_usd, t.total_tokens
FROM budgets b
LEFT JOIN LATERAL (
    SELECT * FROM budget_totals t WHERE t.budget_id = b.id ORDER BY t.starts_at DESC LIMIT 1
) t ON true
WHERE (%(id)s::uuid IS NULL OR b.id = %(id)s::uuid)
    AND (%(drive_id)s::uuid IS NULL OR b.drive_id = %(drive_id)s::uuid)
    AND (%(after)s::uuid IS NULL OR b.id > %(after)s::uuid)
ORDER BY b.id
LIMIT %(most)s
