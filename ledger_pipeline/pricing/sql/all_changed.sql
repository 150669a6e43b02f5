-- When it last changed what all prices follow from: the order of the sources, or which service tiers are the standard one.
SELECT max(recorded_at) AS changed_at
FROM (
    SELECT recorded_at
    FROM (
        SELECT recorded_at, rank, lag(rank) OVER (PARTITION BY source ORDER BY fetched_at, recorded_at) AS rank_before
        FROM price_sources
    ) AS readings
    WHERE rank <> rank_before
    UNION ALL
    SELECT recorded_at FROM price_rules WHERE kind = 'standard_tier'
) AS changes
