-- Usage and cost per UTC day and whatever costs are charged to.
SELECT
    day,
    month,
    workflow_name,
    workflow_type,
    agent_id,
    agent_name,
    customer_id,
    user_id,
    mode,
    provider,
    model,
    count(*) AS calls,
    count(*) FILTER (WHERE priced) AS priced_calls,
    count(*) FILTER (WHERE NOT priced AND correction_count > 0) AS repriced_calls,
    CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(cache_write_5m_tokens) AS BIGINT) AS cache_write_5m_tokens,
    CAST(sum(cache_write_1h_tokens) AS BIGINT) AS cache_write_1h_tokens,
    CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
    CAST(sum(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(sum(input_audio_tokens + cache_audio_read_tokens + output_audio_tokens) AS BIGINT) AS audio_tokens,
    CAST(sum(input_image_tokens + output_image_tokens) AS BIGINT) AS image_tokens,
    CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
    sum(cost_usd) AS cost_usd,
    sum(estimated_cost_usd) AS estimated_cost_usd,
    sum(recorded_cost_usd) AS recorded_cost_usd,
    sum(corrections_usd) AS corrections_usd,
    sum(corrected_cost_usd) AS corrected_cost_usd,
    sum(corrected_estimate_usd) AS corrected_estimate_usd,
    sum(cache_saved_usd) AS cache_saved_usd
FROM marts.model_usage
WHERE execution_kind = 'workflow'
GROUP BY
    day, month, workflow_name, workflow_type, agent_id, agent_name, customer_id, user_id, mode, provider, model
