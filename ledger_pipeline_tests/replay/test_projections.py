"""Every projection row is proven equal to a replay of its events, and is made anew from them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import AppendRefused, LedgerError, NotFound
from ledger_pipeline.events.enums import LogLevel
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.projection_tables import NOT_REPLAYED, TABLES, ProjectionTable
from ledger_pipeline.replay.rebuild_projections import rebuild_projections
from ledger_pipeline.settings import Settings

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
COLD = Path("/nonexistent")
PROJECTIONS = [table for table in TABLES if table.name != "execution_heads"]


def filled(url: str) -> Connection:
    """A ledger in which every event type occurs."""
    connection = connect(url, autocommit=True)
    run_simulation(connection, load_book(connection), 14, 30, 7, NOW)
    return connection


@pytest.fixture(scope="module")
def connection(module_ledger_url: str) -> Iterator[Connection]:
    """A ledger that the tests share: each leaves it as it was."""
    with filled(module_ledger_url) as connection:
        yield connection


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a cold store of this test's own."""
    return Settings(home=tmp_path)


def columns_of(connection: Connection, table: str) -> list[tuple[str, str, str]]:
    """Name and type of a table's columns."""
    rows = connection.execute(
        "SELECT column_name AS name, data_type AS type, udt_name AS udt FROM information_schema.columns"
        " WHERE table_schema = 'ledger' AND table_name = %s ORDER BY ordinal_position",
        (table,),
    ).fetchall()
    return [(row["name"], row["type"], row["udt"]) for row in rows]


def dump(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All projection rows as text, and everything that a rebuild must leave alone."""
    tables = [*(table.name for table in TABLES), "append_keys", "workflow_events"]
    return {
        name: [
            row["row"]
            for row in connection.execute(
                sql.SQL("SELECT (to_jsonb(t) - 'created_at' - 'updated_at')::text AS row FROM {} t ORDER BY 1").format(
                    sql.Identifier(name)
                )
            )
        ]
        for name in tables
    }


OTHER_VALUES: dict[str, LiteralString] = {
    "uuid": "gen_random_uuid()",
    "text": "coalesce({column}, '') || 'x'",
    "integer": "coalesce({column}, 0) + 1",
    "bigint": "coalesce({column}, 0) + 1",
    "boolean": "NOT {column}",
    "date": "{column} + CASE {name} WHEN 'last_week' THEN 7 ELSE -7 END",
    "bytea": "sha256({column})",
    "numeric": "coalesce({column}, 0) + CASE {name} WHEN 'progress_percentage' THEN 0.01 ELSE 0.000000000001 END",
    # A JSON null is not the absence of a value.
    "jsonb": "CASE WHEN {column} IS NULL THEN 'null' WHEN {column} = '{{}}' THEN '{{\"x\": 1}}' ELSE '{{}}' END::jsonb",
    "timestamp with time zone": "coalesce({column}, '2026-01-01Z') + interval '1 microsecond'",
    "USER-DEFINED": "(SELECT v FROM unnest(enum_range(NULL::{udt})) v WHERE v IS DISTINCT FROM {column} LIMIT 1)",
}


def corrupt(connection: Connection, table: ProjectionTable, column: str, kind: str, udt: str) -> tuple[UUID, str]:
    """Changes one column of one row past every trigger, as only a superuser can; answers its execution and key."""
    value = OTHER_VALUES[kind]
    if (table.name, column) == ("workflow_approvals", "status"):
        value = "CASE {column} WHEN 'pending' THEN 'approved' ELSE 'pending' END"
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        row = connection.execute(
            sql.SQL("SELECT t.ctid AS place, t.{} AS owner, t.{} AS key FROM {} t ORDER BY 2, 3 LIMIT 1").format(
                sql.Identifier(table.owner), sql.Identifier(table.key[-1]), sql.Identifier(table.name)
            )
        ).fetchone()
        assert row is not None, f"{table.name} is empty"
        connection.execute(
            sql.SQL("UPDATE {} SET {} = " + value + " WHERE ctid = %s::tid").format(
                sql.Identifier(table.name),
                sql.Identifier(column),
                column=sql.Identifier(column),
                name=sql.Literal(column),
                udt=sql.Identifier(udt),
            ),
            (row["place"],),
        )
    return row["owner"], str(row["key"])


@pytest.mark.mission("A9")
def test_untouched_rows_equal_their_replays(connection: Connection) -> None:
    told: list[int] = []
    report = check_projections(connection, COLD, progress=told.append)
    assert (report.ok, report.first, report.differences) == (True, None, [])
    assert told == [report.executions]
    assert report.rows == sum(len(rows) for name, rows in dump(connection).items() if name in {t.name for t in TABLES})


@pytest.mark.mission("A9")
@pytest.mark.parametrize("table", PROJECTIONS, ids=lambda table: table.name)
def test_every_changed_column_is_found_and_mended(connection: Connection, table: ProjectionTable) -> None:
    before = dump(connection)
    columns = columns_of(connection, table.name)
    assert columns
    for column, kind, udt in columns:
        if column in NOT_REPLAYED:
            continue
        execution_id, key = corrupt(connection, table, column, kind, udt)
        report = check_projections(connection, COLD, [execution_id])
        assert report.first is not None, column
        assert (report.first.table, report.first.execution_id) == (table.name, execution_id), column
        if column in (*table.key, table.owner):
            assert "not stored" in " ".join(d.what for d in report.differences), column
        else:
            assert report.first.columns == (column,)
            assert key in str(report.first)
            assert column in str(report.first)
            assert report.differing == {table.name: 1}
        if column == table.owner:
            remove_strays(connection, table)
        rebuild_projections(connection, COLD, [execution_id])
        assert check_projections(connection, COLD, [execution_id]).ok, column
    assert dump(connection) == before


def remove_strays(connection: Connection, table: ProjectionTable) -> None:
    """Removes rows that belong to no execution, so to nothing that could be rebuilt."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            sql.SQL("DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM execution_heads h WHERE h.id = t.{})").format(
                sql.Identifier(table.name), sql.Identifier(table.owner)
            )
        )


