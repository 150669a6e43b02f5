-- Who: customers, users, agents, drives and their members; and what administrators did.

CREATE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'LG006', MESSAGE = format(
        '%s: TRUNCATE is refused: delete rows, so that what depends on each is judged', TG_TABLE_NAME);
END $$;

CREATE FUNCTION protect_rows_from_truncate(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_truncate()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER never_truncated', target);
END $$;

ALTER TABLE drives
    ADD COLUMN description text,
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT drives_name CHECK (name <> '');

ALTER TABLE users
    ADD COLUMN email text CHECK (email <> ''),
    ADD COLUMN database_login text UNIQUE CHECK (database_login <> ''),
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT users_name CHECK (name <> '');
COMMENT ON COLUMN users.database_login IS 'The PostgreSQL login that is this user: its sessions act for him, whatever they set.';

ALTER TABLE customers
    ADD COLUMN drive_id uuid REFERENCES drives (id) ON DELETE SET NULL,
    ADD COLUMN contact jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT customers_name CHECK (name <> '');
COMMENT ON COLUMN customers.drive_id IS 'The drive whose members see it; every drive that has executions of it does as well.';
CREATE INDEX customers_drive ON customers (drive_id);

ALTER TABLE agents
    ADD COLUMN drive_id uuid REFERENCES drives (id) ON DELETE SET NULL,
    ADD COLUMN kind text CHECK (kind <> ''),
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT agents_name CHECK (name <> '');
COMMENT ON COLUMN agents.drive_id IS 'The drive whose members see it; every drive that has executions of it does as well.';
CREATE INDEX agents_drive ON agents (drive_id);

CREATE TABLE drive_members (
    drive_id uuid NOT NULL REFERENCES drives (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    access drive_access NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (drive_id, user_id)
);
COMMENT ON TABLE drive_members IS
    'read: see and execute; write: create templates; administer: members and everyone''s private templates.';
CREATE INDEX drive_members_user ON drive_members (user_id, access);

DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['customers', 'users', 'agents', 'drives', 'drive_members'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION touch_updated_at()',
            place || '_touched', place);
        PERFORM protect_rows_from_truncate(place::regclass);
    END LOOP;
END $$;

-- What administrators did -----------------------------------------------------------------------------------------

-- A downgrade leaves it where it is: what was done stays on record.
CREATE TABLE IF NOT EXISTS admin_log (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id uuid,
    session_login text NOT NULL DEFAULT session_user,
    action text NOT NULL CHECK (action <> ''),
    object_kind text NOT NULL CHECK (object_kind <> ''),
    object_id text,
    drive_id uuid,
    before jsonb,
    after jsonb,
    reason text
);
COMMENT ON TABLE admin_log IS
    'Append-only: actions on prices, templates, members, budgets, people and drives, deletions, prunes and migrations.';
COMMENT ON COLUMN admin_log.actor_id IS 'The acting user; NULL: a login that acts for no user.';
COMMENT ON COLUMN admin_log.reason IS 'From the setting ledger.reason of whoever acted.';
CREATE INDEX IF NOT EXISTS admin_log_object ON admin_log (object_kind, object_id, at);
CREATE INDEX IF NOT EXISTS admin_log_drive ON admin_log (drive_id, at);
CREATE INDEX IF NOT EXISTS admin_log_at ON admin_log (at);
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON admin_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON admin_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE admin_log ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE admin_log ENABLE ALWAYS TRIGGER no_truncate;

CREATE FUNCTION record_admin_action(
    p_action text, p_object_kind text, p_object_id text DEFAULT NULL, p_before jsonb DEFAULT NULL,
    p_after jsonb DEFAULT NULL, p_drive_id uuid DEFAULT NULL
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    INSERT INTO admin_log (actor_id, action, object_kind, object_id, drive_id, before, after, reason)
    VALUES (acting_user(), p_action, p_object_kind, p_object_id, p_drive_id, p_before, p_after,
        nullif(current_setting('ledger.reason', true), ''))
$$;

CREATE FUNCTION log_admin_action() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Records each row's change. Arguments: the column that identifies the row (id by default), the column of its drive
-- (drive_id by default).
DECLARE
    before_change jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after_change jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    known jsonb := coalesce(after_change, before_change);
BEGIN
    IF before_change - 'updated_at' IS DISTINCT FROM after_change - 'updated_at' THEN
        PERFORM record_admin_action(
            CASE TG_OP WHEN 'INSERT' THEN 'create' ELSE lower(TG_OP) END, TG_TABLE_NAME,
            known ->> coalesce(TG_ARGV[0], 'id'), before_change, after_change,
            (known ->> coalesce(TG_ARGV[1], 'drive_id'))::uuid);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION log_changes_of(target regclass, identity name DEFAULT 'id', drive name DEFAULT 'drive_id') RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
-- From now on `admin_log` records each row's change in a table.
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER logged AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION ledger.log_admin_action(%L, %L)',
        target, identity, drive);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER logged', target);
END $$;

SELECT log_changes_of('customers'), log_changes_of('users'), log_changes_of('agents'),
    log_changes_of('drives', 'id', 'id'), log_changes_of('drive_members', 'user_id');

-- Of prices, an administrator's own rows one by one; of a catalogue one line a reading, not one a price.
CREATE TRIGGER logged AFTER INSERT ON model_pricing FOR EACH ROW WHEN (NEW.source = 'admin')
    EXECUTE FUNCTION log_admin_action();
CREATE TRIGGER logged AFTER INSERT ON price_rules FOR EACH ROW WHEN (NEW.source = 'admin')
    EXECUTE FUNCTION log_admin_action();
CREATE TRIGGER logged AFTER INSERT ON price_sources FOR EACH ROW WHEN (NEW.status <> 'unchanged')
    EXECUTE FUNCTION log_admin_action();
ALTER TABLE model_pricing ENABLE ALWAYS TRIGGER logged;
ALTER TABLE price_rules ENABLE ALWAYS TRIGGER logged;
ALTER TABLE price_sources ENABLE ALWAYS TRIGGER logged;

-- What an agent is doing ------------------------------------------------------------------------------------------

CREATE VIEW agent_states WITH (security_invoker = true) AS
WITH active AS (
    -- Executions that run or pause are few; each names its owner, and its open calls the agents at work in it.
    SELECT x.agent_id, x.id, x.workflow_name, x.status::text AS state, NULL::uuid AS step_id, x.started_at AS since
    FROM workflow_executions x
    WHERE x.status IN ('running', 'paused') AND x.agent_id IS NOT NULL
    UNION ALL
    SELECT c.agent_id, x.id, x.workflow_name, 'running', c.step_id, c.started_at
    FROM workflow_executions x
    JOIN executions c ON c.execution_id = x.id
    WHERE x.status IN ('running', 'paused') AND c.status = 'running' AND c.agent_id IS NOT NULL
),
latest AS (
    SELECT DISTINCT ON (active.agent_id) active.*
    FROM active
    -- Running comes before paused, then what began last.
    ORDER BY active.agent_id, active.state DESC, active.since DESC, active.step_id NULLS LAST
)
SELECT
    a.id, a.name, a.kind, a.drive_id,
    coalesce(l.state, 'idle') AS state,
    l.id AS current_execution_id,
    l.workflow_name AS current_workflow,
    l.step_id AS current_step_id,
    l.since
FROM agents a
LEFT JOIN latest l ON l.agent_id = a.id;
COMMENT ON VIEW agent_states IS
    'Each agent, whether it is running, paused or idle, and the execution that it owns or works in now, from live rows.';
