-- Projections made anew from events: the rows come from a replay, because the events may lie in files; the owner alone
-- puts them in place of the old ones.

CREATE TABLE projection_rebuilds (transaction xid8 PRIMARY KEY);
COMMENT ON TABLE projection_rebuilds IS
    'The transaction that is rebuilding projections, for as long as it does; never a committed row.';

CREATE FUNCTION rebuilding() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp
-- Whether this transaction is the owner's rebuild. No other role can write the row, and no setting stands for it.
RETURN EXISTS (SELECT FROM ledger.projection_rebuilds r WHERE r.transaction = pg_current_xact_id_if_assigned());

-- Steps follow their events while these are hot; a rebuild puts the same steps back in the same transaction.
CREATE OR REPLACE TRIGGER workflow_steps_hot BEFORE DELETE ON workflow_steps
    FOR EACH ROW WHEN (NOT ledger.rebuilding()) EXECUTE FUNCTION refuse_deletion_while_hot();

CREATE FUNCTION put_replayed_rows(projection regclass, owner name, replayed json, execution_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
-- Inserts the replayed rows of the executions named; the execution's own row is updated where it stands, so that what
-- refers to it stays. A reference that a deletion has nulled stays NULL.
DECLARE
    names text;
    given text;
    updates text;
    stored bigint;
BEGIN
    SELECT
        string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
        string_agg(
            CASE WHEN projection IN ('workflow_steps'::regclass, 'executions'::regclass)
                    AND a.attname IN ('agent_id', 'template_step_id')
                THEN format('CASE WHEN NOT is_forgotten(r.%1$I) THEN r.%1$I END', a.attname)
                ELSE format('r.%I', a.attname) END,
            ', ' ORDER BY a.attnum),
        string_agg(format('%I = excluded.%1$I', a.attname), ', ' ORDER BY a.attnum)
    INTO names, given, updates
    FROM pg_attribute a
    WHERE a.attrelid = projection AND a.attname IN (SELECT json_object_keys(replayed -> 0));
    IF names IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format(
        'INSERT INTO %1$s (%2$s) SELECT %3$s FROM json_populate_recordset(NULL::%1$s, $1) r WHERE r.%4$I = ANY ($2)',
        projection, names, given, owner)
        || CASE owner WHEN 'id' THEN ' ON CONFLICT (id) DO UPDATE SET ' || updates ELSE '' END
    USING replayed, execution_ids;
    GET DIAGNOSTICS stored = ROW_COUNT;
    RETURN stored;
END $$;

CREATE FUNCTION rebuild_projections(execution_ids uuid[], sequences bigint[], replayed json)
RETURNS TABLE (rebuilt uuid[], stored bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp
SET jit = off
AS $$
#variable_conflict use_column
-- Replaces the rows of executions by those of a replay up to `sequences`. An execution that has moved on since, or was
-- pruned, is left alone and not among those answered.
DECLARE
    key integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001',
            MESSAGE = 'a rebuild needs the isolation level READ COMMITTED: it reads what is committed once it holds its locks';
    END IF;
    FOR key IN SELECT DISTINCT stripe(i) FROM unnest(execution_ids) i ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(19524, key);
    END LOOP;
    rebuilt := ARRAY(
        SELECT h.id
        FROM execution_heads h
        JOIN unnest(execution_ids, sequences) AS g (id, sequence) ON g.id = h.id AND g.sequence = h.last_sequence
        WHERE h.pruned_at IS NULL);
    INSERT INTO projection_rebuilds VALUES (pg_current_xact_id());
    DELETE FROM usage_keys WHERE execution_id = ANY (rebuilt);
    DELETE FROM execution_log WHERE execution_id = ANY (rebuilt);
    DELETE FROM workflow_artifacts WHERE execution_id = ANY (rebuilt);
    DELETE FROM workflow_approvals WHERE execution_id = ANY (rebuilt);
    DELETE FROM executions WHERE execution_id = ANY (rebuilt);
    DELETE FROM workflow_steps WHERE execution_id = ANY (rebuilt);
    stored := put_replayed_rows('workflow_executions', 'id', replayed -> 'workflow_executions', rebuilt)
        + put_replayed_rows('workflow_steps', 'execution_id', replayed -> 'workflow_steps', rebuilt)
        + put_replayed_rows('executions', 'execution_id', replayed -> 'executions', rebuilt)
        + put_replayed_rows('workflow_approvals', 'execution_id', replayed -> 'workflow_approvals', rebuilt)
        + put_replayed_rows('workflow_artifacts', 'execution_id', replayed -> 'workflow_artifacts', rebuilt)
        + put_replayed_rows('execution_log', 'execution_id', replayed -> 'execution_log', rebuilt)
        + put_replayed_rows('usage_keys', 'execution_id', replayed -> 'usage_keys', rebuilt);
    DELETE FROM projection_rebuilds;
    RETURN NEXT;
END $$;

-- Nobody's but the owner's: it believes the rows that it is given.
REVOKE ALL ON FUNCTION
    rebuild_projections(uuid[], bigint[], json), put_replayed_rows(regclass, name, json, uuid[]), rebuilding()
FROM PUBLIC;
-- A trigger's condition is judged with the rights of whoever deletes.
GRANT EXECUTE ON FUNCTION rebuilding() TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
