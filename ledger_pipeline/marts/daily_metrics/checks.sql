-- by key: A rate lies between 0 and 1, and so does every one that is made by adding up.
SELECT metric_type, aggregation_period, period_start, user_id, numerator, denominator
FROM marts.daily_metrics
WHERE
    metric_type IN ('error_rate', 'tool_success_rate', 'workflow_success_rate')
    AND (numerator < 0 OR numerator > denominator);

-- by key: A period lies in its day.
SELECT aggregation_period, period_start, day
FROM marts.daily_metrics
WHERE CAST(timezone('UTC', period_start) AS DATE) <> day;

-- Tokens, model calls and costs of all days, and of all hours, are those of all model calls.
SELECT part.*, whole.*
FROM (
    SELECT
        period.aggregation_period,
        coalesce(sum(metric.numerator) FILTER (WHERE metric.metric_type = 'token_usage'), 0) AS tokens,
        coalesce(sum(metric.denominator) FILTER (WHERE metric.metric_type = 'token_usage'), 0) AS calls,
        coalesce(sum(metric.numerator) FILTER (WHERE metric.metric_type = 'cost'), 0) AS cost_usd
    FROM (VALUES ('hour'), ('day')) AS period (aggregation_period)
    LEFT JOIN marts.daily_metrics AS metric
        ON period.aggregation_period = metric.aggregation_period AND metric.dimension = 'all'
    GROUP BY period.aggregation_period
) AS part
CROSS JOIN (
    SELECT
        coalesce(sum(total_tokens), 0) AS all_tokens,
        count(*) AS all_calls,
        coalesce(sum(cost_usd), 0) AS all_cost_usd
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
) AS whole
WHERE part.tokens <> whole.all_tokens OR part.calls <> whole.all_calls OR part.cost_usd <> whole.all_cost_usd;
