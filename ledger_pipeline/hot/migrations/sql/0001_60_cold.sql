-- The cold store's records (checkpoints, manifest, cursors) and the owner's functions of the roll.
-- Every function that writes is the owner's: the archiver's role may call it and never touches a table itself.

CREATE TABLE checkpoints (
    n bigint PRIMARY KEY CHECK (n > 0),
    epoch integer NOT NULL,
    first_tx bigint NOT NULL,
    end_tx bigint NOT NULL,
    events bigint NOT NULL CHECK (events > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    closed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (first_tx < end_tx)
);
COMMENT ON TABLE checkpoints IS
    'Closed batches of the feed: the events of an epoch with first_tx <= tx < end_tx and their RFC 6962 root in feed order.';

CREATE TABLE archive_manifest (
    week date PRIMARY KEY CHECK (extract(isodow FROM week) = 1),
    state text NOT NULL CHECK (state IN ('sealed', 'written', 'verified', 'committed')),
    fencing_token bigint NOT NULL CHECK (fencing_token > 0),
    instance_id uuid NOT NULL,
    events bigint NOT NULL CHECK (events > 0),
    first_epoch integer NOT NULL,
    first_tx bigint NOT NULL,
    last_epoch integer NOT NULL,
    last_tx bigint NOT NULL,
    checkpoint bigint REFERENCES checkpoints (n),
    hot_root bytea CHECK (octet_length(hot_root) = 32),
    root bytea CHECK (octet_length(root) = 32),
    bytes bigint CHECK (bytes > 0),
    files jsonb CHECK (jsonb_typeof(files) = 'array'),
    schema_version integer,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    written_at timestamptz,
    verified_at timestamptz,
    committed_at timestamptz,
    CHECK (state = 'sealed' OR (bytes, files, schema_version, checkpoint, written_at) IS NOT NULL),
    CHECK (state IN ('sealed', 'written') OR (root = hot_root AND verified_at IS NOT NULL)),
    CHECK (state <> 'committed' OR committed_at IS NOT NULL)
);
COMMENT ON TABLE archive_manifest IS
    'One row a rolled week. Hot rows are the truth until state is committed; from then on the named files are.';
COMMENT ON COLUMN archive_manifest.fencing_token IS
    'Whoever takes the week over raises it; a process with an older one can change nothing any more.';
COMMENT ON COLUMN archive_manifest.first_tx IS
    'With first_epoch, the least feed position of the week; last_epoch and last_tx are the greatest, inclusive.';
COMMENT ON COLUMN archive_manifest.root IS
    'RFC 6962 root over the leaves in file order, as found in the stored files; hot_root is that of the hot rows.';
COMMENT ON COLUMN archive_manifest.files IS
    'In order of the execution id: name below the cold store''s root, sha256, bytes, events, first and last execution id.';

CREATE TABLE feed_cursors (
    consumer text PRIMARY KEY CHECK (consumer <> ''),
    epoch integer NOT NULL,
    tx bigint NOT NULL,
    execution_id uuid NOT NULL,
    sequence bigint NOT NULL,
    checkpoint bigint,
    checkpoint_root bytea,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE feed_cursors IS
    'Where each consumer of the feed stands: the position up to which it has read, and the last checkpoint it knew.';


-- RFC 6962 over nodes that are concatenated, 32 bytes each: pairs are joined level by level and an odd last node
-- rises unchanged, which is the tree of the RFC.
CREATE FUNCTION merkle_join(nodes bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    width bigint := octet_length(nodes) / 32;
BEGIN
    WHILE width > 1 LOOP
        SELECT string_agg(sha256('\x01'::bytea || substring(nodes FROM pair * 64 + 1 FOR 64)), ''::bytea ORDER BY pair)
            || CASE WHEN width % 2 = 1 THEN substring(nodes FROM (width::integer - 1) * 32 + 1 FOR 32) ELSE '' END
        INTO nodes
        FROM generate_series(0, width::integer / 2 - 1) AS pair;
        width := (width + 1) / 2;
    END LOOP;
    RETURN nodes;
END
$$;

-- Count and RFC 6962 root of the leaves that a query of this file's functions gives as (place, leaf), places from 0.
-- Subtrees of 65,536 leaves are folded one after the other, so memory stays bounded.
CREATE FUNCTION merkle_root(numbered_leaves text, OUT events bigint, OUT root bytea)
LANGUAGE plpgsql STRICT
SET search_path = pg_catalog, ledger, pg_temp
SET work_mem = '64MB'
AS $$
DECLARE
    subtree record;
    roots bytea := '';
BEGIN
    events := 0;
    FOR subtree IN EXECUTE format(
        'SELECT count(*) AS leaves, string_agg(sha256(''\x00''::bytea || leaf), ''''::bytea ORDER BY place) AS hashes
         FROM (%s) AS numbered GROUP BY place >> 16 ORDER BY place >> 16', numbered_leaves)
    LOOP
        events := events + subtree.leaves;
        roots := roots || merkle_join(subtree.hashes);
    END LOOP;
    root := CASE WHEN events = 0 THEN sha256('') ELSE merkle_join(roots) END;
END
$$;

-- Count and root of a week's hot rows in the order of its files.
CREATE FUNCTION week_root(of_week date, OUT events bigint, OUT root bytea)
LANGUAGE sql STRICT
SET search_path = pg_catalog, ledger, pg_temp
AS $$
    -- A literal, so that the planner sees only this week's leaves.
    SELECT * FROM merkle_root(format(
        'SELECT leaf, row_number() OVER (ORDER BY execution_id, sequence) - 1 AS place
         FROM ledger.workflow_events WHERE week = %L', of_week))
$$;

-- The hot leaves of a week, of every event type, by name.
CREATE FUNCTION week_leaves(of_week date) RETURNS SETOF name
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, ledger, pg_temp
AS $$
    -- From the catalogue, since pg_partition_tree() locks every leaf there is.
    SELECT leaf.relname
    FROM pg_inherits AS of_type
    JOIN pg_inherits AS of_leaf ON of_leaf.inhparent = of_type.inhrelid
    JOIN pg_class AS leaf ON leaf.oid = of_leaf.inhrelid
    WHERE of_type.inhparent = 'ledger.workflow_events'::regclass
        AND right(leaf.relname::text, 9) = '_' || to_char(of_week, 'YYYYMMDD')
    ORDER BY leaf.relname
$$;

-- The weeks up to one that have hot events, oldest first.
CREATE FUNCTION hot_weeks(up_to date) RETURNS SETOF date
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    candidate date;
    found_one boolean;
BEGIN
    FOR candidate IN
        SELECT DISTINCT to_date(right(leaf.relname::text, 8), 'YYYYMMDD') AS monday
        FROM pg_inherits AS of_type
        JOIN pg_inherits AS of_leaf ON of_leaf.inhparent = of_type.inhrelid
        JOIN pg_class AS leaf ON leaf.oid = of_leaf.inhrelid
        WHERE of_type.inhparent = 'ledger.workflow_events'::regclass
        ORDER BY monday
    LOOP
        CONTINUE WHEN candidate > up_to;
        EXECUTE format('SELECT EXISTS (SELECT FROM ledger.workflow_events WHERE week = %L)', candidate) INTO found_one;
        IF found_one THEN
            RETURN NEXT candidate;
        END IF;
    END LOOP;
END
$$;

-- Closes the feed up to its horizon: a checkpoint for each epoch that has events beyond the last one.
CREATE FUNCTION close_checkpoint() RETURNS SETOF checkpoints
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    latest checkpoints;
    batch record;
    in_epoch integer;
    from_tx bigint;
    horizon bigint;
    newest_epoch integer;
BEGIN
    PERFORM pg_advisory_xact_lock(19524, 2001);
    SELECT current_epoch INTO STRICT newest_epoch FROM ledger_state;
    SELECT * INTO latest FROM checkpoints ORDER BY n DESC LIMIT 1;
    in_epoch := coalesce(latest.epoch, 1);
    from_tx := coalesce(latest.end_tx, 0);
    WHILE in_epoch <= newest_epoch LOOP
        -- Of an earlier epoch nothing more can come.
        horizon := CASE
            WHEN in_epoch < newest_epoch THEN 9223372036854775807
            ELSE pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        END;
        SELECT * INTO batch FROM merkle_root(format(
            'SELECT leaf, row_number() OVER (ORDER BY tx, execution_id, sequence) - 1 AS place
             FROM ledger.workflow_events WHERE epoch = %s AND tx >= %s AND tx < %s', in_epoch, from_tx, horizon));
        IF batch.events > 0 THEN
            INSERT INTO checkpoints (n, epoch, first_tx, end_tx, events, root)
            VALUES (coalesce(latest.n, 0) + 1, in_epoch, from_tx, horizon, batch.events, batch.root)
            RETURNING * INTO latest;
            RETURN NEXT latest;
        END IF;
        in_epoch := in_epoch + 1;
        from_tx := 0;
    END LOOP;
END
$$;

-- Step 1 of the roll, in two transactions, so that appends wait only for this short one: no append reaches the week, or
-- an earlier one, any more. A week without events moves nothing.
CREATE FUNCTION close_week(of_week date, as_of timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    has_events boolean;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a week is closed in a READ COMMITTED transaction only' USING ERRCODE = 'LG005';
    END IF;
    IF extract(isodow FROM of_week) <> 1 THEN
        RAISE EXCEPTION '% is not a Monday: name a week by its first day', of_week USING ERRCODE = 'LG005';
    END IF;
    IF EXISTS (SELECT FROM ledger_state WHERE first_open_week > of_week) THEN
        RETURN true;
    END IF;
    IF (of_week + 7)::timestamp AT TIME ZONE 'UTC' > as_of THEN
        RAISE EXCEPTION 'the week % is not over at %: only a past week can be sealed', of_week, as_of
            USING ERRCODE = 'LG005';
    END IF;
    -- Appends hold it shared: once it is ours, every append that could still reach this week has ended.
    PERFORM pg_advisory_xact_lock(19524, 2000);
    EXECUTE format('SELECT EXISTS (SELECT FROM ledger.workflow_events WHERE week = %L)', of_week) INTO has_events;
    UPDATE ledger_state SET first_open_week = of_week + 7 WHERE has_events AND first_open_week < of_week + 7;
    RETURN has_events;
END
$$;

-- Makes the manifest row of a closed week, and gives the caller the right to go on by raising the fencing token: also
-- the way to take an interrupted roll over. Gives the row as it is when the week is committed, NULL when it is empty.
CREATE FUNCTION seal_week(of_week date) RETURNS archive_manifest
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    row_of_week archive_manifest;
    bounds record;
BEGIN
    UPDATE archive_manifest SET fencing_token = fencing_token + (state <> 'committed')::integer
    WHERE week = of_week RETURNING * INTO row_of_week;
    IF FOUND THEN
        RETURN row_of_week;
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a week is sealed in a READ COMMITTED transaction only' USING ERRCODE = 'LG005';
    END IF;
    IF EXISTS (SELECT FROM ledger_state WHERE first_open_week <= of_week) THEN
        RAISE EXCEPTION 'the week % is still open: close it first', of_week USING ERRCODE = 'LG005';
    END IF;
    EXECUTE format(
        'SELECT sum(events)::bigint AS events,
                min(epoch) AS first_epoch, (array_agg(least_tx ORDER BY epoch))[1] AS first_tx,
                max(epoch) AS last_epoch, (array_agg(greatest_tx ORDER BY epoch DESC))[1] AS last_tx
         FROM (SELECT epoch, count(*) AS events, min(tx) AS least_tx, max(tx) AS greatest_tx
               FROM ledger.workflow_events WHERE week = %L GROUP BY epoch) AS of_epoch', of_week) INTO bounds;
    IF bounds.events IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO archive_manifest
        (week, state, fencing_token, instance_id, events, first_epoch, first_tx, last_epoch, last_tx)
    SELECT of_week, 'sealed', 1, instance_id,
        bounds.events, bounds.first_epoch, bounds.first_tx, bounds.last_epoch, bounds.last_tx
    FROM ledger_state
    RETURNING * INTO STRICT row_of_week;
    RETURN row_of_week;
END
$$;

-- The row of a week that the caller still holds, locked; refuses a caller who was overtaken.
CREATE FUNCTION held_week(of_week date, token bigint) RETURNS archive_manifest
LANGUAGE plpgsql
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    row_of_week archive_manifest;
BEGIN
    SELECT * INTO row_of_week FROM archive_manifest WHERE week = of_week FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the week % is not sealed', of_week USING ERRCODE = 'LG005';
    END IF;
    IF row_of_week.fencing_token <> token THEN
        RAISE EXCEPTION 'another process has taken the roll of the week % over', of_week USING ERRCODE = 'LG005';
    END IF;
    RETURN row_of_week;
END
$$;

-- Step 2: the week's files are stored. May be repeated until the week is committed: the hot rows are still there.
CREATE FUNCTION mark_written(
    of_week date, token bigint, week_files jsonb, files_schema_version integer
) RETURNS archive_manifest
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    row_of_week archive_manifest := held_week(of_week, token);
    covering bigint;
    written record;
BEGIN
    IF row_of_week.state = 'committed' THEN
        RAISE EXCEPTION 'the week % is committed: its files are final', of_week USING ERRCODE = 'LG005';
    END IF;
    SELECT n INTO covering FROM checkpoints
    WHERE epoch = row_of_week.last_epoch AND end_tx > row_of_week.last_tx ORDER BY n LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the week % does not lie below a checkpoint: close one first', of_week USING ERRCODE = 'LG005';
    END IF;
    SELECT sum(events)::bigint AS events, sum(bytes)::bigint AS bytes INTO written
    FROM jsonb_to_recordset(week_files) AS file (events bigint, bytes bigint);
    IF written.events IS DISTINCT FROM row_of_week.events THEN
        RAISE EXCEPTION 'the files of week % hold % events, the week has %', of_week, written.events, row_of_week.events
            USING ERRCODE = 'LG005';
    END IF;
    UPDATE archive_manifest
    SET state = 'written', checkpoint = covering, root = NULL, bytes = written.bytes, files = week_files,
        schema_version = files_schema_version, written_at = clock_timestamp(), verified_at = NULL
    WHERE week = of_week RETURNING * INTO row_of_week;
    RETURN row_of_week;
END
$$;

-- The root of the hot rows, kept for step 3: a call of its own, so that it runs while the files are being re-read.
CREATE FUNCTION judge_hot_rows(of_week date, token bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    row_of_week archive_manifest := held_week(of_week, token);
    hot record;
BEGIN
    SELECT * INTO hot FROM week_root(of_week);
    IF hot.events <> row_of_week.events THEN
        RAISE EXCEPTION 'the week % has % hot events, % were sealed', of_week, hot.events, row_of_week.events
            USING ERRCODE = 'LG005';
    END IF;
    UPDATE archive_manifest SET hot_root = hot.root WHERE week = of_week AND state <> 'committed';
END
$$;

-- Step 3: a second reader has found in the stored files `found_events` events with `found_root`.
CREATE FUNCTION mark_verified(of_week date, token bigint, found_events bigint, found_root bytea)
RETURNS archive_manifest
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
AS $$
DECLARE
    row_of_week archive_manifest := held_week(of_week, token);
BEGIN
    IF row_of_week.state NOT IN ('written', 'verified') THEN
        RAISE EXCEPTION 'the week % is %: only a written week can be verified', of_week, row_of_week.state
            USING ERRCODE = 'LG005';
    END IF;
    IF (found_events, found_root) IS DISTINCT FROM (row_of_week.events, row_of_week.hot_root) THEN
        RAISE EXCEPTION 'the files of week % (% events, root %) differ from its hot rows (% events, root %)',
            of_week, found_events, encode(found_root, 'hex'), row_of_week.events, encode(row_of_week.hot_root, 'hex')
            USING ERRCODE = 'LG005';
    END IF;
    UPDATE archive_manifest SET state = 'verified', root = found_root, verified_at = clock_timestamp()
    WHERE week = of_week RETURNING * INTO row_of_week;
    RETURN row_of_week;
END
$$;

-- Step 4: judges the hot rows once more and drops them. From here on the files are the truth.
-- Raises lock_not_available when readers or writers left no gap; nothing has changed then and the caller tries again.
CREATE FUNCTION commit_week(of_week date, token bigint) RETURNS archive_manifest
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
SET lock_timeout = '300ms'
AS $$
DECLARE
    row_of_week archive_manifest := held_week(of_week, token);
    leaf name;
    leaves text;
    hot record;
    tries CONSTANT integer := 8;
BEGIN
    IF row_of_week.state = 'committed' THEN
        RETURN row_of_week;
    END IF;
    IF row_of_week.state <> 'verified' THEN
        RAISE EXCEPTION 'the week % is %: only a verified week can be committed', of_week, row_of_week.state
            USING ERRCODE = 'LG005';
    END IF;
    -- Weeks leave in their order, so that an execution's cold events are a prefix of its sequence.
    IF EXISTS (SELECT FROM hot_weeks(of_week - 7)) THEN
        RAISE EXCEPTION 'a week before % is still hot: roll it first', of_week USING ERRCODE = 'LG005';
    END IF;
    FOR leaf IN SELECT week_leaves(of_week) LOOP
        EXECUTE format('LOCK TABLE ONLY ledger.%I IN SHARE MODE', leaf);
        leaves := concat_ws(', ', leaves, format('ledger.%I', leaf));
    END LOOP;
    SELECT * INTO hot FROM week_root(of_week);
    IF (hot.events, hot.root) IS DISTINCT FROM (row_of_week.events, row_of_week.root) THEN
        RAISE EXCEPTION 'the hot rows of week % (% events, root %) are not those that were verified (% events, root %)',
            of_week, hot.events, encode(hot.root, 'hex'), row_of_week.events, encode(row_of_week.root, 'hex')
            USING ERRCODE = 'LG005';
    END IF;
    FOR attempt IN 1..tries LOOP
        BEGIN
            -- Readers of hot and cold hold the manifest while they fetch hot rows; appends hold the seal lock and, as
            -- we do after it, take the tables' locks last: so nobody waits for us while we wait for him.
            LOCK TABLE archive_manifest IN ACCESS EXCLUSIVE MODE;
            PERFORM pg_advisory_xact_lock(19524, 2000);
            EXECUTE 'DROP TABLE ' || leaves;
            UPDATE archive_manifest SET state = 'committed', committed_at = clock_timestamp()
            WHERE week = of_week RETURNING * INTO row_of_week;
            RETURN row_of_week;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = tries THEN
                RAISE;
            END IF;
            -- The block's locks are released: whoever waited behind us goes first.
            PERFORM pg_sleep(0.02 * attempt);
        END;
    END LOOP;
END
$$;

-- Drops leaves below the first open week that hold nothing; gives how many, at most `at_most` a transaction.
CREATE FUNCTION drop_empty_leaves(at_most integer DEFAULT 200) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, ledger, pg_temp
SET lock_timeout = '300ms'
AS $$
DECLARE
    leaf name;
    holds_rows boolean;
    candidates name[] := '{}';
    empty_leaves text;
    dropped integer := 0;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'leaves are dropped in a READ COMMITTED transaction only' USING ERRCODE = 'LG005';
    END IF;
    FOR leaf IN
        SELECT below.relname
        FROM pg_inherits AS of_type
        JOIN pg_inherits AS of_leaf ON of_leaf.inhparent = of_type.inhrelid
        JOIN pg_class AS below ON below.oid = of_leaf.inhrelid
        CROSS JOIN ledger_state AS state
        WHERE of_type.inhparent = 'ledger.workflow_events'::regclass
            AND to_date(right(below.relname::text, 8), 'YYYYMMDD') < state.first_open_week
        ORDER BY below.relname
    LOOP
        EXIT WHEN cardinality(candidates) >= at_most;
        EXECUTE format('SELECT EXISTS (SELECT FROM ONLY ledger.%I)', leaf) INTO holds_rows;
        IF NOT holds_rows THEN
            candidates := candidates || leaf;
        END IF;
    END LOOP;
    -- An append that began before its week was closed may have filled one meanwhile: with the lock, none still can.
    PERFORM pg_advisory_xact_lock(19524, 2000);
    FOREACH leaf IN ARRAY candidates LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM ONLY ledger.%I)', leaf) INTO holds_rows;
        IF NOT holds_rows THEN
            empty_leaves := concat_ws(', ', empty_leaves, format('ledger.%I', leaf));
            dropped := dropped + 1;
        END IF;
    END LOOP;
    IF dropped > 0 THEN
        EXECUTE 'DROP TABLE ' || empty_leaves;
    END IF;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION
    merkle_root(text), week_root(date), week_leaves(date), hot_weeks(date), held_week(date, bigint),
    close_checkpoint(), close_week(date, timestamptz), seal_week(date), mark_written(date, bigint, jsonb, integer),
    judge_hot_rows(date, bigint), mark_verified(date, bigint, bigint, bytea), commit_week(date, bigint),
    drop_empty_leaves(integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    hot_weeks(date), week_leaves(date), close_checkpoint(), close_week(date, timestamptz), seal_week(date),
    mark_written(date, bigint, jsonb, integer), judge_hot_rows(date, bigint), mark_verified(date, bigint, bigint, bytea),
    commit_week(date, bigint), drop_empty_leaves(integer)
TO ledger_archiver;
GRANT SELECT ON checkpoints, archive_manifest, feed_cursors TO ledger_reader, ledger_archiver;
GRANT INSERT, UPDATE, DELETE ON feed_cursors TO ledger_archiver;
