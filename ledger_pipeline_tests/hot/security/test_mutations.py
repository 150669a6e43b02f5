"""Nobody but a superuser changes what is recorded: every kind of login tries everything, on its own connection."""

import json
import uuid
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.logins import ROLES
from ledger_pipeline_tests.hot.security.two_drives import NOW, beginning

pytestmark = [pytest.mark.mission("A3"), pytest.mark.mission("E6")]

TABLES = [
    *("workflow_events", "type", "leaf", "execution_heads", "workflow_executions", "workflow_steps", "executions"),
    *("workflow_approvals", "workflow_artifacts", "execution_log", "append_keys", "usage_keys", "archive_manifest"),
    *("checkpoints", "admin_log", "workflow_template_versions", "ledger_state", "ledger_epochs", "state_rules"),
    *("model_pricing", "price_rules", "price_sources", "execution_snapshots", "feed_cursors", "projection_rebuilds"),
    *("forgotten_references", "budget_counts", "budget_totals", "price_reviews", "tree_leaves"),
]
COLUMNS = {
    "workflow_events": "mode", "type": "mode", "leaf": "mode",
    "execution_heads": "state", "workflow_executions": "mode",
    "workflow_steps": "step_name", "executions": "model", "workflow_approvals": "subject", "workflow_artifacts": "name",
    "execution_log": "message", "append_keys": "key", "usage_keys": "model_call_id", "archive_manifest": "state",
    "checkpoints": "n", "admin_log": "reason", "workflow_template_versions": "change_summary",
    "ledger_state": "current_epoch", "ledger_epochs": "reason", "state_rules": "call",
    "model_pricing": "source", "price_rules": "source", "price_sources": "status", "execution_snapshots": "state",
    "feed_cursors": "consumer", "projection_rebuilds": "transaction", "forgotten_references": "id",
    "budget_counts": "terms", "budget_totals": "period", "price_reviews": "status",
    "tree_leaves": "kind",
}  # fmt: skip
CHANGES = ("INSERT", "COPY", "UPDATE", "DELETE", "MERGE", "SELECT FROM {table} FOR UPDATE", "LOCK")
MAY: dict[tuple[str, str], tuple[str, ...]] = {
    # A new version of a template is no change of one.
    **{(kind, "workflow_template_versions"): ("INSERT", "COPY") for kind in ("application", "service")},
    # Prices are added, by the service.
    **{
        ("service", table): ("INSERT", "COPY")
        for table in ("model_pricing", "price_rules", "price_sources", "price_reviews")
    },
    # Derived, and believed by whoever reads them: the pipeline's logins keep them.
    **{(kind, table): CHANGES for kind in ("archiver", "service") for table in ("execution_snapshots", "feed_cursors")},
    **{("service", table): CHANGES for table in ("budget_counts", "budget_totals")},
}
"""What a login of a kind may do with a table, by how the statement begins; anything else is refused."""
ON_A_TABLE: list[LiteralString] = [
    "UPDATE {table} SET {column} = {column}",
    "UPDATE {table} SET {column} = NULL WHERE false",
    "DELETE FROM {table}",
    "DELETE FROM ONLY {table}",
    "INSERT INTO {table} SELECT * FROM {table}",
    "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "SELECT FROM {table} FOR UPDATE",
    "TRUNCATE {table} CASCADE",
    "DROP TABLE {table} CASCADE",
    "COPY {table} FROM STDIN",
    "LOCK TABLE {table} IN EXCLUSIVE MODE",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} RENAME TO other",
    "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "ALTER TABLE {table} ADD COLUMN x integer",
    "ALTER TABLE {table} SET SCHEMA public",
    "CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "CREATE POLICY mine ON {table} USING (true)",
    "CREATE INDEX ON {table} ({column})",
    "REINDEX TABLE {table}",
    "CLUSTER {table}",
]
ANYWHERE: list[LiteralString] = [
    "ALTER TABLE ledger.workflow_events DETACH PARTITION ledger.step_completed_events",
    "ALTER TABLE ledger.workflow_created_events DETACH PARTITION {leaf}",
    "CREATE TABLE ledger.mine (x integer)",
    "CREATE TABLE ledger.mine PARTITION OF ledger.workflow_created_events"
    " FOR VALUES FROM ('1999-01-04') TO ('1999-01-11')",
    "CREATE TABLE public.mine (x uuid REFERENCES ledger.execution_heads (id))",
    "CREATE VIEW ledger.mine AS SELECT 1",
    "CREATE TYPE ledger.mine AS (x integer)",
    "CREATE FUNCTION ledger.mine() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE OR REPLACE FUNCTION ledger.acting_user() RETURNS uuid LANGUAGE sql RETURN NULL::uuid",
    "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE OPERATOR ledger.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = uuid_ne)",
    "CREATE OPERATOR pg_catalog.= (LEFTARG = uuid, RIGHTARG = bigint, FUNCTION = uuid_ne)",
    "CREATE FUNCTION pg_catalog.mine() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE CAST (uuid AS bigint) WITHOUT FUNCTION",
    "DROP SCHEMA ledger CASCADE",
    "ALTER SCHEMA ledger RENAME TO other",
    "ALTER SCHEMA ledger OWNER TO CURRENT_USER",
    "DROP FUNCTION ledger.refuse_change() CASCADE",
    "DROP SCHEMA ledger_member CASCADE",
    "CREATE VIEW ledger_member.mine AS SELECT 1",
    "CREATE OR REPLACE VIEW ledger_member.drives AS SELECT * FROM ledger.drives",
    "CREATE OR REPLACE FUNCTION ledger_member.drives() RETURNS SETOF ledger.drives LANGUAGE sql"
    " SECURITY DEFINER AS 'SELECT * FROM ledger.drives'",
    "ALTER FUNCTION ledger_member.drives() SECURITY INVOKER",
    "ALTER FUNCTION ledger_member.drives() RESET ALL",
    "SET ROLE ledger_member_owner",
    "ALTER FUNCTION ledger.append RESET ALL",
    "ALTER FUNCTION ledger.append SECURITY INVOKER",
    "ALTER FUNCTION ledger.acting_user() RENAME TO other",
    "ALTER FUNCTION ledger.acting_user() OWNER TO CURRENT_USER",
    "ALTER VIEW ledger.agent_states SET (security_invoker = false)",
    "ALTER POLICY readable_drives ON ledger.workflow_events USING (true)",
    "DROP POLICY readable_drives ON ledger.workflow_events",
    "SET session_replication_role = replica",
    "SET ROLE ledger_owner",
    "SET SESSION AUTHORIZATION ledger_owner",
    "SET LOCAL ROLE pg_read_all_data",
    "GRANT ledger_owner TO CURRENT_USER",
    "GRANT ledger_service TO CURRENT_USER WITH ADMIN OPTION",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE ledger_owner LOGIN",
    "CREATE ROLE mine",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION ledger.refuse_change()",
    "CREATE PUBLICATION mine FOR TABLE ledger.workflow_events",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "CREATE TEMP TABLE into_file (x text); COPY into_file FROM '/etc/hostname'",
    "SELECT lo_import('/etc/hostname')",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_switch_wal()",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM ledger.append_staging",
    "UPDATE ledger.append_staging SET batch = batch",
    "DELETE FROM ledger.append_staging",
    "SELECT ledger.apply_batch(1, '{{}}', false)",
    "SELECT ledger.begin_append()",
    "SELECT ledger.record_admin_action('delete', 'nothing')",
    "SELECT ledger.log_changes_of('ledger.workflow_events')",
    "SELECT ledger.protect_rows_from_truncate('ledger.workflow_events')",
    "SELECT ledger.refuse_foreign_drives('{{}}', '{{}}')",
    "SELECT ledger.may_execute_template(NULL, NULL)",
    "SELECT ledger.held_week('2026-01-05', 1)",
    "SELECT ledger.add_tree_leaf('epoch')",
    "SELECT ledger.tree_texts_by_time()",
]


