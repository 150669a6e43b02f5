INSERT INTO budget_totals (budget_id, period, starts_at, total_usd, total_tokens)
SELECT b.id, %s, %s, %s, %s FROM budgets b WHERE b.id = %s
ON CONFLICT (budget_id, starts_at) DO UPDATE SET
    total_usd = excluded.total_usd, total_tokens = excluded.total_tokens
