SELECT DISTINCT ON (source, kind, provider, model) kind, provider, model, match, withdrawn, source
FROM price_rules
WHERE %(known_at)s::timestamptz IS NULL OR known_from <= %(known_at)s
ORDER BY source, kind, provider, model, known_from DESC
