-- Usage and cost of each workflow execution, whether it called a model or not.
WITH usage AS (
    SELECT
        execution_id,
        count(*) AS calls,
        count(*) FILTER (WHERE priced) AS priced_calls,
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
        sum(cache_saved_usd) AS cache_saved_usd,
        min(occurred_at) AS first_call_at,
        max(occurred_at) AS last_call_at
    FROM marts.model_usage
    GROUP BY execution_id
),

wasted AS (
    SELECT
        execution_id,
        count(*) AS wasted_calls,
        CAST(sum(total_tokens) AS BIGINT) AS wasted_tokens,
        sum(corrected_cost_usd) AS wasted_cost_usd,
        sum(corrected_estimate_usd) AS wasted_estimate_usd
    FROM marts.wasted_usage
    GROUP BY execution_id
)

SELECT
    execution.execution_id,
    execution.workflow_name,
    execution.workflow_type,
    execution.template_id,
    execution.template_version,
    execution.mode,
    execution.drive_id,
    execution.customer_id,
    execution.user_id,
    execution.agent_id,
    execution.agent_name,
    execution.status,
    execution.day,
    execution.month,
    execution.agent_calls,
    execution.retries,
    execution.duration_ms,
    execution.budget_usd,
    execution.budget_tokens,
    coalesce(usage.calls, 0) AS calls,
    coalesce(usage.priced_calls, 0) AS priced_calls,
    coalesce(usage.input_tokens, 0) AS input_tokens,
    coalesce(usage.cache_read_tokens, 0) AS cache_read_tokens,
    coalesce(usage.cache_write_5m_tokens, 0) AS cache_write_5m_tokens,
    coalesce(usage.cache_write_1h_tokens, 0) AS cache_write_1h_tokens,
    coalesce(usage.output_tokens, 0) AS output_tokens,
    coalesce(usage.reasoning_tokens, 0) AS reasoning_tokens,
    coalesce(usage.audio_tokens, 0) AS audio_tokens,
    coalesce(usage.image_tokens, 0) AS image_tokens,
    coalesce(usage.total_tokens, 0) AS total_tokens,
    usage.cost_usd,
    usage.estimated_cost_usd,
    usage.recorded_cost_usd,
    usage.corrections_usd,
    usage.corrected_cost_usd,
    usage.corrected_estimate_usd,
    coalesce(wasted.wasted_calls, 0) AS wasted_calls,
    coalesce(wasted.wasted_tokens, 0) AS wasted_tokens,
    wasted.wasted_cost_usd,
    wasted.wasted_estimate_usd,
    usage.cache_saved_usd,
    usage.first_call_at,
    usage.last_call_at
FROM marts.executions AS execution
LEFT JOIN usage ON execution.execution_id = usage.execution_id
LEFT JOIN wasted ON execution.execution_id = wasted.execution_id
