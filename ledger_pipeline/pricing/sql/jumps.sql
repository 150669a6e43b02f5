-- Prices of a catalogue that are more than ten times, or less than a tenth of, what its source said before.
WITH listed AS (
    SELECT *
    FROM unnest(
        %(provider)s::text[], %(model)s::text[], %(service_tier)s::text[], %(region)s::text[], %(context_tier)s::bigint[],
        %(daily_window)s::text[], %(usage_kind)s::text[], %(valid_from)s::timestamptz[], %(usd_per_million)s::numeric[]
    ) AS t (
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, usd_per_million
    )
),
known AS (
    SELECT DISTINCT ON (
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from
    )
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, usd_per_million,
        withdrawn
    FROM model_pricing
    WHERE source = %(source)s
    ORDER BY
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, known_from DESC
),
before AS (
    SELECT DISTINCT ON (
        l.provider, l.model, l.service_tier, l.region, l.context_tier, l.daily_window, l.usage_kind, l.valid_from
    )
        l.*, k.usd_per_million AS old_usd_per_million
    FROM listed AS l
    INNER JOIN known AS k
        USING (provider, model, service_tier, region, context_tier, daily_window, usage_kind)
    -- A price that ended for a while is still the one before.
    WHERE NOT k.withdrawn AND k.usd_per_million IS NOT NULL AND k.valid_from <= coalesce(l.valid_from, %(now)s)
    ORDER BY
        l.provider, l.model, l.service_tier, l.region, l.context_tier, l.daily_window, l.usage_kind, l.valid_from,
        k.valid_from DESC
)
SELECT provider, model, service_tier, region, context_tier, usage_kind, old_usd_per_million, usd_per_million
FROM before
WHERE greatest(usd_per_million, old_usd_per_million) > 10 * least(usd_per_million, old_usd_per_million)
    AND usd_per_million IS NOT NULL
ORDER BY provider, model, usage_kind, context_tier, service_tier, region
