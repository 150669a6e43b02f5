SELECT DISTINCT ON (source) source, rank
FROM price_sources
WHERE %(known_at)s::timestamptz IS NULL OR fetched_at <= %(known_at)s
ORDER BY source, fetched_at DESC, recorded_at DESC
