-- Pruning: what was derived from an ended execution's events leaves the hot store once all of them are cold and the
-- published marts hold them. Head and events stay; from then on the execution takes no event.

CREATE INDEX execution_heads_prunable ON execution_heads (last_week) WHERE ended AND pruned_at IS NULL;

-- The first week that keeps an execution from being pruned, whatever else: weeks before it are closed, wholly in files,
-- and lie before the feed position (p_epoch, p_tx) up to which the caller's marts hold events.
CREATE FUNCTION prune_horizon(p_before date, p_epoch integer, p_tx bigint) RETURNS date
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = ledger, pg_temp
AS $$
    SELECT least(
        p_before,
        s.first_open_week,
        (SELECT min(h.week) FROM hot_weeks(s.first_open_week - 7) AS h (week)),
        (SELECT min(m.week) FROM archive_manifest m
         WHERE m.state <> 'committed' OR (m.last_epoch, m.last_tx) >= (p_epoch, p_tx)))
    FROM ledger_state s
$$;

CREATE FUNCTION prunable_executions(p_before date, p_epoch integer, p_tx bigint) RETURNS bigint
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = ledger, pg_temp
AS $$
    SELECT count(*) FROM execution_heads h
    WHERE h.ended AND h.pruned_at IS NULL AND h.last_week < prune_horizon(p_before, p_epoch, p_tx)
$$;

-- Prunes at most `p_at_most` executions whose last week is before `p_before`; answers how many it did.
CREATE FUNCTION prune_executions(p_before date, p_epoch integer, p_tx bigint, p_at_most integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp
SET jit = off
AS $$
DECLARE
    horizon date;
    key integer;
    ids uuid[];
    instant timestamptz;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'executions are pruned in a READ COMMITTED transaction only' USING ERRCODE = 'LG005';
    END IF;
    IF p_before IS NULL OR p_tx IS NULL OR p_at_most IS NULL OR p_at_most NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'prune_executions needs a week, a feed position, and 1 to 10,000 executions a transaction'
            USING ERRCODE = 'LG005';
    END IF;
    IF p_epoch IS DISTINCT FROM assert_epoch() THEN
        RAISE EXCEPTION 'the marts were built in epoch %, the ledger is in epoch %: build them first',
            p_epoch, assert_epoch() USING ERRCODE = 'LG005';
    END IF;
    -- The roll's commit takes the manifest before the seal lock: so do we, and neither waits for the other's second.
    LOCK TABLE archive_manifest IN ACCESS SHARE MODE;
    PERFORM pg_advisory_xact_lock_shared(19524, 2000);
    horizon := prune_horizon(p_before, p_epoch, p_tx);
    ids := ARRAY(
        SELECT h.id FROM execution_heads h
        WHERE h.ended AND h.pruned_at IS NULL AND h.last_week < horizon
        ORDER BY h.last_week LIMIT p_at_most);
    FOR key IN SELECT DISTINCT stripe(i) FROM unnest(ids) i ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(19524, key);
    END LOOP;
    -- A late fact may have come first, into an open week: it keeps its execution.
    ids := ARRAY(
        SELECT h.id FROM execution_heads h
        WHERE h.id = ANY (ids) AND h.ended AND h.pruned_at IS NULL AND h.last_week < horizon);
    -- Before the deletion, which is known for a prune by it; one instant names all that went together.
    instant := clock_timestamp();
    UPDATE execution_heads SET pruned_at = instant WHERE id = ANY (ids);
    -- Children first, in one statement each: cascades would look them up row by row.
    DELETE FROM execution_snapshots WHERE execution_id = ANY (ids);
    DELETE FROM execution_log WHERE execution_id = ANY (ids);
    DELETE FROM workflow_artifacts WHERE execution_id = ANY (ids);
    DELETE FROM workflow_approvals WHERE execution_id = ANY (ids);
    DELETE FROM executions WHERE execution_id = ANY (ids);
    DELETE FROM workflow_steps WHERE execution_id = ANY (ids);
    DELETE FROM append_keys WHERE execution_id = ANY (ids);
    DELETE FROM usage_keys WHERE execution_id = ANY (ids);
    -- A trigger on it puts the prune on record.
    DELETE FROM workflow_executions WHERE id = ANY (ids);
    RETURN cardinality(ids);
END $$;

REVOKE ALL ON FUNCTION
    prune_horizon(date, integer, bigint), prunable_executions(date, integer, bigint),
    prune_executions(date, integer, bigint, integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    prunable_executions(date, integer, bigint), prune_executions(date, integer, bigint, integer)
TO ledger_archiver;
