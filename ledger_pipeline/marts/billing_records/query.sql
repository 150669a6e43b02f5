-- What is billed: usage in the month of its calls, and what came to be known after that month had closed, or changed a
-- cost, as an adjustment in the month in which it came.
WITH usage AS (
    SELECT
        *,
        -- Seven days after the end of the month of the call.
        booked_on >= CAST(date_trunc('month', day) + INTERVAL 1 MONTH + INTERVAL 7 DAY AS DATE) AS late
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
),

lines AS (
    SELECT
        user_id,
        customer_id,
        CASE WHEN late THEN strftime(booked_on, '%Y-%m') ELSE month END AS period,
        month,
        model,
        CASE WHEN late THEN 'adjustment' ELSE 'usage' END AS record_type,
        1 AS calls,
        CASE WHEN priced THEN 0 ELSE 1 END AS unpriced_calls,
        0 AS corrections,
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + input_audio_tokens
        + cache_audio_read_tokens + input_image_tokens AS tokens_in,
        output_tokens + reasoning_tokens + output_audio_tokens + output_image_tokens AS tokens_out,
        total_tokens,
        cost_usd,
        estimated_cost_usd
    FROM usage
    UNION ALL
    SELECT
        user_id,
        customer_id,
        strftime(booked_on, '%Y-%m') AS period,
        month,
        model,
        'adjustment' AS record_type,
        0 AS calls,
        0 AS unpriced_calls,
        1 AS corrections,
        0 AS tokens_in,
        0 AS tokens_out,
        0 AS total_tokens,
        difference_usd AS cost_usd,
        CAST(NULL AS DECIMAL(38, 12)) AS estimated_cost_usd
    FROM marts.cost_corrections
    WHERE execution_kind = 'workflow'
)

SELECT
    user_id,
    customer_id,
    period,
    model,
    record_type,
    CASE WHEN record_type = 'adjustment' THEN month END AS adjusts_period,
    month,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(unpriced_calls) AS BIGINT) AS unpriced_calls,
    CAST(sum(corrections) AS BIGINT) AS corrections,
    CAST(sum(tokens_in) AS BIGINT) AS tokens_in,
    CAST(sum(tokens_out) AS BIGINT) AS tokens_out,
    CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
    sum(cost_usd) AS cost_usd,
    -- Once, here: half a cent away from zero.
    CAST(round(sum(cost_usd), 2) AS DECIMAL(38, 2)) AS billed_amount,
    'USD' AS currency,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    CAST(strptime(period || '-01', '%Y-%m-%d') + INTERVAL 1 MONTH + INTERVAL 7 DAY AS DATE) AS closes_on
FROM lines
GROUP BY user_id, customer_id, period, month, model, record_type
