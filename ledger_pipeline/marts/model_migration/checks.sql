-- Calls, tokens and costs of all models are those of all days.
SELECT part.calls, whole.calls AS all_calls, part.cost_usd, whole.cost_usd AS all_cost_usd
FROM (
    SELECT
        coalesce(sum(calls), 0) AS calls,
        coalesce(sum(total_tokens), 0) AS total_tokens,
        coalesce(sum(corrected_cost_usd), 0) AS cost_usd
    FROM marts.model_migration
) AS part
CROSS JOIN (
    SELECT
        coalesce(sum(calls), 0) AS calls,
        coalesce(sum(total_tokens), 0) AS total_tokens,
        coalesce(sum(corrected_cost_usd), 0) AS cost_usd
    FROM marts.cost_daily
) AS whole
WHERE part.calls <> whole.calls OR part.total_tokens <> whole.total_tokens OR part.cost_usd <> whole.cost_usd;
