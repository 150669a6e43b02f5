SELECT
    b.id, b.drive_id, b.scope, b.workflow_name, b.agent_id, b.customer_id, b.period, b.limit_usd, b.limit_tokens,
    b.thresholds, b.created_at, b.updated_at, NULL AS last_period, NULL AS total_usd, NULL AS total_tokens,
    c.stream_id, c.terms, c.since
FROM budgets b
JOIN budget_counts c ON c.budget_id = b.id
ORDER BY b.id
