-- warning: Every correction belongs to a model call.
SELECT correction.*
FROM staging.corrections AS correction
LEFT JOIN marts.model_usage AS usage
    ON correction.execution_id = usage.execution_id AND correction.model_call_id = usage.model_call_id
WHERE usage.execution_id IS NULL;

-- The corrections shown add up to the differences that re-pricing runs found.
SELECT shown.total AS shown, found.total AS found
FROM (SELECT coalesce(sum(corrections_usd), 0) AS total FROM marts.model_usage) AS shown
CROSS JOIN (
    SELECT coalesce(sum(correction.difference_usd), 0) AS total
    FROM staging.corrections AS correction
    INNER JOIN marts.model_usage AS usage
        ON correction.execution_id = usage.execution_id AND correction.model_call_id = usage.model_call_id
) AS found
WHERE shown.total <> found.total;

-- warning: A call is priced and has a cost, or is unpriced and has none but says why and is estimated.
SELECT event_id, pricing_status, cost_usd, estimated_cost_usd, unpriced_reason
FROM marts.model_usage
WHERE priced <> (cost_usd IS NOT NULL)
    OR (NOT priced AND (unpriced_reason IS NULL OR estimated_cost_usd IS NULL));

-- warning: The cost of a priced call is the sum of its buckets.
SELECT event_id, cost_usd
FROM marts.model_usage
WHERE
    priced
    AND cost_usd <> coalesce(input_cost_usd, 0) + coalesce(cache_read_cost_usd, 0)
    + coalesce(cache_write_5m_cost_usd, 0) + coalesce(cache_write_1h_cost_usd, 0) + coalesce(output_cost_usd, 0)
    + coalesce(reasoning_cost_usd, 0) + coalesce(input_audio_cost_usd, 0) + coalesce(cache_audio_read_cost_usd, 0)
    + coalesce(output_audio_cost_usd, 0) + coalesce(input_image_cost_usd, 0) + coalesce(output_image_cost_usd, 0)
    + coalesce(requests_cost_usd, 0);
