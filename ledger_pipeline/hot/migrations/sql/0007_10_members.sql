-- What people may read who send SQL of their own: a view for each table and view of the ledger that a reader may read.
--
-- Each view is a function's answer. PostgreSQL looks into no function that runs with other rights, so a view's rows are
-- chosen by the policies alone, whatever a query asks of them afterwards: plans, counters and time tell of no others. The
-- functions' owner reads as a reader, for the user that the login is.
DO $$
DECLARE
    place name;
    column_name name;
    described text;
    statement text;
BEGIN
    FOR place, described IN
        SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '')
        FROM pg_class c
        WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
            AND has_table_privilege('ledger_reader', c.oid, 'SELECT')
            -- Refused to readers in words.
            AND c.relname NOT IN ('archive_manifest', 'removed_weeks')
        ORDER BY c.relname
    LOOP
        FOREACH statement IN ARRAY ARRAY[
            'CREATE FUNCTION ledger_member.%1$I() RETURNS SETOF ledger.%1$I
             LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp SET row_security = on
             AS ''BEGIN RETURN QUERY SELECT * FROM ledger.%1$I; END''',
            'REVOKE ALL ON FUNCTION ledger_member.%1$I() FROM PUBLIC',
            'GRANT EXECUTE ON FUNCTION ledger_member.%1$I() TO ledger_member',
            'CREATE VIEW ledger_member.%1$I AS SELECT * FROM ledger_member.%1$I()',
            'COMMENT ON VIEW ledger_member.%1$I IS %2$L',
            'GRANT SELECT ON ledger_member.%1$I TO ledger_member'
        ] LOOP
            EXECUTE format(statement, place, described);
        END LOOP;
        FOR column_name, described IN
            SELECT a.attname, col_description(a.attrelid, a.attnum) FROM pg_attribute a
            WHERE a.attrelid = format('ledger.%I', place)::regclass AND a.attnum > 0 AND NOT a.attisdropped
                AND col_description(a.attrelid, a.attnum) IS NOT NULL
        LOOP
            EXECUTE format('COMMENT ON COLUMN ledger_member.%I.%I IS %L', place, column_name, described);
        END LOOP;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA ledger_member TO ledger_member;
