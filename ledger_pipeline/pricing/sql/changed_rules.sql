-- Inserts the rules that a source states differently from what the ledger last knew of that source. Rules of models
-- that it no longer lists stay: calls of retired models still resolve.
WITH listed AS (
    SELECT *
    FROM unnest(%(kind)s::text[], %(provider)s::text[], %(model)s::text[], %(match)s::jsonb[])
        AS t (kind, provider, model, match)
),
known AS (
    SELECT DISTINCT ON (kind, provider, model) kind, provider, model, match, known_from, withdrawn
    FROM price_rules
    WHERE source = %(source)s
    ORDER BY kind, provider, model, known_from DESC
),
differing AS (
    SELECT
        l.kind, l.provider, l.model, l.match, false AS withdrawn,
        greatest(%(now)s, k.known_from + interval '1 microsecond') AS known_from
    FROM listed AS l
    LEFT JOIN known AS k USING (kind, provider, model)
    WHERE l.match IS DISTINCT FROM k.match
    UNION ALL
    SELECT
        k.kind, k.provider, k.model, NULL, true, greatest(%(now)s, k.known_from + interval '1 microsecond')
    FROM known AS k
    LEFT JOIN listed AS l USING (kind, provider, model)
    WHERE l.kind IS NULL AND NOT k.withdrawn AND k.kind <> 'model'
)
INSERT INTO price_rules (kind, provider, model, match, withdrawn, known_from, source, source_version)
SELECT kind, provider, model, match, withdrawn, known_from, %(source)s, %(version)s
FROM differing