@pytest.mark.mission("A9")
def test_every_changed_column_of_a_head_is_found(connection: Connection) -> None:
    table = TABLES[0]
    for column, kind, udt in columns_of(connection, table.name):
        if column in {"id", *NOT_REPLAYED}:
            continue
        kept = connection.execute("SELECT * FROM execution_heads ORDER BY id LIMIT 1").fetchone()
        assert kept is not None
        execution_id, _ = corrupt(connection, table, column, kind, udt)
        report = check_projections(connection, COLD, [execution_id])
        assert report.first is not None, column
        assert (report.first.table, report.first.execution_id) == ("execution_heads", execution_id), column
        assert report.first.columns in ((column,), ()) or column in report.first.columns
        connection.execute(
            sql.SQL("UPDATE execution_heads SET {} = %s WHERE id = %s").format(sql.Identifier(column)),
            (kept[column], execution_id),
        )
    assert check_projections(connection, COLD).ok


@pytest.mark.mission("A9")
def test_a_row_too_few_and_a_row_too_many_are_found(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM workflow_steps WHERE id = (SELECT id FROM workflow_steps ORDER BY id LIMIT 1)")
        connection.execute(
            "INSERT INTO usage_keys SELECT id, 'never used' FROM workflow_executions ORDER BY id LIMIT 1"
        )
        connection.execute("INSERT INTO usage_keys VALUES (%s, 'of nobody')", (uuid4(),))
    report = check_projections(connection, COLD)
    assert report.differing == {"workflow_steps": 1, "usage_keys": 2}
    assert {d.what for d in report.differences} == {
        "its events give the row, but it is not stored",
        "the row is stored, but no event gives it",
        "1 stored, but the execution does not exist or was pruned",
    }
    remove_strays(connection, TABLES[-1])
    rebuild_projections(connection, COLD)
    assert check_projections(connection, COLD).ok


@pytest.mark.mission("A9")
def test_a_lost_projection_comes_back_whole_with_its_idempotency_keys(connection: Connection) -> None:
    request = [events.WorkflowCreated(occurred_at=datetime.now(UTC))]
    execution_id = uuid4()
    append(connection, execution_id, request, idempotency_key="once")
    before = dump(connection)
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in PROJECTIONS:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
    rebuilt = rebuild_projections(connection, COLD)
    assert rebuilt.executions == len(before["execution_heads"])
    assert rebuilt.rows == sum(len(before[table.name]) for table in PROJECTIONS)
    assert dump(connection) == before
    assert check_projections(connection, COLD).ok
    assert append(connection, execution_id, request, idempotency_key="once").repeated


@pytest.mark.mission("A9")
@pytest.mark.mission("A15")
def test_cold_and_half_cold_executions_are_checked_and_rebuilt(ledger_url: str, settings: Settings) -> None:
    with filled(ledger_url) as connection:
        half, start = uuid4(), NOW - timedelta(days=30)
        created = events.WorkflowCreated(occurred_at=start, execution_id=half)
        log = events.LogRecorded(occurred_at=NOW, execution_id=half, log_level=LogLevel.INFO, message="still here")
        append_many(connection, [created, log], history=True)
        before = dump(connection)
        roll(connection, settings, NOW - timedelta(days=1), keep_days=7)
        assert all(places(connection).values()), places(connection)
        assert check_projections(connection, settings.cold_dir).ok
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            for table in PROJECTIONS:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
        report = check_projections(connection, settings.cold_dir)
        assert report.differing == {table.name: len(before[table.name]) for table in PROJECTIONS}
        rebuild_projections(connection, settings.cold_dir)
        assert check_projections(connection, settings.cold_dir).ok
        assert {**dump(connection), "workflow_events": []} == {**before, "workflow_events": []}
        assert_a_pruned_execution_stays_away(connection, settings)


def places(connection: Connection) -> dict[str, int]:
    """How many executions are wholly cold, hot in part, and wholly hot."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE last_week < first_open_week) AS cold,"
        " count(*) FILTER (WHERE first_week < first_open_week AND last_week >= first_open_week) AS half,"
        " count(*) FILTER (WHERE first_week >= first_open_week) AS hot FROM execution_heads, ledger_state"
    ).fetchone()
    assert row is not None
    return row


def assert_a_pruned_execution_stays_away(connection: Connection, settings: Settings) -> None:
    gone = connection.execute(
        "DELETE FROM workflow_executions WHERE id = (SELECT h.id FROM execution_heads h, ledger_state"
        " WHERE h.last_week < first_open_week ORDER BY h.id LIMIT 1) RETURNING id"
    ).fetchone()
    assert gone is not None
    connection.execute("UPDATE execution_heads SET pruned_at = clock_timestamp() WHERE id = %s", (gone["id"],))
    rebuild_projections(connection, settings.cold_dir)
    assert check_projections(connection, settings.cold_dir).ok
    assert not connection.execute("SELECT FROM workflow_executions WHERE id = %s", (gone["id"],)).rowcount
    with pytest.raises(AppendRefused, match="was pruned and takes no event"):
        append(connection, gone["id"], [events.LogRecorded(occurred_at=NOW, log_level=LogLevel.INFO, message="late")])


@pytest.mark.mission("A9")
def test_a_rebuild_that_is_interrupted_leaves_the_old_rows(connection: Connection) -> None:
    connection.execute("UPDATE workflow_executions SET mode = 'changed'")
    connection.execute(
        "CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'interrupted' USING ERRCODE = 'LG005'; END $$"
    )
    connection.execute("CREATE TRIGGER i BEFORE INSERT ON usage_keys FOR EACH ROW EXECUTE FUNCTION interrupt()")
    before = dump(connection)
    with pytest.raises(LedgerError, match="interrupted"):
        rebuild_projections(connection, COLD)
    assert dump(connection) == before
    assert not check_projections(connection, COLD).ok
    connection.execute("DROP FUNCTION interrupt() CASCADE")
    rebuild_projections(connection, COLD)
    assert check_projections(connection, COLD).ok


def test_events_that_are_not_what_the_head_says_are_never_rebuilt_from(connection: Connection) -> None:
    execution_id = corrupt(connection, TABLES[0], "last_sequence", "bigint", "")[0]
    before = dump(connection)
    with pytest.raises(LedgerError, match=f"execution {execution_id}: its head says .* run `ledger-pipeline verify`"):
        rebuild_projections(connection, COLD)
    assert dump(connection) == before
    connection.execute("UPDATE execution_heads SET last_sequence = last_sequence - 1 WHERE id = %s", (execution_id,))


def test_an_unknown_execution_is_named(connection: Connection) -> None:
    unknown = uuid4()
    for action in (check_projections, rebuild_projections):
        with pytest.raises(NotFound, match=str(unknown)):
            action(connection, COLD, [unknown])


@pytest.mark.mission("A3")
@pytest.mark.parametrize("role", ["ledger_reader", "ledger_application", "ledger_archiver", "ledger_service"])
def test_only_the_owner_may_rebuild(connection: Connection, role: str) -> None:
    execution_id = connection.execute("SELECT id FROM workflow_executions LIMIT 1").fetchone()
    assert execution_id is not None
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        for statement in (
            "SELECT ledger.rebuild_projections('{}', '{}', '{}')",
            "SELECT ledger.put_replayed_rows('workflow_steps', 'execution_id', '[]', '{}')",
            "INSERT INTO ledger.projection_rebuilds VALUES (pg_current_xact_id())",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)
