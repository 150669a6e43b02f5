-- The price rows that count as known at an instant; NULL: now, whatever has been learnt.
SELECT DISTINCT ON (
    provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from
)
    id, provider, model, service_tier, region, context_tier, daily_window, usage_kind, usd_per_million, valid_from,
    known_from, withdrawn, source, source_version
FROM model_pricing
WHERE %(known_at)s::timestamptz IS NULL OR known_from <= %(known_at)s
ORDER BY
    provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from, known_from DESC