def fingerprint(world: World) -> list[Any]:
    """What the tables hold, who owns them and who may do what with them."""
    digest = "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) AS digest FROM {} t"
    contents = [
        world.root.execute(sql.SQL(digest).format(sql.Identifier(table))).fetchone()
        for table in TABLES
        if table not in ("type", "leaf")
    ]
    return [
        *contents,
        *world.root.execute(
            "SELECT oid, relname, relowner, relacl, relrowsecurity, relhastriggers, relispartition, relchecks"
            " FROM pg_class"
            " WHERE relnamespace IN ('ledger'::regnamespace, 'ledger_member'::regnamespace)"
            " AND relkind IN ('r', 'p', 'v') ORDER BY oid"
        ).fetchall(),
        *world.root.execute(
            "SELECT oid, proname, proowner, proacl, prosecdef, proconfig, md5(prosrc) AS text FROM pg_proc"
            " WHERE pronamespace IN ('ledger'::regnamespace, 'ledger_member'::regnamespace) ORDER BY oid"
        ).fetchall(),
        *world.root.execute(
            "SELECT tgrelid, tgname, tgenabled FROM pg_trigger WHERE tgrelid IN"
            " (SELECT oid FROM pg_class WHERE relnamespace = 'ledger'::regnamespace) ORDER BY 1, 2"
        ).fetchall(),
    ]


