-- warning: What could not be priced is estimated, never $0.
SELECT *
FROM marts.unpriced_usage
WHERE total_tokens > 0 AND (estimated_cost_usd IS NULL OR estimated_cost_usd <= 0);

-- Every unpriced call is counted.
SELECT listed.calls, unpriced.calls AS unpriced_calls
FROM (SELECT coalesce(sum(calls), 0) AS calls FROM marts.unpriced_usage) AS listed
CROSS JOIN (SELECT count(*) AS calls FROM marts.model_usage WHERE NOT priced) AS unpriced
WHERE listed.calls <> unpriced.calls;
