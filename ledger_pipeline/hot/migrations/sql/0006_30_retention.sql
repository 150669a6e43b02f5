-- Retention after the cold store. Files are removed by the archiver's program; here it is judged whether a week may go,
-- and what is left of it is kept: its manifest row with count, root and hashes, who removed it and why, where each
-- execution's events began and ended, and what its model calls cost. A legal hold stops it.

CREATE TABLE legal_holds (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    scope text NOT NULL CHECK (scope IN ('ledger', 'execution', 'customer', 'drive')),
    subject_id uuid,
    reason text NOT NULL CHECK (reason <> ''),
    placed_by text NOT NULL CHECK (placed_by <> ''),
    placed_login text NOT NULL DEFAULT session_user,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_at timestamptz,
    lifted_by text CHECK (lifted_by <> ''),
    lifted_login text,
    lift_reason text CHECK (lift_reason <> ''),
    CHECK ((scope = 'ledger') = (subject_id IS NULL)),
    CHECK (num_nonnulls(lifted_at, lifted_by, lifted_login, lift_reason) IN (0, 4))
);
COMMENT ON TABLE legal_holds IS
    'What must be kept, whatever retention says: the whole ledger, an execution, or all that is of a customer or a drive.';
COMMENT ON COLUMN legal_holds.placed_by IS 'The person; placed_login is the login of the session.';
COMMENT ON COLUMN legal_holds.lifted_at IS 'NULL while the hold stands. A lifted hold stays on record.';

