-- What was counted where the events are kept, against what the facts hold: a row a week, event type and measure.
WITH kept AS (
    SELECT week, event_type, measure, sum(value) AS in_events
    FROM staging.event_totals
    GROUP BY week, event_type, measure
),

usage AS (
    SELECT
        week,
        sum(input_tokens) AS input_tokens,
        sum(cache_read_tokens) AS cache_read_tokens,
        sum(cache_write_5m_tokens) AS cache_write_5m_tokens,
        sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
        sum(output_tokens) AS output_tokens,
        sum(reasoning_tokens) AS reasoning_tokens,
        sum(input_audio_tokens) AS input_audio_tokens,
        sum(cache_audio_read_tokens) AS cache_audio_read_tokens,
        sum(output_audio_tokens) AS output_audio_tokens,
        sum(input_image_tokens) AS input_image_tokens,
        sum(output_image_tokens) AS output_image_tokens,
        sum(requests) AS requests,
        sum(input_cost_usd) AS input_cost_usd,
        sum(cache_read_cost_usd) AS cache_read_cost_usd,
        sum(cache_write_5m_cost_usd) AS cache_write_5m_cost_usd,
        sum(cache_write_1h_cost_usd) AS cache_write_1h_cost_usd,
        sum(output_cost_usd) AS output_cost_usd,
        sum(reasoning_cost_usd) AS reasoning_cost_usd,
        sum(input_audio_cost_usd) AS input_audio_cost_usd,
        sum(cache_audio_read_cost_usd) AS cache_audio_read_cost_usd,
        sum(output_audio_cost_usd) AS output_audio_cost_usd,
        sum(input_image_cost_usd) AS input_image_cost_usd,
        sum(output_image_cost_usd) AS output_image_cost_usd,
        sum(requests_cost_usd) AS requests_cost_usd,
        sum(cost_usd) AS cost_usd,
        sum(estimated_cost_usd) AS estimated_cost_usd,
        sum(recorded_cost_usd) AS recorded_cost_usd
    FROM marts.model_usage
    GROUP BY week
),

