-- An application's login makes the leaves that its appends can need, and no others: each is a table for ever.

ALTER FUNCTION make_leaf(text, date) RENAME TO make_any_leaf;
REVOKE ALL ON FUNCTION make_any_leaf(text, date) FROM PUBLIC, ledger_application, ledger_archiver;

CREATE FUNCTION needs_leaves(of_week date) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, ledger, pg_temp AS $$
    -- Whether an append of the caller can put an event into the week: it begins now or shortly, others have brought
    -- events of it, or the caller has staged some.
    SELECT of_week <= week_of(clock_timestamp()) + 21 AND (
        of_week >= week_of(clock_timestamp())
        OR EXISTS (SELECT FROM state_rules r WHERE to_regclass('ledger.' || leaf_table(r.event_type, of_week)) IS NOT NULL)
        OR of_week = (SELECT s.first_open_week FROM ledger_state s)
        OR EXISTS (
            SELECT FROM append_staging b WHERE b.staged_by = session_user AND week_of(b.occurred_at) = of_week))
$$;

CREATE FUNCTION make_leaf(p_event_type text, p_week date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, ledger, pg_temp AS $$
BEGIN
    IF NOT (pg_has_role(session_user, 'ledger_archiver', 'USAGE') OR needs_leaves(p_week)) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG007', MESSAGE = format(
            'week: no append of yours needs %s; allowed: this week, the three after it, and weeks of events that you have staged', p_week);
    END IF;
    RETURN make_any_leaf(p_event_type, p_week);
END $$;

REVOKE ALL ON FUNCTION needs_leaves(date), make_leaf(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_leaf(text, date) TO ledger_application, ledger_archiver;
