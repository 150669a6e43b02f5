-- Row-level security by drive, and who may do what.
--
-- Policies judge by drives_with_access(), asked once a statement: `= ANY ((SELECT …)::uuid[])` is an array that an index
-- can be searched by. Definer functions run as the owner, to whom policies do not apply: each judges its caller itself.

-- The service does all that the others do, and the archiver's part reads every drive.
RESET ROLE;
DO $$
DECLARE
    part name;
BEGIN
    FOREACH part IN ARRAY ARRAY['ledger_reader', 'ledger_application', 'ledger_archiver'] LOOP
        -- Roles belong to the server: another ledger there may have done so, or be doing so.
        IF NOT pg_has_role('ledger_service', part, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO ledger_service', part);
        END IF;
    END LOOP;
EXCEPTION WHEN unique_violation THEN NULL;
END $$;
-- Whoever opens the ledger looks which schema it has.
GRANT SELECT ON public.ledger_schema_version TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
SET LOCAL ROLE ledger_owner;

GRANT USAGE ON SCHEMA ledger TO ledger_service;
GRANT USAGE ON TYPE drive_access TO ledger_reader, ledger_application, ledger_archiver, ledger_service;

-- Rows of executions ----------------------------------------------------------------------------------------------

DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['workflow_events', 'workflow_executions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', place);
        EXECUTE format(
            'CREATE POLICY readable_drives ON %I FOR SELECT TO ledger_reader, ledger_application
             USING (drive_id = ANY ((SELECT ledger.drives_with_access(''read''))::uuid[]))', place);
    END LOOP;
    FOREACH place IN ARRAY ARRAY['workflow_steps', 'executions', 'workflow_approvals', 'workflow_artifacts',
        'execution_log', 'execution_snapshots', 'append_keys', 'usage_keys'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', place);
        -- The subquery sees what its own table's policy lets through.
        EXECUTE format(
            'CREATE POLICY readable_executions ON %1$I FOR SELECT TO ledger_reader, ledger_application
             USING (EXISTS (SELECT FROM ledger.workflow_executions x WHERE x.id = %1$I.execution_id))', place);
    END LOOP;
END $$;

-- The row that says which drive an execution is of goes with a prune; the drive's members read its history still.
ALTER TABLE execution_heads ADD COLUMN pruned_drive_id uuid;
COMMENT ON COLUMN execution_heads.pruned_drive_id IS 'Of a pruned or deleted execution: the drive that it was of.';
ALTER TABLE execution_heads ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable_executions ON execution_heads FOR SELECT TO ledger_reader, ledger_application
    USING (EXISTS (SELECT FROM workflow_executions x WHERE x.id = execution_heads.id)
        OR pruned_drive_id = ANY ((SELECT drives_with_access('read'))::uuid[]));

-- People and drives -----------------------------------------------------------------------------------------------

ALTER TABLE drives ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON drives FOR SELECT TO ledger_reader, ledger_application
    USING (id = ANY ((SELECT drives_with_access('read'))::uuid[]));
CREATE POLICY administered ON drives FOR UPDATE TO ledger_application
    USING (id = ANY ((SELECT drives_with_access('administer'))::uuid[]));

CREATE FUNCTION visible_users() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    -- The acting user and the members of his drives.
    SELECT array_agg(m.user_id) || acting_user() FROM drive_members m WHERE m.drive_id = ANY (drives_with_access('read'))
$$;

ALTER TABLE drive_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON drive_members FOR SELECT TO ledger_reader, ledger_application
    USING (drive_id = ANY ((SELECT drives_with_access('read'))::uuid[]));
CREATE POLICY added_by_administrators ON drive_members FOR INSERT TO ledger_application
    WITH CHECK (
        drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[])
        -- Somebody whom the administrator can see: otherwise this would tell whether any user exists.
        AND user_id = ANY ((SELECT visible_users())::uuid[]));
CREATE POLICY changed_by_administrators ON drive_members FOR UPDATE TO ledger_application
    USING (drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[]));
CREATE POLICY removed_by_administrators ON drive_members FOR DELETE TO ledger_application
    USING (drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[]));

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY oneself_and_fellow_members ON users FOR SELECT TO ledger_reader, ledger_application
    USING (id = ANY ((SELECT visible_users())::uuid[]));
CREATE POLICY oneself ON users FOR UPDATE TO ledger_application
    USING (id = (SELECT acting_user()));

DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['customers', 'agents'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', place);
        EXECUTE format(
            'CREATE POLICY of_the_drive_or_its_executions ON %1$I FOR SELECT TO ledger_reader, ledger_application
             USING (drive_id = ANY ((SELECT ledger.drives_with_access(''read''))::uuid[])
                OR EXISTS (SELECT FROM ledger.workflow_executions x WHERE x.%2$I = %1$I.id))',
            place, CASE place WHEN 'customers' THEN 'customer_id' ELSE 'agent_id' END);
        EXECUTE format(
            'CREATE POLICY added_by_administrators ON %I FOR INSERT TO ledger_application
             WITH CHECK (drive_id = ANY ((SELECT ledger.drives_with_access(''administer''))::uuid[]))', place);
        EXECUTE format(
            'CREATE POLICY changed_by_administrators ON %I FOR UPDATE TO ledger_application
             USING (drive_id = ANY ((SELECT ledger.drives_with_access(''administer''))::uuid[]))', place);
    END LOOP;
END $$;

ALTER TABLE admin_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY administered_drives ON admin_log FOR SELECT TO ledger_reader, ledger_application
    USING (drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[]));

-- Whoever may read every drive.
DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['workflow_events', 'workflow_executions', 'workflow_steps', 'executions',
        'workflow_approvals', 'workflow_artifacts', 'execution_log', 'execution_snapshots', 'execution_heads',
        'drives', 'drive_members', 'users', 'customers', 'agents', 'archive_manifest'] LOOP
        EXECUTE format(
            'CREATE POLICY every_drive ON %I TO ledger_archiver, ledger_service USING (true) WITH CHECK (true)', place);
    END LOOP;
    CREATE POLICY every_drive ON admin_log TO ledger_service USING (true);
END $$;

-- History in the cold store ---------------------------------------------------------------------------------------

CREATE FUNCTION readable_drives() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL RESTRICTED
-- The drives of which the current role reads; NULL: of every one. For what the policies do not reach: files and marts.
RETURN CASE
    WHEN pg_has_role('ledger_archiver', 'USAGE') OR pg_has_role('ledger_owner', 'USAGE') THEN NULL
    ELSE ledger.drives_with_access('read')
END;

CREATE FUNCTION refuse_manifest(week date) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
-- Volatile, so that it is asked of each row: a ledger that has rolled nothing has nothing to refuse.
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'LG007', MESSAGE = format(
        'the cold store, with the week %s among others, has no permissions by drive: ask the service for what covers the'
        ' whole ledger', week);
END $$;

-- Whoever reads hot and cold events together locks the manifest, which takes the right to SELECT. What is asked of all of
-- its rows is refused in words: no rows would say that nothing was rolled, and so make an answer of the hot part alone.
ALTER TABLE archive_manifest ENABLE ROW LEVEL SECURITY;
CREATE POLICY refused_by_name ON archive_manifest FOR SELECT TO ledger_reader, ledger_application
    USING (refuse_manifest(week));

CREATE FUNCTION cold_files(p_first date, p_last date, p_execution_id uuid DEFAULT NULL)
RETURNS TABLE (week date, schema_version integer, files jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    -- The files of the committed weeks between two Mondays, either NULL for no bound, oldest first: name, SHA-256 and
    -- size, without counts and ids, which are of every drive. Of an execution, which the session must be able to read:
    -- those that may hold events of it.
    SELECT m.week, m.schema_version, coalesce((
        SELECT jsonb_agg(jsonb_build_object('name', f.file -> 'name', 'sha256', f.file -> 'sha256', 'bytes', f.file -> 'bytes')
            ORDER BY f.nth)
        FROM jsonb_array_elements(m.files) WITH ORDINALITY AS f (file, nth)
        WHERE p_execution_id IS NULL
            OR p_execution_id::text COLLATE "C" BETWEEN f.file ->> 'first_execution_id' AND f.file ->> 'last_execution_id'
    ), '[]')
    FROM archive_manifest m
    WHERE m.state = 'committed'
        AND m.week BETWEEN coalesce(p_first, '-infinity') AND coalesce(p_last, 'infinity')
        AND (p_execution_id IS NULL
            OR pg_has_role(session_user, 'ledger_archiver', 'USAGE') OR pg_has_role(session_user, 'ledger_owner', 'USAGE')
            OR EXISTS (SELECT FROM workflow_executions x
                WHERE x.id = p_execution_id AND x.drive_id = ANY (drives_with_access('read')))
            OR EXISTS (SELECT FROM execution_heads h
                WHERE h.id = p_execution_id AND h.pruned_drive_id = ANY (drives_with_access('read'))))
    ORDER BY m.week
$$;

-- Grants ----------------------------------------------------------------------------------------------------------

-- What tells of all drives together (counts, roots, cursors) is not for one drive's reader.
REVOKE ALL ON checkpoints, feed_cursors FROM ledger_reader, ledger_application;
-- Snapshots and prices are everybody's: no single user's session writes them.
REVOKE INSERT, UPDATE, DELETE ON execution_snapshots FROM ledger_application;
REVOKE INSERT ON model_pricing, price_rules, price_sources FROM ledger_application;
REVOKE INSERT, UPDATE, DELETE ON customers, users, agents, drives FROM ledger_application;

GRANT SELECT ON drive_members, agent_states TO ledger_reader, ledger_application, ledger_archiver;
GRANT SELECT ON admin_log TO ledger_reader, ledger_application, ledger_service;
-- Column by column: an id of one's own choosing would tell whether it is taken, a login of one's own choosing who one is.
GRANT UPDATE (name, description, metadata) ON drives TO ledger_application;
GRANT UPDATE (name, email, metadata) ON users TO ledger_application;
GRANT INSERT (drive_id, name, contact, metadata), UPDATE (name, contact, metadata) ON customers TO ledger_application;
GRANT INSERT (drive_id, name, kind, metadata), UPDATE (name, kind, metadata) ON agents TO ledger_application;
GRANT INSERT (drive_id, user_id, access), UPDATE (access), DELETE ON drive_members TO ledger_application;

GRANT INSERT, UPDATE, DELETE ON customers, users, agents, drives, drive_members TO ledger_service;
GRANT INSERT ON model_pricing, price_rules, price_sources TO ledger_service;

GRANT EXECUTE ON FUNCTION
    sees_every_drive(), acting_user(), drives_with_access(drive_access), may(uuid, drive_access), visible_users(),
    readable_drives(), refuse_manifest(date), cold_files(date, date, uuid)
    TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
GRANT EXECUTE ON FUNCTION adopt(text, boolean) TO ledger_service;

-- A new drive is its creator's.
CREATE FUNCTION create_drive(p_name text, p_description text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
DECLARE
    actor uuid := acting_user();
    made uuid;
BEGIN
    IF actor IS NULL AND NOT sees_every_drive() THEN
        RAISE EXCEPTION USING ERRCODE = 'LG007',
            MESSAGE = 'a drive needs somebody who administers it: this session acts for no user';
    END IF;
    INSERT INTO drives (name, description) VALUES (p_name, p_description) RETURNING id INTO made;
    IF actor IS NOT NULL THEN
        INSERT INTO drive_members (drive_id, user_id, access) VALUES (made, actor, 'administer');
    END IF;
    RETURN made;
END $$;
GRANT EXECUTE ON FUNCTION create_drive(text, text) TO ledger_application;

-- Appends ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION refuse_foreign_drives(p_execution_ids uuid[], given append_staging[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = ledger, pg_temp AS $$
-- Refuses a batch that touches or names anything of a drive in which the caller may not execute, in the words it would
-- have for what does not exist. Of append, after its locks and before it answers anything: costs the service nothing.
DECLARE
    actor uuid;
    readable uuid[];
    named uuid[];
    created uuid[];
    wrong text;
BEGIN
    IF sees_every_drive() THEN
        RETURN;
    END IF;
    actor := acting_user();
    readable := drives_with_access('read');
    named := p_execution_ids || ARRAY(SELECT DISTINCT g.execution_id FROM unnest(given) g WHERE g.execution_id IS NOT NULL);
    created := ARRAY(SELECT DISTINCT g.execution_id FROM unnest(given) g WHERE g.event_type = 'WorkflowCreated');
    wrong := (
        SELECT f.id::text
        FROM (
            SELECT unnest(named)
            EXCEPT SELECT x.id FROM workflow_executions x WHERE x.id = ANY (named) AND x.drive_id = ANY (readable)
            EXCEPT (SELECT unnest(created) EXCEPT SELECT h.id FROM execution_heads h WHERE h.id = ANY (created))
        ) f (id)
        LIMIT 1);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LG007',
            MESSAGE = format('execution_id: there is no execution %s that you may append to', wrong);
    END IF;
    IF cardinality(created) = 0 THEN
        RETURN;
    END IF;
    SELECT b.problem INTO wrong
    FROM (
        SELECT CASE
            WHEN g.drive_id IS NULL THEN 'drive_id: is missing; only the service has executions without a drive'
            WHEN NOT g.drive_id = ANY (readable) THEN
                format('drive_id: there is no drive %s that you may execute in', g.drive_id)
            WHEN coalesce(g.execution_kind, 'workflow') <> 'workflow' THEN
                format('execution_kind: %L is the service''s alone; allowed: workflow', g.execution_kind)
            WHEN g.user_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM drive_members m WHERE m.drive_id = g.drive_id AND m.user_id = g.user_id)
            THEN format('user_id: %s is no member of the drive', g.user_id)
            WHEN g.customer_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM customers c WHERE c.id = g.customer_id AND (c.drive_id = ANY (readable) OR EXISTS (
                    SELECT FROM workflow_executions x WHERE x.customer_id = c.id AND x.drive_id = ANY (readable))))
            THEN format('customer_id: there is no customer %s that you may name', g.customer_id)
            WHEN g.agent_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM agents a WHERE a.id = g.agent_id AND (a.drive_id = ANY (readable) OR EXISTS (
                    SELECT FROM workflow_executions x WHERE x.agent_id = a.id AND x.drive_id = ANY (readable))))
            THEN format('agent_id: there is no agent %s that you may name', g.agent_id)
            WHEN g.template_id IS NOT NULL AND NOT may_execute_template(g.template_id, g.drive_id)
            THEN format('template_id: there is no template %s that you may execute in this drive', g.template_id)
        END AS problem
        FROM unnest(given) g
        WHERE g.event_type = 'WorkflowCreated'
    ) b
    WHERE b.problem IS NOT NULL
    LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LG007', MESSAGE = wrong;
    END IF;
END $$;
