-- The counts behind every metric: per user and hour, and per user, day and one dimension at a time.
WITH usage AS (
    SELECT
        day,
        hour,
        user_id,
        CASE WHEN grouping(hour) = 0 THEN 'hour' ELSE 'day' END AS aggregation_period,
        CASE WHEN grouping(model) = 0 THEN 'model' WHEN grouping(mode) = 0 THEN 'mode' ELSE 'all' END AS dimension,
        model,
        mode,
        count(*) AS calls,
        sum(total_tokens) AS total_tokens,
        sum(cost_usd) AS cost_usd,
        sum(estimated_cost_usd) AS estimated_cost_usd
    FROM (
        SELECT
            day, date_trunc('hour', occurred_at) AS hour, user_id, model, mode, total_tokens, cost_usd,
            estimated_cost_usd
        FROM marts.model_usage
        WHERE execution_kind = 'workflow'
    ) AS call
    GROUP BY GROUPING SETS ((day, user_id, hour), (day, user_id), (day, user_id, model), (day, user_id, mode))
),

outcomes AS (
    SELECT
        day,
        hour,
        user_id,
        CASE WHEN grouping(hour) = 0 THEN 'hour' ELSE 'day' END AS aggregation_period,
        CASE WHEN grouping(mode) = 0 THEN 'mode' ELSE 'all' END AS dimension,
        mode,
        count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status IN ('completed', 'failed', 'aborted', 'timeout')) AS judged,
        sum(duration_ms) AS duration_ms,
        count(duration_ms) AS timed
    FROM (
        SELECT day, date_trunc('hour', created_at) AS hour, user_id, mode, status, duration_ms
        FROM marts.executions
    ) AS execution
    GROUP BY GROUPING SETS ((day, user_id, hour), (day, user_id), (day, user_id, mode))
),

attempts AS (
    SELECT
        day,
        hour,
        user_id,
        CASE WHEN grouping(hour) = 0 THEN 'hour' ELSE 'day' END AS aggregation_period,
        CASE WHEN grouping(mode) = 0 THEN 'mode' WHEN grouping(tool_name) = 0 THEN 'tool' ELSE 'all' END AS dimension,
        mode,
        tool_name AS tool,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) AS ended,
        count(tool_name) FILTER (WHERE status = 'completed') AS tools_completed,
        count(tool_name) AS tools_ended
    FROM (
        SELECT day, date_trunc('hour', started_at) AS hour, user_id, mode, tool_name, status
        FROM marts.agent_calls
        WHERE status IN ('completed', 'failed')
    ) AS agent_call
    GROUP BY GROUPING SETS ((day, user_id, hour), (day, user_id), (day, user_id, mode), (day, user_id, tool_name))
),

metrics AS (
    SELECT
        'token_usage' AS metric_type, aggregation_period, day, hour, user_id, dimension, model, mode,
        CAST(NULL AS VARCHAR) AS tool, CAST(total_tokens AS DECIMAL(38, 12)) AS numerator, calls AS denominator,
        CAST(NULL AS DECIMAL(38, 12)) AS estimated_cost_usd
    FROM usage
    UNION ALL
    SELECT
        'cost' AS metric_type, aggregation_period, day, hour, user_id, dimension, model, mode,
        CAST(NULL AS VARCHAR) AS tool, cost_usd AS numerator, calls AS denominator, estimated_cost_usd
    FROM usage
    UNION ALL
    SELECT
        'execution_time' AS metric_type, aggregation_period, day, hour, user_id, dimension,
        CAST(NULL AS VARCHAR) AS model, mode, CAST(NULL AS VARCHAR) AS tool,
        CAST(duration_ms AS DECIMAL(38, 12)) AS numerator, timed AS denominator,
        CAST(NULL AS DECIMAL(38, 12)) AS estimated_cost_usd
    FROM outcomes
    UNION ALL
    SELECT
        'workflow_success_rate' AS metric_type, aggregation_period, day, hour, user_id, dimension,
        CAST(NULL AS VARCHAR) AS model, mode, CAST(NULL AS VARCHAR) AS tool,
        CAST(completed AS DECIMAL(38, 12)) AS numerator, judged AS denominator,
        CAST(NULL AS DECIMAL(38, 12)) AS estimated_cost_usd
    FROM outcomes
    UNION ALL
    SELECT
        'error_rate' AS metric_type, aggregation_period, day, hour, user_id, dimension,
        CAST(NULL AS VARCHAR) AS model, mode, tool, CAST(failed AS DECIMAL(38, 12)) AS numerator,
        ended AS denominator, CAST(NULL AS DECIMAL(38, 12)) AS estimated_cost_usd
    FROM attempts
    WHERE dimension <> 'tool'
    UNION ALL
    SELECT
        'tool_success_rate' AS metric_type, aggregation_period, day, hour, user_id, dimension,
        CAST(NULL AS VARCHAR) AS model, mode, tool, CAST(tools_completed AS DECIMAL(38, 12)) AS numerator,
        tools_ended AS denominator, CAST(NULL AS DECIMAL(38, 12)) AS estimated_cost_usd
    FROM attempts
)

SELECT
    metric_type,
    aggregation_period,
    coalesce(hour, CAST(day AS TIMESTAMP WITH TIME ZONE)) AS period_start,
    day,
    user_id,
    dimension,
    model,
    mode,
    tool,
    numerator,
    denominator,
    estimated_cost_usd
FROM metrics
-- A NULL means all, so what has no mode is in the whole only.
WHERE denominator > 0 AND (dimension = 'all' OR coalesce(model, mode, tool) IS NOT NULL)
