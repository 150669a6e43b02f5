-- What follows its owner when it is deleted, what refuses, and what is put on record. Events and heads always stay.

-- Snapshots refer to the head, which stays, and go with the execution all the same; the head takes no event any more.
CREATE FUNCTION follow_deleted_executions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    instant CONSTANT timestamptz := clock_timestamp();
    deleted CONSTANT bigint := (SELECT count(*) FROM gone);
    closed CONSTANT bigint := (
        SELECT count(*) FROM execution_heads h WHERE h.id IN (SELECT g.id FROM gone g) AND h.pruned_at IS NULL);
BEGIN
    IF deleted = 0 THEN
        RETURN NULL;
    END IF;
    DELETE FROM execution_snapshots WHERE execution_id IN (SELECT g.id FROM gone g);
    UPDATE execution_heads h SET pruned_at = coalesce(h.pruned_at, instant), pruned_drive_id = g.drive_id
    FROM gone g WHERE h.id = g.id;
    -- A prune has closed the heads before; a deletion closes them here. Which executions: the heads with this pruned_at.
    INSERT INTO admin_log (at, actor_id, action, object_kind, before, reason)
    SELECT max(h.pruned_at), acting_user(), CASE closed WHEN 0 THEN 'prune' ELSE 'delete' END, TG_TABLE_NAME,
        jsonb_build_object('count', deleted), nullif(current_setting('ledger.reason', true), '')
    FROM execution_heads h WHERE h.id IN (SELECT g.id FROM gone g);
    RETURN NULL;
END $$;
CREATE TRIGGER followed AFTER DELETE ON workflow_executions
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION follow_deleted_executions();

-- An agent that is merely called: the calls stay, without it. No foreign key: an import brings agents of another ledger.
CREATE INDEX workflow_steps_agent ON workflow_steps (agent_id) WHERE agent_id IS NOT NULL;
CREATE FUNCTION forget_agents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
BEGIN
    INSERT INTO forgotten_references SELECT g.id FROM gone g ON CONFLICT DO NOTHING;
    UPDATE workflow_steps s SET agent_id = NULL FROM gone g WHERE s.agent_id = g.id;
    UPDATE executions c SET agent_id = NULL FROM gone g WHERE c.agent_id = g.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forgotten AFTER DELETE ON agents
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_agents();
ALTER TABLE agents ENABLE ALWAYS TRIGGER forgotten;

-- Deletions of others than the owner's functions begin at one of these; each is searched for what would follow.
DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['execution_heads', 'workflow_executions', 'workflow_steps', 'executions',
        'workflow_approvals', 'workflow_artifacts', 'execution_log', 'execution_snapshots', 'append_keys', 'usage_keys',
        'archive_manifest', 'checkpoints'] LOOP
        PERFORM protect_rows_from_truncate(place::regclass);
    END LOOP;
END $$;

CREATE TRIGGER never_deleted BEFORE DELETE ON execution_heads FOR EACH ROW EXECUTE FUNCTION refuse_change();
ALTER TABLE execution_heads ENABLE ALWAYS TRIGGER never_deleted;
