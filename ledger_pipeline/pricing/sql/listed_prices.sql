-- The prices as known at one instant, with their ends, all of them or those of one moment; ends of prices are left out.
WITH known AS (
    SELECT DISTINCT ON (
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from
    )
        *
    FROM model_pricing
    WHERE (%(known_at)s::timestamptz IS NULL OR known_from <= %(known_at)s)
        AND (%(provider)s::text IS NULL OR provider = %(provider)s)
        AND (%(model)s::text IS NULL OR model = %(model)s)
    ORDER BY
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from,
        known_from DESC
),
valid AS (
    SELECT
        *,
        lead(valid_from) OVER (
            PARTITION BY provider, model, service_tier, region, context_tier, daily_window, usage_kind, source
            ORDER BY valid_from
        ) AS valid_to
    FROM known
    WHERE NOT withdrawn
)
SELECT
    id AS price_id, provider, model, service_tier, region, context_tier, daily_window, usage_kind, usd_per_million,
    valid_from, valid_to, known_from, source, source_version, operator_id, reason
FROM valid
WHERE usd_per_million IS NOT NULL
    AND (
        %(at)s::timestamptz IS NULL
        OR (valid_from <= %(at)s AND (valid_to IS NULL OR valid_to > %(at)s))
    )
ORDER BY provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from
