-- Models that the price book did not know when they were called, and what they may have cost.
SELECT
    provider,
    model,
    unpriced_reason,
    count(*) AS calls,
    count(DISTINCT execution_id) AS executions,
    CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    sum(recorded_cost_usd) AS recorded_cost_usd,
    count(*) FILTER (WHERE correction_count > 0) AS repriced_calls,
    min(occurred_at) AS first_call_at,
    max(occurred_at) AS last_call_at
FROM marts.model_usage
WHERE NOT priced
GROUP BY provider, model, unpriced_reason
