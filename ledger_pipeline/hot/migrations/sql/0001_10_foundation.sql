-- The ledger's own state, its epochs and the functions that everything else builds on.

CREATE FUNCTION uuidv7(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
-- RFC 9562: 48 bits of Unix milliseconds, version 7, random bits. PostgreSQL has its own from version 18 on only.
RETURN encode(
    set_bit(set_bit(
        overlay(
            uuid_send(gen_random_uuid())
            PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6
        ), 52, 1), 53, 1),
    'hex')::uuid;

CREATE FUNCTION week_of(at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_trunc('week', at AT TIME ZONE 'UTC')::date;

CREATE TABLE ledger_state (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    instance_id uuid NOT NULL DEFAULT uuidv7(),
    current_epoch integer NOT NULL DEFAULT 1,
    first_open_week date NOT NULL DEFAULT '-infinity',
    CHECK (first_open_week = '-infinity' OR extract(isodow FROM first_open_week) = 1)
);
COMMENT ON TABLE ledger_state IS 'One row: which ledger this is, its epoch, and the first week that still takes events.';

CREATE TABLE ledger_epochs (
    epoch integer PRIMARY KEY,
    system_identifier text NOT NULL,
    timeline text NOT NULL,
    database_oid oid NOT NULL,
    instance_id uuid NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL
);
COMMENT ON TABLE ledger_epochs IS 'Transaction numbers compare within one epoch only: one server, one timeline, one database.';

CREATE TYPE server_identity AS (system_identifier text, timeline text, database_oid oid);

CREATE FUNCTION server_identity() RETURNS server_identity
LANGUAGE sql STABLE
-- The timeline comes from the WAL position: the control file lags behind a promotion.
RETURN ROW(
    (SELECT s.system_identifier::text FROM pg_control_system() s),
    left(pg_walfile_name(pg_current_wal_lsn()), 8),
    (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
)::server_identity;

CREATE FUNCTION adopt(reason text, clone boolean DEFAULT false) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Opens a new epoch after a restore, a failover or a copy; a clone becomes a ledger of its own.
DECLARE
    opened integer;
    here server_identity := server_identity();
BEGIN
    PERFORM pg_advisory_xact_lock(19524, 2000);
    UPDATE ledger_state SET
        current_epoch = current_epoch + 1,
        instance_id = CASE WHEN clone THEN uuidv7() ELSE instance_id END
    RETURNING current_epoch INTO opened;
    INSERT INTO ledger_epochs (epoch, system_identifier, timeline, database_oid, instance_id, reason)
    SELECT opened, here.system_identifier, here.timeline, here.database_oid, s.instance_id, adopt.reason
    FROM ledger_state s;
    RETURN opened;
END $$;

CREATE FUNCTION assert_epoch() RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- The current epoch, when this is still the server, timeline and database that opened it.
DECLARE
    current ledger_epochs;
    here server_identity := server_identity();
BEGIN
    SELECT e.* INTO STRICT current FROM ledger_epochs e JOIN ledger_state s ON s.current_epoch = e.epoch;
    IF (current.system_identifier, current.timeline, current.database_oid)
        IS DISTINCT FROM (here.system_identifier, here.timeline, here.database_oid)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'LG004', MESSAGE = format(
            'the database is not the one that opened epoch %s (restored, failed over or copied): '
            'run "ledger-pipeline adopt", or "adopt --clone" for a copy beside the original', current.epoch);
    END IF;
    RETURN current.epoch;
END $$;

INSERT INTO ledger_state DEFAULT VALUES;
INSERT INTO ledger_epochs (epoch, system_identifier, timeline, database_oid, instance_id, reason)
SELECT 1, (i.s).system_identifier, (i.s).timeline, (i.s).database_oid, l.instance_id, 'created'
FROM ledger_state l, (SELECT server_identity() AS s) i;

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'LG006', MESSAGE = format(
        '%s is append-only: %s is refused; archiving is the only way out of the hot store', TG_TABLE_NAME, TG_OP);
END $$;

CREATE FUNCTION touch_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TABLE execution_heads (
    id uuid PRIMARY KEY,
    execution_kind text NOT NULL,
    state text NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence > 0),
    head_hash bytea NOT NULL CHECK (octet_length(head_hash) = 32),
    first_week date NOT NULL,
    last_week date NOT NULL CHECK (last_week >= first_week),
    last_recorded_at timestamptz NOT NULL,
    open_calls integer NOT NULL CHECK (open_calls >= 0),
    ended boolean NOT NULL,
    pruned_at timestamptz
);
COMMENT ON TABLE execution_heads IS 'The write side of an execution: never deleted, so that events always refer to something.';
CREATE INDEX execution_heads_last_week ON execution_heads (last_week);

CREATE TABLE state_rules (
    event_type text PRIMARY KEY,
    execution_from text[] NOT NULL,
    execution_to text,
    step_from text[] NOT NULL,
    step_to text,
    call text,
    call_to text
);
COMMENT ON TABLE state_rules IS 'The state machine as data; the same as events/states.py.';
