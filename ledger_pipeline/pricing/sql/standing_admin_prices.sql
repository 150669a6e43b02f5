-- The usage kinds that an administrator priced in one variant from one instant on, as known now.
SELECT DISTINCT ON (usage_kind) usage_kind, withdrawn
FROM model_pricing
WHERE source = 'admin'
    AND provider = %(provider)s
    AND model = %(model)s
    AND service_tier = %(service_tier)s
    AND region = %(region)s
    AND context_tier = %(context_tier)s
    AND daily_window = %(daily_window)s
    AND valid_from = %(valid_from)s
ORDER BY usage_kind, known_from DESC