usage_measures AS (
    SELECT
        usage.week,
        measures.measure,
        CASE measures.measure
            WHEN 'input_tokens' THEN CAST(usage.input_tokens AS DECIMAL(38, 12))
            WHEN 'cache_read_tokens' THEN CAST(usage.cache_read_tokens AS DECIMAL(38, 12))
            WHEN 'cache_write_5m_tokens' THEN CAST(usage.cache_write_5m_tokens AS DECIMAL(38, 12))
            WHEN 'cache_write_1h_tokens' THEN CAST(usage.cache_write_1h_tokens AS DECIMAL(38, 12))
            WHEN 'output_tokens' THEN CAST(usage.output_tokens AS DECIMAL(38, 12))
            WHEN 'reasoning_tokens' THEN CAST(usage.reasoning_tokens AS DECIMAL(38, 12))
            WHEN 'input_audio_tokens' THEN CAST(usage.input_audio_tokens AS DECIMAL(38, 12))
            WHEN 'cache_audio_read_tokens' THEN CAST(usage.cache_audio_read_tokens AS DECIMAL(38, 12))
            WHEN 'output_audio_tokens' THEN CAST(usage.output_audio_tokens AS DECIMAL(38, 12))
            WHEN 'input_image_tokens' THEN CAST(usage.input_image_tokens AS DECIMAL(38, 12))
            WHEN 'output_image_tokens' THEN CAST(usage.output_image_tokens AS DECIMAL(38, 12))
            WHEN 'requests' THEN CAST(usage.requests AS DECIMAL(38, 12))
            WHEN 'input_cost_usd' THEN CAST(usage.input_cost_usd AS DECIMAL(38, 12))
            WHEN 'cache_read_cost_usd' THEN CAST(usage.cache_read_cost_usd AS DECIMAL(38, 12))
            WHEN 'cache_write_5m_cost_usd' THEN CAST(usage.cache_write_5m_cost_usd AS DECIMAL(38, 12))
            WHEN 'cache_write_1h_cost_usd' THEN CAST(usage.cache_write_1h_cost_usd AS DECIMAL(38, 12))
            WHEN 'output_cost_usd' THEN CAST(usage.output_cost_usd AS DECIMAL(38, 12))
            WHEN 'reasoning_cost_usd' THEN CAST(usage.reasoning_cost_usd AS DECIMAL(38, 12))
            WHEN 'input_audio_cost_usd' THEN CAST(usage.input_audio_cost_usd AS DECIMAL(38, 12))
            WHEN 'cache_audio_read_cost_usd' THEN CAST(usage.cache_audio_read_cost_usd AS DECIMAL(38, 12))
            WHEN 'output_audio_cost_usd' THEN CAST(usage.output_audio_cost_usd AS DECIMAL(38, 12))
            WHEN 'input_image_cost_usd' THEN CAST(usage.input_image_cost_usd AS DECIMAL(38, 12))
            WHEN 'output_image_cost_usd' THEN CAST(usage.output_image_cost_usd AS DECIMAL(38, 12))
            WHEN 'requests_cost_usd' THEN CAST(usage.requests_cost_usd AS DECIMAL(38, 12))
            WHEN 'cost_usd' THEN CAST(usage.cost_usd AS DECIMAL(38, 12))
            WHEN 'estimated_cost_usd' THEN CAST(usage.estimated_cost_usd AS DECIMAL(38, 12))
            WHEN 'recorded_cost_usd' THEN CAST(usage.recorded_cost_usd AS DECIMAL(38, 12))
        END AS value
    FROM usage
    CROSS JOIN (
        VALUES
        ('input_tokens'),
        ('cache_read_tokens'),
        ('cache_write_5m_tokens'),
        ('cache_write_1h_tokens'),
        ('output_tokens'),
        ('reasoning_tokens'),
        ('input_audio_tokens'),
        ('cache_audio_read_tokens'),
        ('output_audio_tokens'),
        ('input_image_tokens'),
        ('output_image_tokens'),
        ('requests'),
        ('input_cost_usd'),
        ('cache_read_cost_usd'),
        ('cache_write_5m_cost_usd'),
        ('cache_write_1h_cost_usd'),
        ('output_cost_usd'),
        ('reasoning_cost_usd'),
        ('input_audio_cost_usd'),
        ('cache_audio_read_cost_usd'),
        ('output_audio_cost_usd'),
        ('input_image_cost_usd'),
        ('output_image_cost_usd'),
        ('requests_cost_usd'),
        ('cost_usd'),
        ('estimated_cost_usd'),
        ('recorded_cost_usd')
    ) AS measures (measure)
),

facts AS (
    -- marts.audit_log has a row for each of these.
    SELECT week, event_type, 'events' AS measure, CAST(count(*) AS DECIMAL(38, 12)) AS value
    FROM staging.events
    GROUP BY week, event_type
    UNION ALL
    SELECT week, 'TokensUpdated' AS event_type, measure, coalesce(value, CAST(0 AS DECIMAL(38, 12))) AS value
    FROM usage_measures
    UNION ALL
    SELECT week, 'CostRecalculated' AS event_type, 'difference_usd' AS measure, sum(difference_usd) AS value
    FROM staging.corrections
    GROUP BY week
)

SELECT
    coalesce(kept.week, facts.week) AS week,
    coalesce(kept.event_type, facts.event_type) AS event_type,
    coalesce(kept.measure, facts.measure) AS measure,
    coalesce(kept.in_events, CAST(0 AS DECIMAL(38, 12))) AS in_events,
    coalesce(facts.value, CAST(0 AS DECIMAL(38, 12))) AS in_facts,
    coalesce(facts.value, CAST(0 AS DECIMAL(38, 12)))
    - coalesce(kept.in_events, CAST(0 AS DECIMAL(38, 12))) AS difference,
    coalesce(kept.in_events, CAST(0 AS DECIMAL(38, 12))) = coalesce(facts.value, CAST(0 AS DECIMAL(38, 12))) AS ok
FROM kept
FULL OUTER JOIN facts
    ON kept.week = facts.week AND kept.event_type = facts.event_type AND kept.measure = facts.measure
