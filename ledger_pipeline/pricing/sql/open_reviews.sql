-- The jumps that wait: of each source's model the last row, where that is a held one.
SELECT *
FROM (
    SELECT DISTINCT ON (source, provider, model) *
    FROM price_reviews
    ORDER BY source, provider, model, recorded_at DESC, id DESC
) AS latest
WHERE status = 'held'
ORDER BY seen_at, source, provider, model
