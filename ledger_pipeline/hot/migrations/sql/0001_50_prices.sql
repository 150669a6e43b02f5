-- The price book: insert-only and bitemporal. A row says: from `valid_from` on, as known since `known_from`, this
-- source prices this usage of this variant of a model so. Nothing is ever corrected in place; ends are derived.

CREATE FUNCTION refuse_price_change() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'ledger.% is insert-only: add a row with a later known_from instead of a %', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE model_pricing (
    id              uuid PRIMARY KEY DEFAULT ledger.uuidv7(),
    provider        text NOT NULL CHECK (provider <> ''),
    model           text NOT NULL CHECK (model <> ''),
    service_tier    text NOT NULL DEFAULT 'standard' CHECK (service_tier <> ''),
    region          text NOT NULL DEFAULT 'any' CHECK (region <> ''),
    context_tier    bigint NOT NULL DEFAULT 0 CHECK (context_tier BETWEEN 0 AND 1000000000000),
    daily_window    text NOT NULL DEFAULT 'any'
        CHECK (daily_window ~ '^(any|([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])$'),
    usage_kind      text NOT NULL CHECK (usage_kind ~ '^[a-z][a-z0-9_]*$'),
    usd_per_million numeric(38, 12) CHECK (usd_per_million BETWEEN 0 AND 1000000000),
    valid_from      timestamptz NOT NULL CHECK (isfinite(valid_from)),
    known_from      timestamptz NOT NULL CHECK (isfinite(known_from)),
    withdrawn       boolean NOT NULL DEFAULT false CHECK (NOT withdrawn OR usd_per_million IS NULL),
    source          text NOT NULL CHECK (source <> ''),
    source_version  text NOT NULL DEFAULT '',
    operator_id     text CHECK (operator_id <> ''),
    reason          text CHECK (reason <> ''),
    recorded_at     timestamptz NOT NULL DEFAULT statement_timestamp(),
    CHECK (source <> 'admin' OR (operator_id IS NOT NULL AND reason IS NOT NULL)),
    UNIQUE (provider, model, service_tier, region, context_tier, daily_window, usage_kind, source, valid_from, known_from)
);

COMMENT ON TABLE model_pricing IS
    'Prices by model variant and usage kind, insert-only and bitemporal. The answer at (T, K): of each valid_from the row '
    'with the latest known_from at or before K, withdrawn ones left out, then the greatest valid_from at or before T.';
COMMENT ON COLUMN model_pricing.service_tier IS 'standard, batch, priority, flex, fast … as the provider calls it.';
COMMENT ON COLUMN model_pricing.region IS 'Region with a price of its own; any: everywhere else.';
COMMENT ON COLUMN model_pricing.context_tier IS
    'Applies to requests of MORE than this many input tokens, cached ones included, and then to the whole request; 0: the base price.';
COMMENT ON COLUMN model_pricing.daily_window IS
    'HH:MM-HH:MM in UTC, start inclusive, end exclusive, over midnight where the end is earlier; any: the rest of the day.';
COMMENT ON COLUMN model_pricing.usage_kind IS 'A token bucket of TokensUpdated, or requests.';
COMMENT ON COLUMN model_pricing.usd_per_million IS
    'USD per million tokens (or requests). NULL: from valid_from on the source has no price of its own here.';
COMMENT ON COLUMN model_pricing.valid_from IS 'Start of the price; 1970-01-01 00:00 UTC: from the model''s beginning.';
COMMENT ON COLUMN model_pricing.known_from IS 'Since when the ledger knows it.';
COMMENT ON COLUMN model_pricing.withdrawn IS 'The source took the row of this valid_from back: it was never so.';
COMMENT ON COLUMN model_pricing.source IS 'Who says so; rows of admin win over every catalogue.';

