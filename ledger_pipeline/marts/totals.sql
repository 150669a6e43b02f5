-- What {table} adds up to, where it differs from all model calls of workflows.
SELECT part.calls, part.total_tokens, part.cost_usd, whole.calls AS all_calls, whole.cost_usd AS all_cost_usd
FROM (
    SELECT
        coalesce(sum(calls), 0) AS calls,
        coalesce(sum(total_tokens), 0) AS total_tokens,
        coalesce(sum(cost_usd), 0) AS cost_usd,
        coalesce(sum(estimated_cost_usd), 0) AS estimated_cost_usd
    FROM {table}
) AS part
CROSS JOIN (
    SELECT
        count(*) AS calls,
        coalesce(sum(total_tokens), 0) AS total_tokens,
        coalesce(sum(cost_usd), 0) AS cost_usd,
        coalesce(sum(estimated_cost_usd), 0) AS estimated_cost_usd
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
) AS whole
WHERE
    part.calls <> whole.calls
    OR part.total_tokens <> whole.total_tokens
    OR part.cost_usd <> whole.cost_usd
    OR part.estimated_cost_usd <> whole.estimated_cost_usd
