-- Which models take the calls of each workflow, week by week.
WITH weekly AS (
    SELECT
        CAST(date_trunc('week', day) AS DATE) AS week_start,
        workflow_name,
        provider,
        model,
        CAST(sum(calls) AS BIGINT) AS calls,
        CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
        sum(corrected_cost_usd) AS corrected_cost_usd,
        sum(corrected_estimate_usd) AS corrected_estimate_usd,
        min(day) AS first_day,
        max(day) AS last_day
    FROM marts.cost_daily
    GROUP BY date_trunc('week', day), workflow_name, provider, model
),

compared AS (
    SELECT
        *,
        CAST(sum(calls) OVER (PARTITION BY week_start, workflow_name) AS BIGINT) AS workflow_calls,
        sum(corrected_cost_usd) OVER (PARTITION BY week_start, workflow_name) AS workflow_cost_usd,
        min(first_day) OVER (PARTITION BY workflow_name, provider, model) AS first_used_on,
        max(last_day) OVER (PARTITION BY workflow_name, provider, model) AS last_used_on
    FROM weekly
)

SELECT
    week_start,
    workflow_name,
    provider,
    model,
    calls,
    workflow_calls,
    -- Millionths, half up, in integers.
    CAST(
        CAST((2000000 * calls + workflow_calls) // (2 * workflow_calls) AS DECIMAL(18, 0))
        * CAST(0.000001 AS DECIMAL(7, 6)) AS DECIMAL(7, 6)
    ) AS calls_share,
    total_tokens,
    corrected_cost_usd,
    corrected_estimate_usd,
    workflow_cost_usd,
    first_used_on,
    last_used_on
FROM compared
