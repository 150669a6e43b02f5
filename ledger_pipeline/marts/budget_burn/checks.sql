-- The days of a period add up to its total.
SELECT budget_id, period_start, sum(used_usd) AS used_usd, max_by(total_usd, day) AS total_usd
FROM marts.budget_burn
GROUP BY budget_id, period_start
HAVING sum(used_usd) <> max_by(total_usd, day) OR sum(used_tokens) <> max_by(total_tokens, day);

-- A day lies in its period.
SELECT budget_id, day, period_start, next_start
FROM marts.budget_burn
WHERE day < period_start OR day >= next_start;
