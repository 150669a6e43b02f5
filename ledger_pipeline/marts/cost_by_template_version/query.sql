-- What executions of each template version came to and cost, per workflow and UTC month of their creation.
WITH sums AS (
    SELECT
        month,
        workflow_name,
        template_id,
        template_version,
        count(*) AS executions,
        count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'timeout') AS timed_out,
        count(*) FILTER (WHERE status IN ('cancelled', 'aborted')) AS stopped,
        CAST(sum(agent_calls) AS BIGINT) AS agent_calls,
        CAST(sum(retries) AS BIGINT) AS retries,
        CAST(sum(calls) AS BIGINT) AS calls,
        CAST(sum(total_tokens) AS BIGINT) AS total_tokens,
        sum(cost_usd) AS cost_usd,
        sum(estimated_cost_usd) AS estimated_cost_usd,
        sum(corrected_cost_usd) AS corrected_cost_usd,
        sum(corrected_estimate_usd) AS corrected_estimate_usd,
        sum(corrected_cost_usd) FILTER (WHERE status = 'completed') AS completed_cost_usd,
        sum(wasted_cost_usd) AS wasted_cost_usd,
        sum(wasted_estimate_usd) AS wasted_estimate_usd,
        sum(cache_saved_usd) AS cache_saved_usd
    FROM marts.cost_by_execution
    GROUP BY month, workflow_name, template_id, template_version
)

SELECT
    month,
    workflow_name,
    template_id,
    template_version,
    executions,
    completed,
    failed,
    timed_out,
    stopped,
    executions - completed - failed - timed_out - stopped AS unfinished,
    agent_calls,
    retries,
    calls,
    total_tokens,
    cost_usd,
    estimated_cost_usd,
    corrected_cost_usd,
    corrected_estimate_usd,
    completed_cost_usd,
    wasted_cost_usd,
    wasted_estimate_usd,
    cache_saved_usd,
    -- Millionths of a dollar, half up, in integers.
    CASE
        WHEN completed > 0 THEN CAST(
            CAST(
                (CAST(TRY_CAST(corrected_cost_usd * 2000000 AS DECIMAL(18, 0)) AS BIGINT) + completed)
                // (2 * completed) AS DECIMAL(18, 0)
            ) * CAST(0.000001 AS DECIMAL(7, 6)) AS DECIMAL(38, 12)
        )
    END AS cost_per_completed_usd
FROM sums
