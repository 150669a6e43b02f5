-- Append-only, and the weekly leaves of each type's table.

ALTER TABLE workflow_events ALTER COLUMN payload SET STORAGE EXTENDED;
CREATE INDEX workflow_events_tx ON workflow_events USING brin (tx) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX workflow_events_workflow ON workflow_events (workflow_name, agent_name, occurred_at);

CREATE TRIGGER workflow_events_append_only BEFORE UPDATE OR DELETE ON workflow_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
ALTER TABLE workflow_events ENABLE ALWAYS TRIGGER workflow_events_append_only;

CREATE FUNCTION protect_from_truncate(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER no_truncate', target);
END $$;

SELECT protect_from_truncate('workflow_events');
SELECT protect_from_truncate(inhrelid::regclass) FROM pg_inherits WHERE inhparent = 'workflow_events'::regclass;

CREATE FUNCTION type_table(event_type text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- StepCompleted -> step_completed_events
RETURN ltrim(lower(regexp_replace(event_type, '([A-Z])', '_\1', 'g')), '_') || '_events';

CREATE FUNCTION leaf_table(event_type text, week date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN type_table(event_type) || '_' || to_char(week, 'YYYYMMDD');

CREATE FUNCTION missing_leaves(p_weeks date[]) RETURNS TABLE (event_type text, week date)
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    SELECT r.event_type, w.week
    FROM state_rules r CROSS JOIN unnest(p_weeks) AS w (week)
    WHERE NOT EXISTS (
        SELECT FROM pg_class c
        WHERE c.relname = leaf_table(r.event_type, w.week) AND c.relnamespace = 'ledger'::regnamespace
    )
    ORDER BY w.week, r.event_type
$$;

CREATE FUNCTION make_leaf(p_event_type text, p_week date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Makes one leaf unless it is there. Attaching, unlike CREATE … PARTITION OF, lets readers of the table go on;
-- heads are locked first, in the order of an append, so that the two cannot deadlock.
DECLARE
    leaf text := leaf_table(p_event_type, p_week);
    parent text := type_table(p_event_type);
BEGIN
    IF p_week IS NULL OR extract(isodow FROM p_week) <> 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = format('week: %s is not a Monday', p_week);
    END IF;
    IF NOT EXISTS (SELECT FROM state_rules r WHERE r.event_type = p_event_type) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = format('event_type: %s is not known', p_event_type);
    END IF;
    PERFORM pg_advisory_xact_lock_shared(19524, 2000);
    IF p_week < (SELECT first_open_week FROM ledger_state) THEN
        RETURN false;
    END IF;
    LOCK TABLE execution_heads IN SHARE ROW EXCLUSIVE MODE;
    IF to_regclass(format('ledger.%I', leaf)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, leaf, p_week, p_week + 7);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER workflow_events_append_only', leaf);
    PERFORM protect_from_truncate(leaf::regclass);
    RETURN true;
END $$;
