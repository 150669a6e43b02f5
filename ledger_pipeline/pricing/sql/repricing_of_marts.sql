-- The calls of the current marts that may cost something else than what they cost so far, corrections included. A call
-- was priced with the book of its time, so it costs the same still unless since then, or within a day before (an import
-- may be that long under way with one book), a price of its model was learnt that holds at its time, or what all prices
-- follow from changed; unless its names mean another model now; or somebody else priced it.
WITH learnt AS (
    SELECT provider || '/' || model AS priced_model, valid_from, max(recorded_at) AS recorded_at
    FROM staging.model_pricing
    GROUP BY provider, model, valid_from
),

renamed AS (
    SELECT
        unnest($providers::VARCHAR[]) AS provider,
        unnest($models::VARCHAR[]) AS model,
        unnest($priced_models::VARCHAR[]) AS priced_model
),

priced_by AS (
    SELECT price_versions, unnest(string_split(price_versions, ',')) AS price_id
    FROM (SELECT DISTINCT price_versions FROM marts.model_usage WHERE price_versions IS NOT NULL) AS priced
),

foreign_prices AS (
    SELECT DISTINCT priced_by.price_versions
    FROM priced_by
    ANTI JOIN staging.model_pricing AS booked ON priced_by.price_id = booked.price_id
)

SELECT
    CAST(event_id AS VARCHAR) AS event_id,
    CAST(execution_id AS VARCHAR) AS execution_id,
    sequence,
    model_call_id,
    provider,
    model,
    service_tier,
    region,
    occurred_at,
    input_tokens,
    cache_read_tokens,
    cache_write_5m_tokens,
    cache_write_1h_tokens,
    output_tokens,
    reasoning_tokens,
    input_audio_tokens,
    cache_audio_read_tokens,
    output_audio_tokens,
    input_image_tokens,
    output_image_tokens,
    requests,
    corrected_cost_usd AS cost_usd,
    CAST(NULL AS VARCHAR) AS payload
FROM marts.model_usage AS usage
WHERE
    usage.recorded_at < CAST($all_changed_at AS TIMESTAMPTZ) + INTERVAL 1 DAY
    OR EXISTS (
        SELECT 1
        FROM learnt
        WHERE learnt.priced_model = usage.priced_model
            AND learnt.valid_from <= usage.occurred_at
            AND usage.recorded_at < learnt.recorded_at + INTERVAL 1 DAY
    )
    OR EXISTS (
        SELECT 1
        FROM renamed
        WHERE renamed.provider IS NOT DISTINCT FROM usage.provider
            AND renamed.model = usage.model
            AND renamed.priced_model IS NOT DISTINCT FROM usage.priced_model
    )
    OR usage.price_versions IN (SELECT price_versions FROM foreign_prices)
    OR (usage.priced AND usage.price_versions IS NULL AND usage.total_tokens > 0)
