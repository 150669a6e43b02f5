-- Metrics per user and hour, day, week and month: sums and counts are added up, and only then is a rate worked out.
WITH periods AS (
    SELECT
        metric_type, aggregation_period, period_start, user_id, dimension, model, mode, tool, numerator, denominator,
        estimated_cost_usd
    FROM marts.daily_metrics
    UNION ALL
    SELECT
        metric_type, 'week' AS aggregation_period,
        CAST(date_trunc('week', day) AS TIMESTAMP WITH TIME ZONE) AS period_start, user_id, dimension, model, mode, tool,
        sum(numerator) AS numerator, CAST(sum(denominator) AS BIGINT) AS denominator,
        sum(estimated_cost_usd) AS estimated_cost_usd
    FROM marts.daily_metrics
    WHERE aggregation_period = 'day'
    GROUP BY metric_type, date_trunc('week', day), user_id, dimension, model, mode, tool
    UNION ALL
    SELECT
        metric_type, 'month' AS aggregation_period,
        CAST(date_trunc('month', day) AS TIMESTAMP WITH TIME ZONE) AS period_start, user_id, dimension, model, mode,
        tool, sum(numerator) AS numerator, CAST(sum(denominator) AS BIGINT) AS denominator,
        sum(estimated_cost_usd) AS estimated_cost_usd
    FROM marts.daily_metrics
    WHERE aggregation_period = 'day'
    GROUP BY metric_type, date_trunc('month', day), user_id, dimension, model, mode, tool
)

SELECT
    metric_type,
    aggregation_period,
    period_start,
    user_id,
    dimension,
    model,
    mode,
    tool,
    CASE
        WHEN metric_type IN ('token_usage', 'cost') THEN numerator
        -- Means and rates half up, in integers: whole milliseconds, millionths.
        WHEN metric_type = 'execution_time'
            THEN CAST((2 * CAST(numerator AS BIGINT) + denominator) // (2 * denominator) AS DECIMAL(38, 12))
        ELSE CAST(
            CAST((2000000 * CAST(numerator AS BIGINT) + denominator) // (2 * denominator) AS DECIMAL(18, 0))
            * CAST(0.000001 AS DECIMAL(7, 6)) AS DECIMAL(38, 12)
        )
    END AS value,
    CASE metric_type
        WHEN 'token_usage' THEN 'tokens' WHEN 'cost' THEN 'usd' WHEN 'execution_time' THEN 'ms' ELSE 'ratio'
    END AS unit,
    numerator,
    denominator,
    estimated_cost_usd
FROM periods
