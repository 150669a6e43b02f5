UPDATE archive_manifest SET hot_root = root WHERE state = 'verified';

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

CREATE OR REPLACE FUNCTION mark_verified(of_week date, token bigint, found_events bigint, found_root bytea)
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

CREATE OR REPLACE FUNCTION commit_week(of_week date, token bigint) RETURNS archive_manifest
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

REVOKE ALL ON FUNCTION judge_hot_rows(date, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION judge_hot_rows(date, bigint) TO ledger_archiver;
COMMENT ON COLUMN archive_manifest.root IS
    'RFC 6962 root over the leaves in file order, as found in the stored files; hot_root is that of the hot rows.';
