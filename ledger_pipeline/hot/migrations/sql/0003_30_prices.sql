-- What a price source said that was not believed: entries that are no prices, and jumps that wait for somebody's look.

ALTER TABLE price_sources ADD COLUMN faults text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN price_sources.faults IS
    'Entries of the reading that are no prices, and why; what was known of those models stays.';

CREATE TABLE price_reviews (
    id           uuid PRIMARY KEY DEFAULT ledger.uuidv7(),
    source       text NOT NULL CHECK (source <> ''),
    provider     text NOT NULL CHECK (provider <> ''),
    model        text NOT NULL CHECK (model <> ''),
    listed_hash  bytea NOT NULL CHECK (octet_length(listed_hash) = 32),
    status       text NOT NULL CHECK (status IN ('held', 'accepted', 'settled')),
    listed       jsonb NOT NULL CHECK (jsonb_typeof(listed) = 'object'),
    jumps        text[] NOT NULL DEFAULT '{}',
    seen_at      timestamptz NOT NULL CHECK (isfinite(seen_at)),
    operator_id  text CHECK (operator_id <> ''),
    reason       text CHECK (reason <> ''),
    recorded_at  timestamptz NOT NULL DEFAULT statement_timestamp(),
    CHECK (status <> 'accepted' OR (operator_id IS NOT NULL AND reason IS NOT NULL))
);
CREATE INDEX price_reviews_by_model ON price_reviews (source, provider, model, recorded_at);
COMMENT ON TABLE price_reviews IS
    'Models whose prices a source changed more than tenfold: held, not booked, until somebody accepts them or the source '
    'says otherwise (settled). Insert-only: the last row of a source''s model tells how it stands.';
COMMENT ON COLUMN price_reviews.listed IS 'The catalogue of this one model as the source listed it.';
COMMENT ON COLUMN price_reviews.listed_hash IS 'SHA-256 of that: another jump of the same model is another review.';
COMMENT ON COLUMN price_reviews.jumps IS 'The jumps, in words.';
COMMENT ON COLUMN price_reviews.seen_at IS 'When the source was first seen to say so; where it gives no dates, the start.';

CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE ON price_reviews
    FOR EACH ROW EXECUTE FUNCTION refuse_price_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON price_reviews
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_price_change();
CREATE TRIGGER logged AFTER INSERT ON price_reviews FOR EACH ROW WHEN (NEW.status = 'accepted')
    EXECUTE FUNCTION log_admin_action();
ALTER TABLE price_reviews ENABLE ALWAYS TRIGGER insert_only;
ALTER TABLE price_reviews ENABLE ALWAYS TRIGGER never_truncated;
ALTER TABLE price_reviews ENABLE ALWAYS TRIGGER logged;

GRANT SELECT ON price_reviews TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
GRANT INSERT ON price_reviews TO ledger_service;
