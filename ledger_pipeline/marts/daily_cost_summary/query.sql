-- What each user spent on each model, per UTC day.
SELECT
    user_id,
    day AS date,
    model,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
    sum(cost_usd) AS cost_usd,
    sum(estimated_cost_usd) AS estimated_cost_usd
FROM marts.cost_daily
GROUP BY user_id, day, model
