-- Copies of rolled weeks, for inspection beside the hot store: no reader of the ledger looks at them. They hold events of
-- every drive, so only who may read those may read them.

GRANT USAGE ON SCHEMA ledger_quarantine TO ledger_archiver;

CREATE FUNCTION quarantine_table(of_week date) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'events_' || to_char(of_week, 'YYYY_MM_DD');

CREATE FUNCTION open_quarantine(of_week date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
-- Makes the empty table of a committed week, and answers its name; refused when it is there.
DECLARE
    name text := ledger.quarantine_table(of_week);
BEGIN
    IF NOT EXISTS (SELECT FROM archive_manifest m WHERE m.week = of_week AND m.state = 'committed') THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = format('week: %s is not in the cold store', of_week);
    END IF;
    IF to_regclass(format('ledger_quarantine.%I', name)) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001',
            MESSAGE = format('week: %s is restored already, as ledger_quarantine.%s: drop that first', of_week, name);
    END IF;
    EXECUTE format('CREATE TABLE ledger_quarantine.%I (LIKE workflow_events)', name);
    EXECUTE format('GRANT SELECT, INSERT ON ledger_quarantine.%I TO ledger_archiver', name);
    RETURN format('ledger_quarantine.%I', name);
END $$;

CREATE FUNCTION close_quarantine(of_week date, OUT events bigint, OUT root bytea, OUT first_bad uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
-- Ends the filling of a restored week: answers its count and root, and the first event that its leaf isn't the hash of.
DECLARE
    copy regclass := format('ledger_quarantine.%I', ledger.quarantine_table(of_week))::regclass;
BEGIN
    EXECUTE format('REVOKE INSERT ON %s FROM ledger_archiver', copy);
    EXECUTE format('CREATE UNIQUE INDEX ON %s (execution_id, sequence)', copy);
    EXECUTE format('CREATE UNIQUE INDEX ON %s (event_id)', copy);
    EXECUTE format('ANALYZE %s', copy);
    EXECUTE format(
        'SELECT e.event_id FROM %s e WHERE ledger.leaf(ROW(e.*)::ledger.workflow_events) IS DISTINCT FROM e.leaf
        ORDER BY e.execution_id, e.sequence LIMIT 1', copy) INTO first_bad;
    SELECT m.* INTO events, root FROM merkle_root(format(
        'SELECT leaf, row_number() OVER (ORDER BY execution_id, sequence) - 1 AS place FROM %s', copy)) m;
END $$;

CREATE FUNCTION drop_quarantine(of_week date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
-- Drops a restored week; answers whether it was there.
DECLARE
    copy text := format('ledger_quarantine.%I', ledger.quarantine_table(of_week));
BEGIN
    IF to_regclass(copy) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE 'DROP TABLE ' || copy;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION quarantine_table(date), open_quarantine(date), close_quarantine(date), drop_quarantine(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_quarantine(date), close_quarantine(date), drop_quarantine(date) TO ledger_archiver;