@pytest.fixture(scope="module")
def leaf(world: World) -> str:
    """The leaf that holds the creation of an execution."""
    row = world.root.execute("SELECT min(tableoid::regclass::text) AS leaf FROM workflow_created_events").fetchone()
    assert row is not None
    return "ledger." + row["leaf"].removeprefix("ledger.")


def refused(connection: Connection, statement: sql.Composed) -> str | None:
    """What is wrong with how a statement was refused; None when the login lacks the right to it."""
    try:
        # A transaction: what goes through after all is undone, so that the next attempt means the same.
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return None
    except psycopg.Error as error:
        return f"{statement.as_string()}: {type(error).__name__}: {error}"
    return f"{statement.as_string()}: went through"


@pytest.mark.parametrize("kind", ROLES)
def test_no_login_changes_a_table_of_the_record(world: World, leaf: str, kind: str) -> None:
    before = fingerprint(world)
    places = {"type": "ledger.workflow_created_events", "leaf": leaf}
    wrong = [
        refused(
            world.as_[kind],
            sql.SQL(statement).format(
                table=sql.SQL(places.get(table, f"ledger.{table}")),  # pyright: ignore[reportArgumentType]
                column=sql.Identifier(COLUMNS[table]),
            ),
        )
        for table in TABLES
        for statement in ON_A_TABLE
        if not statement.startswith(MAY.get((kind, table), ()))
    ]
    assert [line for line in wrong if line] == []
    assert fingerprint(world) == before


@pytest.mark.parametrize("table", ["execution_snapshots", "feed_cursors"])
@pytest.mark.parametrize("kind", ["archiver", "service"])
def test_the_pipeline_keeps_snapshots_and_cursors(world: World, kind: str, table: str) -> None:
    for change in ("UPDATE {table} SET {column} = {column}", "DELETE FROM {table}"):
        statement = sql.SQL(change).format(table=sql.Identifier(table), column=sql.Identifier(COLUMNS[table]))
        assert refused(world.as_[kind], statement) == f"{statement.as_string()}: went through"


@pytest.mark.parametrize("kind", ROLES)
def test_no_login_gets_at_the_record_another_way(world: World, leaf: str, kind: str) -> None:
    before = fingerprint(world)
    wrong = [
        refused(world.as_[kind], sql.SQL(statement).format(leaf=sql.SQL(leaf)))  # pyright: ignore[reportArgumentType]
        for statement in ANYWHERE
    ]
    assert [line for line in wrong if line] == []
    assert fingerprint(world) == before


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER SYSTEM SET session_replication_role = replica",
        "ALTER DATABASE CURRENT SET session_replication_role = replica",
        "DROP DATABASE CURRENT",
        "VACUUM FULL ledger.workflow_executions",
    ],
)
def test_what_stands_outside_a_transaction_is_refused_as_well(
    world: World, kind: str, statement: LiteralString
) -> None:
    before = fingerprint(world)
    database = sql.Identifier(world.root.info.dbname).as_string()
    connection = world.as_[kind]
    # VACUUM passes over, with a warning, what is not the caller's; who may not use the schema is refused.
    if statement.startswith("VACUUM") and kind not in ("plain", "member"):
        connection.execute(statement)
    else:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.replace("CURRENT", database))  # pyright: ignore[reportArgumentType]
    assert fingerprint(world) == before


@pytest.mark.parametrize("kind", ROLES)
def test_a_grant_of_what_one_has_gives_nothing_away(world: World, kind: str) -> None:
    before = fingerprint(world)
    for what in ("ALL ON ledger.workflow_events", "SELECT ON ALL TABLES IN SCHEMA ledger", "ALL ON SCHEMA ledger"):
        try:
            world.as_[kind].execute(f"GRANT {what} TO PUBLIC")  # pyright: ignore[reportArgumentType]
        except psycopg.errors.InsufficientPrivilege:
            continue
    assert fingerprint(world) == before


