-- Inserts what a source's catalogue says differently from what the ledger last knew of that source, and names it.
-- A dated catalogue lists every valid_from, so one that it no longer lists was withdrawn. An undated one lists only
-- today's prices: a difference starts now, and a price that is gone ends now. Either way a model that the source no
-- longer lists at all keeps its prices: catalogues drop retired models, and their calls were still made.
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
        known_from, withdrawn
    FROM model_pricing
    WHERE source = %(source)s
    ORDER BY
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, known_from DESC
),
today AS (
    SELECT DISTINCT ON (provider, model, service_tier, region, context_tier, daily_window, usage_kind)
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, usd_per_million
    FROM known
    WHERE NOT withdrawn AND valid_from <= %(now)s
    ORDER BY provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from DESC
),
stated AS (
    SELECT
        l.provider, l.model, l.service_tier, l.region, l.context_tier, l.daily_window, l.usage_kind,
        CASE
            WHEN %(dated)s THEN l.valid_from
            WHEN t.usd_per_million = l.usd_per_million THEN t.valid_from
            ELSE %(since)s
        END AS valid_from,
        l.usd_per_million
    FROM listed AS l
    LEFT JOIN today AS t
        USING (provider, model, service_tier, region, context_tier, daily_window, usage_kind)
    UNION ALL
    SELECT
        t.provider, t.model, t.service_tier, t.region, t.context_tier, t.daily_window, t.usage_kind, %(since)s, NULL
    FROM today AS t
    WHERE NOT %(dated)s
        AND t.usd_per_million IS NOT NULL
        AND (t.provider, t.model) IN (SELECT provider, model FROM listed)
        AND NOT EXISTS (
            SELECT FROM listed AS l
            WHERE (l.provider, l.model, l.service_tier, l.region, l.context_tier, l.daily_window, l.usage_kind)
                = (t.provider, t.model, t.service_tier, t.region, t.context_tier, t.daily_window, t.usage_kind)
        )
),
differing AS (
    SELECT
        CASE WHEN k.known_from IS NULL THEN 'new' ELSE 'changed' END AS change,
        s.*, k.usd_per_million AS old_usd_per_million, false AS withdrawn,
        -- Knowledge only grows: a run told an earlier time still writes after what was known.
        greatest(%(now)s, k.known_from + interval '1 microsecond') AS known_from
    FROM stated AS s
    LEFT JOIN known AS k
        USING (provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from)
    WHERE k.known_from IS NULL OR k.withdrawn OR k.usd_per_million IS DISTINCT FROM s.usd_per_million
    UNION ALL
    SELECT
        'withdrawn',
        k.provider, k.model, k.service_tier, k.region, k.context_tier, k.daily_window, k.usage_kind, k.valid_from, NULL,
        k.usd_per_million, true, greatest(%(now)s, k.known_from + interval '1 microsecond')
    FROM known AS k
    WHERE %(dated)s
        AND NOT k.withdrawn
        AND (k.provider, k.model) IN (SELECT provider, model FROM listed)
        AND NOT EXISTS (
            SELECT FROM listed AS l
            WHERE (
                l.provider, l.model, l.service_tier, l.region, l.context_tier, l.daily_window, l.usage_kind, l.valid_from
            ) = (
                k.provider, k.model, k.service_tier, k.region, k.context_tier, k.daily_window, k.usage_kind, k.valid_from
            )
        )
),
inserted AS (
    INSERT INTO model_pricing (
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, usd_per_million,
        known_from, withdrawn, source, source_version
    )
    SELECT
        provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from, usd_per_million,
        known_from, withdrawn, %(source)s, %(version)s
    FROM differing
)
SELECT
    change, provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from,
    old_usd_per_million, usd_per_million
FROM differing
ORDER BY provider, model, service_tier, region, context_tier, daily_window, usage_kind, valid_from
