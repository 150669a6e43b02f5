SELECT
    month,
    provider,
    model,
    count(*) AS calls,
    count(*) FILTER (WHERE new_cost_usd IS NOT NULL AND new_cost_usd IS DISTINCT FROM old_cost_usd) AS corrected,
    count(*) FILTER (WHERE new_cost_usd IS NOT NULL AND old_cost_usd IS NULL) AS newly_priced,
    count(*) FILTER (WHERE new_cost_usd IS NULL AND old_cost_usd IS NOT NULL) AS kept,
    count(*) FILTER (WHERE new_cost_usd IS NULL AND old_cost_usd IS NULL) AS unpriced,
    CAST(sum(old_cost_usd) AS DECIMAL(38, 12)) AS before_usd,
    CAST(sum(coalesce(new_cost_usd, old_cost_usd)) AS DECIMAL(38, 12)) AS after_usd,
    CAST(
        coalesce(sum(coalesce(new_cost_usd, old_cost_usd)), 0) - coalesce(sum(old_cost_usd), 0) AS DECIMAL(38, 12)
    ) AS difference_usd
FROM compared
GROUP BY month, provider, model
ORDER BY month, provider, model
