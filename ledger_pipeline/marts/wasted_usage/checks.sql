-- Every model call of an execution that ended without completing is listed.
SELECT listed.calls, spent.calls AS calls_of_lost_executions
FROM (SELECT count(*) AS calls FROM marts.wasted_usage WHERE reason LIKE 'execution_%') AS listed
CROSS JOIN (
    SELECT coalesce(sum(model_calls), 0) AS calls
    FROM marts.executions
    WHERE status IN ('failed', 'aborted', 'timeout', 'cancelled')
) AS spent
WHERE listed.calls <> spent.calls;

-- Its calls, tokens and costs are those that executions show as wasted.
SELECT listed.calls, shown.calls AS shown_calls, listed.cost_usd, shown.cost_usd AS shown_cost_usd
FROM (
    SELECT
        count(*) AS calls,
        coalesce(sum(total_tokens), 0) AS tokens,
        coalesce(sum(corrected_cost_usd), 0) AS cost_usd,
        coalesce(sum(corrected_estimate_usd), 0) AS estimate_usd
    FROM marts.wasted_usage
) AS listed
CROSS JOIN (
    SELECT
        coalesce(sum(wasted_calls), 0) AS calls,
        coalesce(sum(wasted_tokens), 0) AS tokens,
        coalesce(sum(wasted_cost_usd), 0) AS cost_usd,
        coalesce(sum(wasted_estimate_usd), 0) AS estimate_usd
    FROM marts.cost_by_execution
) AS shown
WHERE
    listed.calls <> shown.calls
    OR listed.tokens <> shown.tokens
    OR listed.cost_usd <> shown.cost_usd
    OR listed.estimate_usd <> shown.estimate_usd;
