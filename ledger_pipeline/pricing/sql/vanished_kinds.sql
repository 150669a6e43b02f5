-- Per usage kind, of the prices in force of the models that a catalogue lists: how many it still lists, of how many.
WITH listed AS (
    SELECT *
    FROM unnest(
        %(provider)s::text[], %(model)s::text[], %(service_tier)s::text[], %(region)s::text[], %(context_tier)s::bigint[],
        %(daily_window)s::text[], %(usage_kind)s::text[]
    ) AS t (provider, model, service_tier, region, context_tier, daily_window, usage_kind)
),
today AS (
    SELECT DISTINCT ON (provider, model, service_tier, region, context_tier, daily_window, usage_kind)
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, usd_per_million, withdrawn
    FROM (
        SELECT DISTINCT ON (
            provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from
        )
            *
        FROM model_pricing
        WHERE source = %(source)s AND valid_from <= %(now)s
        ORDER BY
            provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, known_from DESC
    ) AS known
    WHERE NOT withdrawn
    ORDER BY provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from DESC
)
SELECT t.usage_kind, count(*) AS known, count(l.usage_kind) AS listed
FROM today AS t
LEFT JOIN listed AS l USING (provider, model, service_tier, region, context_tier, daily_window, usage_kind)
WHERE t.usd_per_million IS NOT NULL AND (t.provider, t.model) IN (SELECT provider, model FROM listed)
GROUP BY t.usage_kind
ORDER BY t.usage_kind
