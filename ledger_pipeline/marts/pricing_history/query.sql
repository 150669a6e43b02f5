-- Every price that the price book ever knew, with the ends that later rows give it.
WITH known AS (
    SELECT
        *,
        lead(known_from) OVER (
            PARTITION BY
                provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from
            ORDER BY known_from
        ) AS known_to
    FROM staging.model_pricing
),

in_force AS (
    SELECT
        price_id,
        lead(valid_from) OVER (
            PARTITION BY provider, model, service_tier, region, context_tier, daily_window, usage_kind, source
            ORDER BY valid_from
        ) AS valid_to
    FROM known
    WHERE known_to IS NULL AND NOT withdrawn
)

SELECT
    CAST(known.price_id AS UUID) AS price_id,
    known.provider,
    known.model,
    known.service_tier,
    known.region,
    known.context_tier,
    known.daily_window,
    known.usage_kind,
    known.usd_per_million,
    known.valid_from,
    in_force.valid_to,
    known.known_from,
    known.known_to,
    known.withdrawn,
    in_force.price_id IS NOT NULL AS in_force,
    known.source,
    known.source_version,
    known.operator_id,
    known.reason,
    known.recorded_at
FROM known
LEFT JOIN in_force ON known.price_id = in_force.price_id
