-- What the prompt cache saved, per UTC month, workflow, agent and model.
SELECT
    month,
    workflow_name,
    agent_id,
    agent_name,
    provider,
    model,
    CAST(sum(calls) AS BIGINT) AS calls,
    CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
    CAST(sum(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
    CAST(sum(cache_write_5m_tokens + cache_write_1h_tokens) AS BIGINT) AS cache_write_tokens,
    -- Millionths, half up, in integers.
    CASE
        WHEN sum(input_tokens + cache_read_tokens) > 0 THEN CAST(
            CAST(
                CAST(
                    (2000000 * sum(cache_read_tokens) + sum(input_tokens + cache_read_tokens))
                    // (2 * sum(input_tokens + cache_read_tokens)) AS BIGINT
                ) AS DECIMAL(18, 0)
            ) * CAST(0.000001 AS DECIMAL(7, 6)) AS DECIMAL(7, 6)
        )
    END AS read_share,
    sum(cost_usd) AS cost_usd,
    sum(cache_saved_usd) AS cache_saved_usd
FROM marts.cost_daily
WHERE cache_read_tokens > 0 OR cache_write_5m_tokens > 0 OR cache_write_1h_tokens > 0
GROUP BY month, workflow_name, agent_id, agent_name, provider, model
