INSERT INTO budgets (
    drive_id, scope, workflow_name, agent_id, customer_id, period, limit_usd, limit_tokens, thresholds
) VALUES (
    %(drive_id)s, %(scope)s, %(workflow_name)s, %(agent_id)s, %(customer_id)s, %(period)s, %(limit_usd)s,
    %(limit_tokens)s, %(thresholds)s
)
ON CONFLICT ON CONSTRAINT budgets_once DO UPDATE SET
    limit_usd = excluded.limit_usd, limit_tokens = excluded.limit_tokens, thresholds = excluded.thresholds
RETURNING id
