-- One row of an administrator's; known after whatever was known of the same price.
INSERT INTO model_pricing (
    provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, usd_per_million,
    known_from, withdrawn, source, operator_id, reason
)
SELECT
    %(provider)s, %(model)s, %(service_tier)s, %(region)s, %(context_tier)s, %(daily_window)s, %(usage_kind)s,
    %(valid_from)s, %(usd_per_million)s, greatest(%(now)s, max(known_from) + interval '1 microsecond'), %(withdrawn)s,
    'admin', %(operator)s, %(reason)s
FROM model_pricing
WHERE source = 'admin'
    AND provider = %(provider)s
    AND model = %(model)s
    AND service_tier = %(service_tier)s
    AND region = %(region)s
    AND context_tier = %(context_tier)s
    AND daily_window = %(daily_window)s
    AND usage_kind = %(usage_kind)s
    AND valid_from = %(valid_from)s
RETURNING id, known_from
