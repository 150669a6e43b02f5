-- warning: A breach names a limit and a total in the budget's unit.
SELECT event_id, budget_unit, limit_usd, total_usd, limit_tokens, total_tokens
FROM marts.budget_breaches
WHERE
    (budget_unit = 'usd' AND (limit_usd IS NULL OR total_usd IS NULL))
    OR (budget_unit = 'tokens' AND (limit_tokens IS NULL OR total_tokens IS NULL));
