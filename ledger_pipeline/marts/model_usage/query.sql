-- One row a model call: what it used, what it cost, and what re-pricing runs corrected since.
WITH corrected AS (
    SELECT execution_id, model_call_id, count(*) AS correction_count, sum(difference_usd) AS corrections_usd
    FROM staging.corrections
    GROUP BY execution_id, model_call_id
)

SELECT
    usage.event_id,
    usage.execution_id,
    usage.sequence,
    usage.occurred_at,
    usage.recorded_at,
    usage.day,
    usage.week,
    usage.month,
    usage.booked_on,
    usage.workflow_name,
    usage.workflow_type,
    usage.template_id,
    usage.template_version,
    usage.mode,
    usage.drive_id,
    usage.customer_id,
    usage.user_id,
    usage.agent_id,
    usage.agent_name,
    usage.operator_id,
    usage.operator_kind,
    usage.step_id,
    usage.step_name,
    usage.call_id,
    usage.attempt,
    usage.execution_kind,
    usage.source,
    usage.source_file,
    usage.source_line,
    usage.model_call_id,
    usage.provider,
    usage.model,
    usage.priced_model,
    usage.service_tier,
    usage.context_tier,
    usage.region,
    usage.latency_ms,
    usage.input_tokens,
    usage.cache_read_tokens,
    usage.cache_write_5m_tokens,
    usage.cache_write_1h_tokens,
    usage.output_tokens,
    usage.reasoning_tokens,
    usage.input_audio_tokens,
    usage.cache_audio_read_tokens,
    usage.output_audio_tokens,
    usage.input_image_tokens,
    usage.output_image_tokens,
    usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    + usage.output_tokens + usage.reasoning_tokens + usage.input_audio_tokens + usage.cache_audio_read_tokens
    + usage.output_audio_tokens + usage.input_image_tokens + usage.output_image_tokens AS total_tokens,
    usage.requests,
    usage.input_cost_usd,
    usage.cache_read_cost_usd,
    usage.cache_write_5m_cost_usd,
    usage.cache_write_1h_cost_usd,
    usage.output_cost_usd,
    usage.reasoning_cost_usd,
    usage.input_audio_cost_usd,
    usage.cache_audio_read_cost_usd,
    usage.output_audio_cost_usd,
    usage.input_image_cost_usd,
    usage.output_image_cost_usd,
    usage.requests_cost_usd,
    usage.cost_usd,
    usage.estimated_cost_usd,
    usage.recorded_cost_usd,
    usage.pricing_status = 'priced' AS priced,
    usage.pricing_status,
    usage.unpriced_reason,
    usage.price_versions,
    usage.input_usd_per_million,
    -- Half away from zero, once: tokens × rate has 12 decimals, and 18 with the millionth.
    CAST(
        CAST(
            usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens AS DECIMAL(19, 0)
        ) * usage.input_usd_per_million * CAST(0.000001 AS DECIMAL(7, 6)) AS DECIMAL(38, 12)
    )
    - coalesce(usage.cache_read_cost_usd, CAST(0 AS DECIMAL(38, 12)))
    - coalesce(usage.cache_write_5m_cost_usd, CAST(0 AS DECIMAL(38, 12)))
    - coalesce(usage.cache_write_1h_cost_usd, CAST(0 AS DECIMAL(38, 12))) AS cache_saved_usd,
    coalesce(corrected.correction_count, 0) AS correction_count,
    coalesce(corrected.corrections_usd, CAST(0 AS DECIMAL(38, 12))) AS corrections_usd,
    CASE
        WHEN corrected.execution_id IS NULL THEN usage.cost_usd
        ELSE coalesce(usage.cost_usd, CAST(0 AS DECIMAL(38, 12))) + corrected.corrections_usd
    END AS corrected_cost_usd,
    CASE WHEN corrected.execution_id IS NULL THEN usage.estimated_cost_usd END AS corrected_estimate_usd
FROM staging.events AS usage
LEFT JOIN corrected
    ON usage.execution_id = corrected.execution_id AND usage.model_call_id = corrected.model_call_id
WHERE usage.event_type = 'TokensUpdated'
