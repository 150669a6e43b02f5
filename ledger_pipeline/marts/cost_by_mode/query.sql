-- Usage and cost by mode, per user and UTC month.
SELECT
    mode,
    user_id,
    month,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(priced_calls) AS BIGINT) AS priced_calls,
    CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
    sum(cost_usd) AS cost_usd,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    sum(recorded_cost_usd) AS recorded_cost_usd,
    sum(corrections_usd) AS corrections_usd,
    sum(corrected_cost_usd) AS corrected_cost_usd,
    sum(corrected_estimate_usd) AS corrected_estimate_usd
FROM marts.cost_daily
GROUP BY mode, user_id, month