@pytest.mark.parametrize("kind", ["member", "reader", "archiver", "plain"])
def test_who_does_not_append_may_not(world: World, kind: str) -> None:
    for statement in ("SELECT ledger.append(NULL, '[]')", "INSERT INTO ledger.append_staging (ordinal) VALUES (0)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.as_[kind].execute(statement)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["member", "reader", "application", "plain"])
@pytest.mark.parametrize(
    "call",
    [
        "close_checkpoint()",
        "seal_week('2026-01-05')",
        "commit_week('2026-01-05', 1)",
        "drop_empty_leaves()",
        "adopt('x')",
    ],
)
def test_the_roll_is_the_archivers_and_adoption_the_services(world: World, kind: str, call: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        world.as_[kind].execute(f"SELECT ledger.{call}")  # pyright: ignore[reportArgumentType]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        world.as_["archiver"].execute("SELECT ledger.adopt('x')")


SHADOWS: list[LiteralString] = [
    "CREATE TEMP TABLE execution_heads (LIKE ledger.execution_heads)",
    "CREATE TEMP TABLE workflow_executions (LIKE ledger.workflow_executions)",
    "CREATE TEMP TABLE workflow_events (LIKE ledger.workflow_events)",
    "CREATE TEMP TABLE append_keys (execution_id uuid, key text, request_hash bytea,"
    " first_sequence bigint, last_sequence bigint)",
    "CREATE TEMP TABLE ledger_state (LIKE ledger.ledger_state)",
    "CREATE TEMP TABLE drive_members AS SELECT d.id AS drive_id, u.id AS user_id,"
    " 'administer'::ledger.drive_access AS access"
    " FROM (VALUES ({y}::uuid)) d (id), (VALUES ({me}::uuid)) u (id)",
    "CREATE TEMP TABLE users AS SELECT {me}::uuid AS id, session_user::text AS database_login",
    "CREATE TEMP VIEW state_rules AS SELECT NULL::text AS event_type",
    "CREATE TYPE pg_temp.server_identity AS (x integer)",
    "CREATE DOMAIN pg_temp.uuid AS text",
    "CREATE FUNCTION pg_temp.drives_with_access(ledger.drive_access) RETURNS uuid[] LANGUAGE sql"
    " RETURN ARRAY[{y}::uuid]",
    "CREATE FUNCTION pg_temp.sees_every_drive() RETURNS boolean LANGUAGE sql RETURN true",
    "CREATE FUNCTION pg_temp.pg_has_role(name, text, text) RETURNS boolean LANGUAGE sql RETURN true",
    "CREATE FUNCTION pg_temp.differ(uuid, uuid) RETURNS boolean LANGUAGE sql RETURN true",
    "CREATE OPERATOR pg_temp.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = pg_temp.differ)",
    "SET search_path = pg_temp, ledger, public",
]


@pytest.mark.parametrize("kind", ["application", "service"])
def test_temporary_objects_shadow_nothing_of_an_append(world: World, kind: str) -> None:
    mine = world.x.users["read"]
    execution = uuid.uuid4()
    with world.logins.connect(world.url, world.logins.make(kind)) as connection:
        act_for(connection, mine)
        for statement in SHADOWS:
            connection.execute(sql.SQL(statement).format(y=sql.Literal(str(world.y.drive)), me=sql.Literal(str(mine))))
        given = [row.to_row() | {"execution_id": execution} for row in beginning(world.x, plan=())]
        stored = connection.execute(
            "SELECT * FROM ledger.append(%s, %s::json, NULL, 'key')", (execution, events_json(given))
        ).fetchone()
        assert stored == {"first_sequence": 1, "last_sequence": 2, "repeated": False}
        for shadow in ("execution_heads", "workflow_executions", "workflow_events", "append_keys"):
            assert connection.execute(sql.SQL("SELECT FROM pg_temp.{}").format(sql.Identifier(shadow))).rowcount == 0
        if kind == "application":
            assert connection.execute("SELECT FROM ledger.workflow_executions WHERE drive_id IS NOT NULL").rowcount == \
                world.as_["application"].execute("SELECT FROM workflow_executions").rowcount  # fmt: skip
            with pytest.raises(psycopg.Error, match="there is no execution"):
                connection.execute(
                    "SELECT ledger.append(%s, %s::json)",
                    (world.y.execution, events_json([{"event_type": "LogRecorded"}])),
                )
    assert world.root.execute("SELECT FROM workflow_events WHERE execution_id = %s", (execution,)).rowcount == 2


def events_json(rows: list[Any]) -> str:
    given = [
        {"ordinal": nth * 4} | {name: value for name, value in row.items() if value is not None}
        for nth, row in enumerate(rows)
    ]
    return json.dumps(given, default=str)


def test_a_refusal_reaches_python_as_the_ledgers_own(world: World) -> None:
    with pytest.raises(PermissionDenied):
        append(world.as_["reader"], world.x.execution, [events.WorkflowPaused(occurred_at=NOW)])
    with pytest.raises(PermissionDenied, match="there is no execution"):
        append(world.as_["application"], world.y.execution, [events.WorkflowPaused(occurred_at=NOW)])