CREATE FUNCTION keep_hold() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.lifted_at IS NOT NULL
        OR (NEW.id, NEW.scope, NEW.subject_id, NEW.reason, NEW.placed_by, NEW.placed_login, NEW.placed_at) IS DISTINCT FROM
            (OLD.id, OLD.scope, OLD.subject_id, OLD.reason, OLD.placed_by, OLD.placed_login, OLD.placed_at)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'LG006',
            MESSAGE = format('legal hold %s: a hold can be lifted, once, and nothing else of it changes', OLD.id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON legal_holds FOR EACH ROW EXECUTE FUNCTION keep_hold();
ALTER TABLE legal_holds ENABLE ALWAYS TRIGGER kept;
SELECT protect_rows_from_truncate('legal_holds');

CREATE TABLE removed_weeks (
    week date PRIMARY KEY REFERENCES archive_manifest (week),
    events bigint NOT NULL CHECK (events > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    executions bigint NOT NULL CHECK (executions > 0),
    segments_hash bytea NOT NULL CHECK (octet_length(segments_hash) = 32),
    costs text NOT NULL,
    costs_hash bytea NOT NULL CHECK (costs_hash = sha256(convert_to(costs, 'UTF8'))),
    retention_days integer NOT NULL CHECK (retention_days > 0),
    removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_by text NOT NULL CHECK (removed_by <> '' AND strpos(removed_by, chr(31)) = 0),
    removed_login text NOT NULL DEFAULT session_user,
    reason text NOT NULL CHECK (reason <> '' AND strpos(reason, chr(31)) = 0)
);
COMMENT ON TABLE removed_weeks IS
    'Weeks whose files were removed under retention; each is a leaf of the tree, so that no file goes missing under its name.';
COMMENT ON COLUMN removed_weeks.segments_hash IS 'SHA-256 over the week''s rows of removed_segments, as removed_segments_hash() has it.';
COMMENT ON COLUMN removed_weeks.costs IS
    'JSON: what the week''s model calls cost, in the columns of the mart cost_daily, so that totals of the past stay as they were.';

CREATE TABLE removed_segments (
    week date NOT NULL REFERENCES removed_weeks (week),
    execution_id uuid NOT NULL REFERENCES execution_heads (id),
    first_sequence bigint NOT NULL CHECK (first_sequence > 0),
    last_sequence bigint NOT NULL CHECK (last_sequence >= first_sequence),
    first_leaf bytea NOT NULL CHECK (octet_length(first_leaf) = 32),
    first_hash bytea NOT NULL CHECK (octet_length(first_hash) = 32),
    last_hash bytea NOT NULL CHECK (octet_length(last_hash) = 32),
    PRIMARY KEY (execution_id, week)
);
COMMENT ON TABLE removed_segments IS
    'Of each execution of a removed week, where its events began and ended: what its hash chain needs to go on across the gap.';
CREATE INDEX removed_segments_week ON removed_segments (week);

DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['removed_weeks', 'removed_segments'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', place);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', place);
        PERFORM protect_rows_from_truncate(place::regclass);
    END LOOP;
END $$;

CREATE FUNCTION removed_segments_hash(of_week date) RETURNS bytea
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, ledger, pg_temp
AS $$
    SELECT sha256(convert_to(coalesce(string_agg(concat_ws(',', execution_id, first_sequence, last_sequence,
        encode(first_leaf, 'hex'), encode(first_hash, 'hex'), encode(last_hash, 'hex')), ';' ORDER BY execution_id), ''), 'UTF8'))
    FROM removed_segments WHERE week = of_week
$$;

-- The removal is a leaf of the tree like the week itself.
ALTER TABLE tree_leaves DROP CONSTRAINT tree_leaves_kind_check;
ALTER TABLE tree_leaves ADD CONSTRAINT tree_leaves_kind_check CHECK (kind IN ('checkpoint', 'week', 'epoch', 'removal'));

CREATE FUNCTION tree_text(r removed_weeks) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN array_to_string(ARRAY[
    'removal', '1', to_char((r).week, 'YYYY-MM-DD'), (r).events::text, encode((r).root, 'hex'), (r).executions::text,
    encode((r).segments_hash, 'hex'), encode((r).costs_hash, 'hex'), (r).retention_days::text,
    (extract(epoch FROM (r).removed_at) * 1000000)::bigint::text, (r).removed_by, (r).removed_login, (r).reason
], chr(31), '');
CREATE TRIGGER in_tree AFTER INSERT ON removed_weeks FOR EACH ROW EXECUTE FUNCTION add_to_tree();
ALTER TABLE removed_weeks ENABLE ALWAYS TRIGGER in_tree;

-- What readers are told instead of the events.
CREATE FUNCTION removal_text(r removed_weeks) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN 'removed under retention on ' || to_char((r).removed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ' by ' || (r).removed_by
    || ': ' || (r).reason;

DROP FUNCTION cold_files(date, date, uuid);
CREATE FUNCTION cold_files(p_first date, p_last date, p_execution_id uuid DEFAULT NULL)
RETURNS TABLE (week date, schema_version integer, files jsonb, removal text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    -- The files of the committed weeks between two Mondays, either NULL for no bound, oldest first: name, SHA-256 and
    -- size, without counts and ids, which are of every drive. Of an execution, which the session must be able to read:
    -- those that may hold events of it. A removed week comes with who removed it; of an execution, when it had events of it.
    SELECT m.week, m.schema_version, coalesce((
        SELECT jsonb_agg(jsonb_build_object('name', f.file -> 'name', 'sha256', f.file -> 'sha256', 'bytes', f.file -> 'bytes')
            ORDER BY f.nth)
        FROM jsonb_array_elements(m.files) WITH ORDINALITY AS f (file, nth)
        WHERE r.week IS NULL AND (p_execution_id IS NULL
            OR p_execution_id::text COLLATE "C" BETWEEN f.file ->> 'first_execution_id' AND f.file ->> 'last_execution_id')
    ), '[]'),
    CASE WHEN s.week IS NULL THEN removal_text(r)
        ELSE format('events %s to %s of execution %s were ', s.first_sequence, s.last_sequence, p_execution_id) || removal_text(r)
    END
    FROM archive_manifest m
    LEFT JOIN removed_weeks r ON r.week = m.week
    LEFT JOIN removed_segments s ON s.week = m.week AND s.execution_id = p_execution_id
    WHERE m.state = 'committed'
        AND m.week BETWEEN coalesce(p_first, '-infinity') AND coalesce(p_last, 'infinity')
        AND (r.week IS NULL OR p_execution_id IS NULL OR s.week IS NOT NULL)
        AND (p_execution_id IS NULL
            OR pg_has_role(session_user, 'ledger_archiver', 'USAGE') OR pg_has_role(session_user, 'ledger_owner', 'USAGE')
            OR EXISTS (SELECT FROM workflow_executions x
                WHERE x.id = p_execution_id AND x.drive_id = ANY (drives_with_access('read')))
            OR EXISTS (SELECT FROM execution_heads h
                WHERE h.id = p_execution_id AND h.pruned_drive_id = ANY (drives_with_access('read'))))
    ORDER BY m.week
$$;

CREATE FUNCTION place_hold(p_scope text, p_subject_id uuid, p_by text, p_reason text) RETURNS legal_holds
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Places a legal hold. Of an execution that isn't there none is placed: it would hold nothing.
DECLARE
    hold legal_holds;
BEGIN
    IF p_scope = 'execution' AND NOT EXISTS (SELECT FROM execution_heads h WHERE h.id = p_subject_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG010', MESSAGE = format('execution: %s does not exist, so it can not be held', p_subject_id);
    END IF;
    INSERT INTO legal_holds (scope, subject_id, reason, placed_by) VALUES (p_scope, p_subject_id, p_reason, p_by)
    RETURNING * INTO hold;
    PERFORM set_config('ledger.reason', p_reason, true);
    PERFORM record_admin_action('hold', 'legal_holds', hold.id::text, NULL, to_jsonb(hold));
    RETURN hold;
END $$;

CREATE FUNCTION lift_hold(p_id uuid, p_by text, p_reason text) RETURNS legal_holds
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    before legal_holds;
    hold legal_holds;
BEGIN
    SELECT * INTO before FROM legal_holds h WHERE h.id = p_id FOR UPDATE;
    IF NOT FOUND OR before.lifted_at IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LG010', MESSAGE = format('hold: %s is no hold that stands', p_id);
    END IF;
    UPDATE legal_holds SET lifted_at = clock_timestamp(), lifted_by = p_by, lifted_login = session_user, lift_reason = p_reason
    WHERE id = p_id RETURNING * INTO hold;
    PERFORM set_config('ledger.reason', p_reason, true);
    PERFORM record_admin_action('lift', 'legal_holds', hold.id::text, to_jsonb(before), to_jsonb(hold));
    RETURN hold;
END $$;

CREATE FUNCTION removal_obstacles(
    p_week date, p_retention_days integer, p_as_of timestamptz, p_execution_ids uuid[], p_customer_ids uuid[], p_drive_ids uuid[]
) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Why a week may not be removed, in words; no rows when it may. The ids are those that the week's events have: files are
-- not to be read from here. An execution goes whole, once it is pruned: what is derived from its events went before.
    SELECT format('a legal hold on %s, placed by %s on %s: %s (hold %s)',
        CASE scope WHEN 'ledger' THEN 'the whole ledger' ELSE format('the %s %s', scope, subject_id) END,
        placed_by, to_char(placed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), reason, id)
    FROM legal_holds h
    WHERE lifted_at IS NULL AND (
        scope = 'ledger'
        OR scope = 'execution' AND (subject_id = ANY (p_execution_ids)
            OR EXISTS (SELECT FROM execution_heads e WHERE e.id = subject_id AND p_week BETWEEN e.first_week AND e.last_week))
        OR scope = 'customer' AND subject_id = ANY (p_customer_ids)
        OR scope = 'drive' AND subject_id = ANY (p_drive_ids))
    UNION ALL
    SELECT format('its last instant is less than %s days old', p_retention_days)
    WHERE (p_week + 7)::timestamp AT TIME ZONE 'UTC' + make_interval(days => p_retention_days) > p_as_of
    UNION ALL
    (SELECT format('%s executions with events in it, such as %s, are not pruned: run "ledger-pipeline prune"; one that never '
        'ended has to be ended first', count(*), min(id::text))
    FROM execution_heads WHERE id = ANY (p_execution_ids) AND pruned_at IS NULL AND execution_kind <> 'budget'
    HAVING count(*) > 0)
    UNION ALL
    -- Budgets' streams never end, and hold limits and totals only.
    (SELECT format('%s executions with events in it, such as %s, go on into the week %s, which is to be kept',
        count(*), min(id::text), max(last_week))
    FROM execution_heads
    WHERE id = ANY (p_execution_ids) AND execution_kind <> 'budget'
        AND (last_week + 7)::timestamp AT TIME ZONE 'UTC' + make_interval(days => p_retention_days) > p_as_of
    HAVING count(*) > 0)
$$;

CREATE FUNCTION remove_week(
    p_week date, p_retention_days integer, p_as_of timestamptz, p_by text, p_reason text, p_segments json,
    p_customer_ids uuid[], p_drive_ids uuid[], p_costs text
) RETURNS removed_weeks
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp
SET lock_timeout = '2s'
AS $$
-- Puts a committed week's tombstone in place of its files, which the caller removes afterwards: readers are told so from
-- here on. Raises lock_not_available while a reader of hot and cold is under way.
DECLARE
    row_of_week archive_manifest;
    obstacle text;
    told record;
    removed removed_weeks;
BEGIN
    PERFORM assert_epoch();
    IF p_as_of > clock_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = 'LG011',
            MESSAGE = format('now: %s is ahead of the server''s clock: nothing is removed before its time', p_as_of);
    END IF;
    -- No hold is placed and no reader is between manifest and files while it is judged.
    LOCK TABLE legal_holds IN SHARE MODE;
    LOCK TABLE archive_manifest IN ACCESS EXCLUSIVE MODE;
    SELECT * INTO row_of_week FROM archive_manifest WHERE week = p_week;
    IF NOT FOUND OR row_of_week.state <> 'committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'LG010', MESSAGE = format('week: %s is not in the cold store', p_week);
    END IF;
    SELECT count(*) AS executions, sum(last_sequence - first_sequence + 1) AS events, array_agg(execution_id) AS ids INTO told
    FROM json_populate_recordset(NULL::removed_segments, p_segments);
    IF told.events IS DISTINCT FROM row_of_week.events THEN
        RAISE EXCEPTION USING ERRCODE = 'LG005',
            MESSAGE = format('week %s has %s events; what was told of its executions makes %s', p_week, row_of_week.events, told.events);
    END IF;
    SELECT o INTO obstacle FROM removal_obstacles(p_week, p_retention_days, p_as_of, told.ids, p_customer_ids, p_drive_ids) o LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'LG006', MESSAGE = format('week %s stays: %s', p_week, obstacle);
    END IF;
    INSERT INTO removed_weeks (week, events, root, executions, segments_hash, costs, costs_hash, retention_days, removed_by, reason)
    SELECT p_week, row_of_week.events, row_of_week.root, told.executions,
        sha256(convert_to(string_agg(concat_ws(',', s.execution_id, s.first_sequence, s.last_sequence,
            encode(s.first_leaf, 'hex'), encode(s.first_hash, 'hex'), encode(s.last_hash, 'hex')), ';' ORDER BY s.execution_id), 'UTF8')),
        p_costs, sha256(convert_to(p_costs, 'UTF8')), p_retention_days, p_by, p_reason
    FROM json_populate_recordset(NULL::removed_segments, p_segments) s
    RETURNING * INTO removed;
    INSERT INTO removed_segments (week, execution_id, first_sequence, last_sequence, first_leaf, first_hash, last_hash)
    SELECT p_week, s.execution_id, s.first_sequence, s.last_sequence, s.first_leaf, s.first_hash, s.last_hash
    FROM json_populate_recordset(NULL::removed_segments, p_segments) s;
    PERFORM set_config('ledger.reason', p_reason, true);
    PERFORM record_admin_action('remove', 'archive_manifest', p_week::text, to_jsonb(row_of_week), to_jsonb(removed) - 'costs');
    RETURN removed;
END $$;

REVOKE ALL ON FUNCTION
    keep_hold(), removed_segments_hash(date), tree_text(removed_weeks), removal_text(removed_weeks), cold_files(date, date, uuid),
    place_hold(text, uuid, text, text), lift_hold(uuid, text, text),
    removal_obstacles(date, integer, timestamptz, uuid[], uuid[], uuid[]),
    remove_week(date, integer, timestamptz, text, text, json, uuid[], uuid[], text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cold_files(date, date, uuid) TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
-- Who removes does not lift what stops him: holds are the service's.
GRANT EXECUTE ON FUNCTION place_hold(text, uuid, text, text), lift_hold(uuid, text, text) TO ledger_service;
GRANT EXECUTE ON FUNCTION
    removed_segments_hash(date), removal_text(removed_weeks),
    removal_obstacles(date, integer, timestamptz, uuid[], uuid[], uuid[]),
    remove_week(date, integer, timestamptz, text, text, json, uuid[], uuid[], text)
TO ledger_archiver;
GRANT SELECT ON legal_holds, removed_weeks, removed_segments TO ledger_archiver;
-- Whoever is refused the manifest by name is so for this as well: the week's row is asked for with its removal.
GRANT SELECT ON removed_weeks TO ledger_reader, ledger_application;
ALTER TABLE removed_weeks ENABLE ROW LEVEL SECURITY;
CREATE POLICY refused_by_name ON removed_weeks FOR SELECT TO ledger_reader, ledger_application USING (refuse_manifest(week));
CREATE POLICY every_drive ON removed_weeks TO ledger_archiver, ledger_service USING (true) WITH CHECK (true);
GRANT EXECUTE ON FUNCTION removal_text(removed_weeks) TO ledger_reader, ledger_application;
