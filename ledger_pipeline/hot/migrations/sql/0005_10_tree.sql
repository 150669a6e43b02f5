-- The ledger's one RFC 6962 tree: checkpoints, committed weeks and epochs in the order in which they came to be. A leaf
-- is added in the transaction that writes its row. Whoever adds one holds the last lock that he takes until he commits,
-- so places are gapless and in order.

CREATE TABLE tree_leaves (
    place bigint PRIMARY KEY CHECK (place >= 0),
    kind text NOT NULL CHECK (kind IN ('checkpoint', 'week', 'epoch')),
    key text NOT NULL,
    canonical_text text NOT NULL,
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
    UNIQUE (kind, key)
);
COMMENT ON TABLE tree_leaves IS
    'The leaves of the one RFC 6962 tree, by their place in it; leaf is the SHA-256 of the canonical text. See docs/proof.md.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tree_leaves FOR EACH ROW EXECUTE FUNCTION refuse_change();
ALTER TABLE tree_leaves ENABLE ALWAYS TRIGGER append_only;
SELECT protect_rows_from_truncate('tree_leaves');

-- Canonical texts: kind, version of the text, key, then the row's columns, joined like an event's by U+001F. Every column
-- is in it, so that each one's change shows; of a manifest row but the state, which is committed.
CREATE FUNCTION tree_text(c checkpoints) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN array_to_string(ARRAY[
    'checkpoint', '1', (c).n::text, (c).epoch::text, (c).first_tx::text, (c).end_tx::text, (c).events::text,
    encode((c).root, 'hex'), (extract(epoch FROM (c).closed_at) * 1000000)::bigint::text
], chr(31), '');

CREATE FUNCTION tree_text(m archive_manifest) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN array_to_string(ARRAY[
    'week', '1', to_char((m).week, 'YYYY-MM-DD'), (m).fencing_token::text, (m).instance_id::text, (m).events::text,
    (m).first_epoch::text, (m).first_tx::text, (m).last_epoch::text, (m).last_tx::text, (m).checkpoint::text,
    encode((m).hot_root, 'hex'), encode((m).root, 'hex'), (m).bytes::text, (m).schema_version::text,
    (extract(epoch FROM (m).sealed_at) * 1000000)::bigint::text,
    (extract(epoch FROM (m).written_at) * 1000000)::bigint::text,
    (extract(epoch FROM (m).verified_at) * 1000000)::bigint::text,
    (extract(epoch FROM (m).committed_at) * 1000000)::bigint::text,
    (
        SELECT string_agg(array_to_string(ARRAY[
            file ->> 'name', file ->> 'sha256', file ->> 'bytes', file ->> 'events',
            file ->> 'first_execution_id', file ->> 'last_execution_id'
        ], chr(31), ''), chr(31) ORDER BY nth)
        FROM jsonb_array_elements((m).files) WITH ORDINALITY AS f (file, nth)
    )
], chr(31), '');

CREATE FUNCTION tree_text(e ledger_epochs) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN array_to_string(ARRAY[
    'epoch', '1', (e).epoch::text, (e).system_identifier, (e).timeline, (e).database_oid::text, (e).instance_id::text,
    (extract(epoch FROM (e).opened_at) * 1000000)::bigint::text, (e).reason
], chr(31), '');

CREATE FUNCTION add_tree_leaf(new_text text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, ledger, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(19524, 2007);
    INSERT INTO tree_leaves (place, kind, key, canonical_text, leaf)
    SELECT coalesce(max(place) + 1, 0), split_part(new_text, chr(31), 1), split_part(new_text, chr(31), 3), new_text,
        sha256(convert_to(new_text, 'UTF8'))
    FROM tree_leaves;
END
$$;

CREATE FUNCTION add_to_tree() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
AS $$
BEGIN
    PERFORM add_tree_leaf(tree_text(NEW));
    RETURN NULL;
END
$$;

-- What there is already, in the order of its time.
CREATE FUNCTION tree_texts_by_time() RETURNS TABLE (canonical_text text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, ledger, pg_temp
AS $$
    SELECT texts.canonical_text
    FROM (
        SELECT opened_at, 1, epoch, tree_text(e) FROM ledger_epochs e
        UNION ALL
        SELECT closed_at, 2, n, tree_text(c) FROM checkpoints c
        UNION ALL
        SELECT committed_at, 3, week - '1970-01-05'::date, tree_text(m) FROM archive_manifest m WHERE state = 'committed'
    ) AS texts (at, kind, nth, canonical_text)
    ORDER BY at, kind, nth
$$;

SELECT add_tree_leaf(canonical_text) FROM tree_texts_by_time();

CREATE TRIGGER in_tree AFTER INSERT ON checkpoints FOR EACH ROW EXECUTE FUNCTION add_to_tree();
CREATE TRIGGER in_tree AFTER INSERT ON ledger_epochs FOR EACH ROW EXECUTE FUNCTION add_to_tree();
CREATE TRIGGER in_tree AFTER UPDATE ON archive_manifest
    FOR EACH ROW WHEN (OLD.state <> 'committed' AND NEW.state = 'committed') EXECUTE FUNCTION add_to_tree();
ALTER TABLE checkpoints ENABLE ALWAYS TRIGGER in_tree;
ALTER TABLE ledger_epochs ENABLE ALWAYS TRIGGER in_tree;
ALTER TABLE archive_manifest ENABLE ALWAYS TRIGGER in_tree;

REVOKE ALL ON FUNCTION
    tree_text(checkpoints), tree_text(archive_manifest), tree_text(ledger_epochs), add_tree_leaf(text), add_to_tree(),
    tree_texts_by_time()
FROM PUBLIC;
-- Like checkpoints, the tree tells of all drives together.
GRANT SELECT ON tree_leaves TO ledger_archiver;
