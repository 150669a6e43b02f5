-- Calls, tokens and costs of all records are those of all model calls, corrections included.
SELECT part.calls, part.total_tokens, part.cost_usd, whole.calls AS all_calls, whole.cost_usd AS all_cost_usd
FROM (
    SELECT
        coalesce(sum(calls), 0) AS calls,
        coalesce(sum(tokens_in + tokens_out), 0) AS total_tokens,
        coalesce(sum(cost_usd), 0) AS cost_usd,
        coalesce(sum(estimated_cost_usd), 0) AS estimated_cost_usd
    FROM marts.billing_records
) AS part
CROSS JOIN (
    SELECT
        count(*) AS calls,
        coalesce(sum(total_tokens), 0) AS total_tokens,
        coalesce(sum(corrected_cost_usd), 0) AS cost_usd,
        coalesce(sum(estimated_cost_usd), 0) AS estimated_cost_usd
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
) AS whole
WHERE
    part.calls <> whole.calls
    OR part.total_tokens <> whole.total_tokens
    OR part.cost_usd <> whole.cost_usd
    OR part.estimated_cost_usd <> whole.estimated_cost_usd;

-- What is billed differs from the cost by half a cent at most, and is nothing where nothing is priced.
SELECT user_id, customer_id, period, model, record_type, month, cost_usd, billed_amount
FROM marts.billing_records
WHERE
    (cost_usd IS NULL) <> (billed_amount IS NULL)
    OR abs(cost_usd - billed_amount) > 0.005;
