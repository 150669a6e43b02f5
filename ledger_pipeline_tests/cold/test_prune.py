"""Pruning: what was derived from an execution goes, its events and every answer about it stay."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline.cold.feed import Position, read_feed
from ledger_pipeline.cold.prune import prune
from ledger_pipeline.cold.reader import execution_events
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import AppendRefused, InvalidInput, LedgerError
from ledger_pipeline.events.catalogue import Event, make_event
from ledger_pipeline.events.state_text import state_text
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.snapshots import take_snapshots
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import NOW, fill, history

PROJECTIONS = (
    *("workflow_executions", "workflow_steps", "executions", "workflow_approvals", "workflow_artifacts"),
    *("execution_log", "append_keys", "usage_keys", "execution_snapshots"),
)
DAYS = 90


def counts(connection: Connection) -> dict[str, int]:
    """Rows of every table that pruning empties."""
    count = sql.SQL("SELECT {} AS name, count(*) AS n FROM {}")
    each = sql.SQL(" UNION ALL ").join([count.format(name, sql.Identifier(name)) for name in PROJECTIONS])
    return {row["name"]: row["n"] for row in connection.execute(each)}


def ids(connection: Connection, *, pruned: bool = False) -> list[UUID]:
    rows = connection.execute(
        "SELECT id FROM execution_heads WHERE (pruned_at IS NOT NULL) = %s ORDER BY id", [pruned]
    ).fetchall()
    return [row["id"] for row in rows]


def horizon(connection: Connection, settings: Settings) -> Position:
    """What marts built now would hold."""
    feed = read_feed(connection, settings.cold_dir)
    for _ in feed.batches:
        pass
    return feed.end


def late_log(execution_id: UUID, at: datetime) -> Event:
    return make_event(
        "LogRecorded", {"execution_id": execution_id, "occurred_at": at, "log_level": "info", "message": "late"}
    )


def answers(connection: Connection, settings: Settings) -> dict[UUID, tuple[str, list[dict[str, Any]]]]:
    """The state and the events of every execution."""
    rows = connection.execute("SELECT id FROM execution_heads").fetchall()
    return {
        row["id"]: (
            state_text(replay(connection, settings.cold_dir, row["id"])),
            list(execution_events(connection, settings.cold_dir, row["id"])),
        )
        for row in rows
    }


@pytest.fixture
def rolled(connection: Connection, settings: Settings) -> Connection:
    """Twenty ended executions, cold, with snapshots."""
    fill(connection)
    take_snapshots(connection, settings.cold_dir, 3, NOW)
    roll(connection, settings, NOW)
    return connection


@pytest.mark.mission("C5")
@pytest.mark.mission("A6")
def test_head_and_events_are_left_of_a_pruned_execution(rolled: Connection, settings: Settings) -> None:
    before = answers(rolled, settings)
    assert counts(rolled)["workflow_executions"] == 20
    pruned = prune(rolled, horizon(rolled, settings), NOW, DAYS, batch_executions=7)
    assert pruned.executions == 20
    assert set(counts(rolled).values()) == {0}
    assert len(ids(rolled, pruned=True)) == 20
    assert answers(rolled, settings) == before
    report = verify(rolled, settings.cold_dir)
    assert (report.ok, report.events) == (True, 180)


@pytest.mark.mission("C5")
def test_a_pruned_execution_takes_no_event_and_no_snapshot(rolled: Connection, settings: Settings) -> None:
    prune(rolled, horizon(rolled, settings), NOW, DAYS)
    first = ids(rolled, pruned=True)[0]
    with pytest.raises(AppendRefused, match="was pruned and takes no event"):
        append(rolled, first, [late_log(first, NOW)])
    take_snapshots(rolled, settings.cold_dir, 3, NOW)
    assert set(counts(rolled).values()) == {0}


def test_what_was_pruned_is_not_imported_again(rolled: Connection, settings: Settings) -> None:
    prune(rolled, horizon(rolled, settings), NOW, DAYS)
    with pytest.raises(AppendRefused):
        append_many(rolled, history(20), history=True)
    assert set(counts(rolled).values()) == {0}


@pytest.mark.mission("C5")
def test_a_run_without_anything_to_prune_prunes_nothing(rolled: Connection, settings: Settings) -> None:
    held = horizon(rolled, settings)
    assert prune(rolled, held, NOW, DAYS, dry_run=True).executions == 20
    assert prune(rolled, held, NOW, DAYS).executions == 20
    assert prune(rolled, held, NOW, DAYS).executions == 0


def test_a_dry_run_leaves_everything(rolled: Connection, settings: Settings) -> None:
    before = counts(rolled)
    prune(rolled, horizon(rolled, settings), NOW, DAYS, dry_run=True)
    assert counts(rolled) == before


@pytest.mark.mission("C5")
def test_an_execution_with_a_hot_event_stays(connection: Connection, settings: Settings) -> None:
    fill(connection, 5)
    roll(connection, settings, NOW, keep_days=(NOW - datetime(2025, 1, 20, tzinfo=UTC)).days)
    assert prune(connection, horizon(connection, settings), NOW, 0).executions == 0
    assert len(ids(connection)) == 5


def test_an_execution_with_a_late_fact_stays(rolled: Connection, settings: Settings) -> None:
    late = ids(rolled)[3]
    append(rolled, late, [late_log(late, NOW)])
    assert prune(rolled, horizon(rolled, settings), NOW, 0).executions == 19
    assert ids(rolled) == [late]


def test_an_execution_that_goes_on_stays(connection: Connection, settings: Settings) -> None:
    events = list(history(2))
    append_many(connection, [event for event in events if event.event_type != "WorkflowCompleted"], history=True)
    roll(connection, settings, NOW)
    assert prune(connection, horizon(connection, settings), NOW, 0).executions == 0


@pytest.mark.mission("C5")
def test_what_the_marts_do_not_hold_stays(rolled: Connection, settings: Settings) -> None:
    end = horizon(rolled, settings)
    row = rolled.execute("SELECT max(last_tx) AS tx FROM archive_manifest").fetchone()
    assert row is not None
    assert prune(rolled, Position(end.epoch, row["tx"]), NOW, 0).executions == 0
    assert prune(rolled, Position(end.epoch, row["tx"] + 1), NOW, 0).executions == 20


def test_marts_of_another_epoch_prune_nothing(rolled: Connection, settings: Settings) -> None:
    end = horizon(rolled, settings)
    with pytest.raises(LedgerError, match="build them first"):
        prune(rolled, Position(end.epoch - 1, end.tx), NOW, 0)


def test_an_execution_is_old_enough_once_its_last_week_is(rolled: Connection, settings: Settings) -> None:
    held = horizon(rolled, settings)
    old_enough = datetime(2025, 1, 27, tzinfo=UTC) + timedelta(days=DAYS)
    assert prune(rolled, held, old_enough - timedelta(microseconds=1), DAYS).executions == 0
    assert prune(rolled, held, old_enough, DAYS).executions == 20


@pytest.mark.parametrize("days", [-1, 10**9])
def test_days_that_no_calendar_has_are_refused(connection: Connection, days: int) -> None:
    with pytest.raises(InvalidInput, match="prune after"):
        prune(connection, Position(1, 1), NOW, days)


@pytest.mark.mission("C5")
def test_a_late_fact_that_comes_first_keeps_its_execution(
    rolled: Connection, settings: Settings, ledger_url: str
) -> None:
    late = ids(rolled)[0]
    held = horizon(rolled, settings)
    pruned: list[int] = []
    with connect(ledger_url) as appending, connect(ledger_url, autocommit=True) as pruning:
        append(appending, late, [late_log(late, NOW)])
        other = threading.Thread(target=lambda: pruned.append(prune(pruning, held, NOW, 0).executions))
        other.start()
        _await_waiter(rolled)
        appending.commit()
        other.join(timeout=30)
    assert pruned == [19]
    assert ids(rolled) == [late]
    assert verify(rolled, settings.cold_dir).ok


def _await_waiter(connection: Connection) -> None:
    """Until a session waits for an execution's stripe."""
    waiting = """
        SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        WHERE l.locktype = 'advisory' AND l.classid = 19524 AND l.objid < 1024 AND NOT l.granted
    """
    for _ in range(600):
        if connection.execute(waiting).rowcount:
            return
        connection.execute("SELECT pg_sleep(0.05)")
    raise AssertionError("nobody waited for a stripe")


def test_a_prune_is_on_record(rolled: Connection, settings: Settings) -> None:
    prune(rolled, horizon(rolled, settings), NOW, DAYS)
    lines = rolled.execute("SELECT object_kind FROM admin_log WHERE action = 'prune'").fetchall()
    assert [line["object_kind"] for line in lines] == ["workflow_executions"]


@pytest.mark.parametrize("role", ["ledger_reader", "ledger_application"])
def test_only_the_archiver_prunes(connection: Connection, role: str) -> None:
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT prune_executions('2025-06-02', 1, 1)")


def test_the_archiver_prunes(rolled: Connection, settings: Settings) -> None:
    held = horizon(rolled, settings)
    rolled.execute("SET ROLE ledger_archiver")
    assert prune(rolled, held, NOW, DAYS).executions == 20


def test_a_folder_of_cold_files_is_left_as_it_is(rolled: Connection, settings: Settings) -> None:
    def files() -> set[tuple[Path, int]]:
        return {(path, path.stat().st_size) for path in settings.cold_dir.rglob("*") if path.is_file()}

    before = files()
    prune(rolled, horizon(rolled, settings), NOW, 0)
    assert files() == before