CREATE TABLE price_rules (
    id             uuid PRIMARY KEY DEFAULT ledger.uuidv7(),
    kind           text NOT NULL CHECK (kind ~ '^[a-z][a-z_]*$'),
    provider       text NOT NULL DEFAULT '',
    model          text NOT NULL DEFAULT '',
    match          jsonb CHECK (jsonb_typeof(match) = 'object'),
    known_from     timestamptz NOT NULL CHECK (isfinite(known_from)),
    withdrawn      boolean NOT NULL DEFAULT false CHECK (withdrawn = (match IS NULL)),
    source         text NOT NULL CHECK (source <> ''),
    source_version text NOT NULL DEFAULT '',
    recorded_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
    UNIQUE (source, kind, provider, model, known_from)
);

COMMENT ON TABLE price_rules IS
    'How the names that calls give become providers and models of the price book: rules as data, insert-only, the latest '
    'known_from of each (source, kind, provider, model) counts.';

CREATE TABLE price_sources (
    id            uuid PRIMARY KEY DEFAULT ledger.uuidv7(),
    source        text NOT NULL CHECK (source <> ''),
    version       text NOT NULL DEFAULT '',
    fetched_at    timestamptz NOT NULL CHECK (isfinite(fetched_at)),
    content_hash  bytea CHECK (octet_length(content_hash) = 32),
    rank          integer NOT NULL CHECK (rank >= 0),
    status        text NOT NULL CHECK (status IN ('loaded', 'unchanged', 'failed')),
    error         text,
    prices        integer NOT NULL DEFAULT 0 CHECK (prices >= 0),
    rules         integer NOT NULL DEFAULT 0 CHECK (rules >= 0),
    rows_new      integer NOT NULL DEFAULT 0 CHECK (rows_new >= 0),
    rows_changed  integer NOT NULL DEFAULT 0 CHECK (rows_changed >= 0),
    rows_withdrawn integer NOT NULL DEFAULT 0 CHECK (rows_withdrawn >= 0),
    recorded_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
    CHECK ((status = 'failed') = (error IS NOT NULL)),
    CHECK (status = 'failed' OR content_hash IS NOT NULL)
);
CREATE INDEX price_sources_by_source ON price_sources (source, fetched_at);

COMMENT ON TABLE price_sources IS 'Every reading of a price source: what it was, how much of it was new, or why it failed.';
COMMENT ON COLUMN price_sources.rank IS 'Place among the sources, best first from 0: the best that lists a model prices it.';

DO $$
DECLARE
    insert_only text;
BEGIN
    FOREACH insert_only IN ARRAY ARRAY['model_pricing', 'price_rules', 'price_sources'] LOOP
        EXECUTE format(
            'CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_price_change()',
            insert_only
        );
        EXECUTE format(
            'CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_price_change()',
            insert_only
        );
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER insert_only', insert_only);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_truncated', insert_only);
    END LOOP;
END
$$;

CREATE VIEW model_pricing_history WITH (security_invoker = true) AS
SELECT
    p.*,
    lead(p.known_from) OVER (
        PARTITION BY
            p.provider, p.model, p.service_tier, p.region, p.context_tier, p.daily_window, p.usage_kind, p.source,
            p.valid_from
        ORDER BY p.known_from
    ) AS known_to
FROM model_pricing AS p;

COMMENT ON VIEW model_pricing_history IS 'Every price row with the time at which a later row replaced it; NULL: it still counts.';

CREATE VIEW current_model_pricing WITH (security_invoker = true) AS
SELECT
    h.*,
    lead(h.valid_from) OVER (
        PARTITION BY h.provider, h.model, h.service_tier, h.region, h.context_tier, h.daily_window, h.usage_kind, h.source
        ORDER BY h.valid_from
    ) AS valid_to
FROM model_pricing_history AS h
WHERE h.known_to IS NULL AND NOT h.withdrawn;

COMMENT ON VIEW current_model_pricing IS 'Prices as known now with the end of each; NULL: open.';
