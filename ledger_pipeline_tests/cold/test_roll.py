"""The roll: every event leaves the hot store for a verified file, once, whatever interrupts it."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from ledger_pipeline.cold import roll as roll_module
from ledger_pipeline.cold.manifest import week_row
from ledger_pipeline.cold.reader import scan_events
from ledger_pipeline.cold.roll import (
    RollProgress,
    drop_empty_leaves,
    due_weeks,
    orphans,
    roll,
    roll_week,
)
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.cold.verify import verify_files
from ledger_pipeline.cold.write import write_week
from ledger_pipeline.errors import ColdStoreDamaged, InvalidInput, LedgerError
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.append import append, last_sequences
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill, history, hot_events

WEEKS = [MONDAY + timedelta(weeks=nth) for nth in range(3)]


def all_events(connection: Connection, settings: Settings) -> Counter[tuple[str, int]]:
    """Every event of hot and cold, counted."""
    found: Counter[tuple[str, int]] = Counter()
    for batch in scan_events(connection, settings.cold_dir):
        found.update(zip(batch.column("execution_id").to_pylist(), batch.column("sequence").to_pylist(), strict=True))
    return found


def contents(connection: Connection, settings: Settings) -> list[dict[str, Any]]:
    return [row for batch in scan_events(connection, settings.cold_dir) for row in batch.to_pylist()]


def named_files(connection: Connection, settings: Settings) -> list[Path]:
    rows = [week_row(connection, week) for week in WEEKS]
    return [settings.cold_dir / file.name for row in rows if row is not None for file in row.files]


@pytest.mark.mission("A5")
def test_rolled_events_are_in_files_only_and_unchanged(connection: Connection, settings: Settings) -> None:
    events = fill(connection)
    before = contents(connection, settings)
    rolled = roll(connection, settings, NOW)
    assert [week.week for week in rolled] == WEEKS
    assert sum(week.events for week in rolled) == events
    assert not hot_events(connection)
    assert contents(connection, settings) == before


@pytest.mark.mission("A5")
def test_ninety_days_are_hot_where_nothing_else_is_set(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    ninety_days_after = datetime(2025, 1, 13, tzinfo=UTC) + timedelta(days=90)
    before = len(hot_events(connection))
    assert roll(connection, settings, ninety_days_after - timedelta(microseconds=1)) == []
    assert len(hot_events(connection)) == before
    assert [week.week for week in roll(connection, settings, ninety_days_after)] == WEEKS[:1]
    assert 0 < len(hot_events(connection)) < before


@pytest.mark.mission("A5")
def test_a_week_is_due_once_its_last_instant_is_old_enough(connection: Connection) -> None:
    fill(connection, 1)
    old_enough = datetime(2025, 1, 13, tzinfo=UTC) + timedelta(days=90)
    assert due_weeks(connection, old_enough - timedelta(microseconds=1), 90) == []
    assert due_weeks(connection, old_enough, 90) == WEEKS[:1]
    assert due_weeks(connection, old_enough, 0) == WEEKS


def test_keep_days_takes_the_place_of_the_setting(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    at = datetime(2025, 1, 27, tzinfo=UTC)
    assert roll(connection, settings, at) == []
    assert [week.week for week in roll(connection, settings, at, keep_days=7)] == WEEKS[:2]


def test_dry_run_names_the_weeks_and_changes_nothing(connection: Connection, settings: Settings) -> None:
    events = fill(connection)
    planned = roll(connection, settings, NOW, dry_run=True)
    assert ([week.week for week in planned], sum(week.events for week in planned)) == (WEEKS, events)
    assert len(hot_events(connection)) == events
    assert week_row(connection, MONDAY) is None
    assert not settings.cold_dir.exists()


def test_rolling_again_does_nothing(connection: Connection, settings: Settings) -> None:
    fill(connection)
    first = roll(connection, settings, NOW)
    files = named_files(connection, settings)
    assert roll(connection, settings, NOW) == []
    again = roll_week(connection, settings, MONDAY, NOW)
    assert (again.events, again.bytes, again.files, again.seconds) == (first[0].events, first[0].bytes, 1, 0)
    assert named_files(connection, settings) == files


def test_a_week_that_is_not_due_is_refused(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    with pytest.raises(InvalidInput, match="not old enough"):
        roll_week(connection, settings, MONDAY, datetime(2025, 2, 1, tzinfo=UTC))
    with pytest.raises(InvalidInput, match="not a Monday"):
        roll_week(connection, settings, date(2025, 1, 7), NOW)


def test_a_week_without_events_moves_nothing(connection: Connection, settings: Settings) -> None:
    assert roll_week(connection, settings, MONDAY, NOW).events == 0
    row = connection.execute("SELECT first_open_week::text AS week FROM ledger_state").fetchone()
    assert row == {"week": "-infinity"}


def test_earlier_weeks_leave_first(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll_week(connection, settings, WEEKS[1], NOW)
    assert due_weeks(connection, NOW, 90) == WEEKS[2:]


def test_a_sealed_week_takes_no_event_any_more(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    roll_week(connection, settings, MONDAY, NOW)
    before = week_row(connection, MONDAY)
    late = list(history(1, 3, seed=2))
    assert late[0].execution_id is not None
    fill(connection, 1, seed=2)
    row = connection.execute(
        "SELECT min(week) AS week FROM workflow_events WHERE execution_id = %s", (late[0].execution_id,)
    ).fetchone()
    assert row == {"week": WEEKS[1]}
    assert week_row(connection, MONDAY) == before


class Interrupted(Exception):
    """Stands for a process that ends."""


def test_whoever_comes_next_goes_on_where_a_roll_was_interrupted(
    connection: Connection, ledger_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection)
    before = contents(connection, settings)
    for step in ("_sealed", "write_week", "_written", "_verified", "_committed"):
        for already_done in (False, True):
            with connect(ledger_url) as next_one, monkeypatch.context() as patch:
                patch.setattr(roll_module, step, interrupted(getattr(roll_module, step), already_done))
                with pytest.raises(Interrupted):
                    roll(next_one, settings, NOW)
            assert contents(connection, settings) == before
    roll(connection, settings, NOW)
    assert contents(connection, settings) == before
    assert not hot_events(connection)
    assert orphans(connection, settings) == []


def interrupted(original: Callable[..., object], already_done: bool) -> Callable[..., object]:
    """The step with an end before it began, or after it was done and before anybody heard of it."""

    def step(*args: object, **kwargs: object) -> object:
        if already_done:
            original(*args, **kwargs)
        raise Interrupted

    return step


@pytest.mark.parametrize("state", ["_verified", "_committed"])
def test_files_lost_before_the_commit_are_written_again(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    fill(connection)
    before = contents(connection, settings)

    with monkeypatch.context() as patch:
        patch.setattr(roll_module, state, interrupted(getattr(roll_module, state), already_done=False))
        with pytest.raises(Interrupted):
            roll_week(connection, settings, MONDAY, NOW)
    (file,) = named_files(connection, settings)
    file.write_bytes(b"x" * file.stat().st_size)
    roll(connection, settings, NOW)
    assert contents(connection, settings) == before


def test_a_process_that_was_overtaken_can_change_nothing(connection: Connection, settings: Settings) -> None:
    fill(connection)
    connection.execute("SELECT close_week(%s, %s)", (MONDAY, NOW))
    stale = connection.execute("SELECT * FROM seal_week(%s)", (MONDAY,)).fetchone()
    assert stale is not None
    connection.execute("SELECT seal_week(%s)", (MONDAY,))
    with pytest.raises(Exception, match="another process has taken the roll"):
        connection.execute("SELECT mark_written(%s, %s, '[]', 1)", (MONDAY, stale["fencing_token"]))
    roll(connection, settings, NOW)
    with pytest.raises(Exception, match="another process has taken the roll"):
        connection.execute("SELECT commit_week(%s, %s)", (MONDAY, stale["fencing_token"]))


def test_two_rolls_at_once_share_the_work(ledger_url: str, connection: Connection, settings: Settings) -> None:
    events = fill(connection, 40)
    before = contents(connection, settings)
    rolled: list[int] = []

    def run() -> None:
        with connect(ledger_url) as own:
            rolled.append(sum(week.events for week in roll(own, settings, NOW)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(rolled) == [0, events]
    assert contents(connection, settings) == before


def test_the_commit_refuses_hot_rows_that_are_not_those_verified(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = fill(connection)
    committed = roll_module._committed  # pyright: ignore[reportPrivateUsage]

    def tampered(own: Connection, row: Any) -> Any:
        own.execute("SET session_replication_role = replica")
        own.execute("ALTER TABLE workflow_started_events_20250106 DISABLE TRIGGER ALL")
        own.execute("DELETE FROM workflow_events WHERE event_type = 'WorkflowStarted' AND week = %s", (MONDAY,))
        return committed(own, row)

    monkeypatch.setattr(roll_module, "_committed", tampered)
    with pytest.raises(LedgerError, match="are not those that were verified"):
        roll(connection, settings, NOW)
    assert len(hot_events(connection)) == events - 20


def test_an_event_that_differs_from_its_leaf_is_not_rolled(connection: Connection, settings: Settings) -> None:
    fill(connection)
    row = connection.execute(
        "SELECT event_id FROM workflow_events WHERE event_type = 'WorkflowStarted' LIMIT 1"
    ).fetchone()
    assert row is not None
    connection.execute("ALTER TABLE workflow_started_events_20250106 DISABLE TRIGGER ALL")
    connection.execute("UPDATE workflow_events SET mode = 'changed' WHERE event_id = %s", (row["event_id"],))
    with pytest.raises(ColdStoreDamaged, match=f"first is {row['event_id']}"):
        roll(connection, settings, NOW)
    assert len(hot_events(connection)) == 20 * 9


def test_a_reader_that_leaves_no_gap_is_named_and_nothing_has_changed(
    connection: Connection, ledger_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = fill(connection)
    monkeypatch.setattr(roll_module, "LOCK_WAIT_SECONDS", 0.5)
    with connect(ledger_url) as reader:
        reader.execute("SET application_name = 'long report'")
        reader.execute("LOCK TABLE archive_manifest IN ACCESS SHARE MODE")
        with pytest.raises(Held, match="long report"):
            roll(connection, settings, NOW)
    assert len(hot_events(connection)) == events
    assert sum(week.events for week in roll(connection, settings, NOW)) == events


def test_a_large_week_is_split_into_files(connection: Connection, settings: Settings, tmp_path: Path) -> None:
    fill(connection, 400, weeks=1)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("ledger_pipeline.cold.write._CHUNK_ROWS", 1)
        connection.execute("SELECT close_week(%s, %s)", (MONDAY, NOW))
        connection.execute("SELECT seal_week(%s)", (MONDAY,))
        split = write_week(connection, tmp_path / "split", UUID(int=1), MONDAY, file_bytes=1)
    (whole,) = write_week(connection, tmp_path / "whole", UUID(int=1), MONDAY)
    assert [file.events for file in split] == [1024, 1024, 1024, 400 * 9 - 3 * 1024]
    assert verify_files(tmp_path / "split", MONDAY, split) == verify_files(tmp_path / "whole", MONDAY, [whole])


def test_orphans_are_listed_and_removed_on_request_only(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    (named, *_) = named_files(connection, settings)
    strangers = [named.parent / "0000.parquet", named.parent / ".11.part"]
    for stranger in strangers:
        stranger.write_bytes(b"abc")
    assert sorted(Path(orphan.name).name for orphan in orphans(connection, settings)) == [".11.part", "0000.parquet"]
    assert all(stranger.exists() for stranger in strangers)
    orphans(connection, settings, remove=True)
    assert not any(stranger.exists() for stranger in strangers)
    assert named.exists()


def test_empty_leaves_of_closed_weeks_go_and_no_other(connection: Connection, settings: Settings) -> None:
    events = fill(connection)
    for week in WEEKS:
        connection.execute("SELECT make_leaf('LogRecorded', %s)", (week,))
    assert drop_empty_leaves(connection) == 0
    connection.execute("UPDATE ledger_state SET first_open_week = %s", (WEEKS[2],))
    assert drop_empty_leaves(connection) == 2
    row = connection.execute("SELECT to_regclass('log_recorded_events_20250120') IS NOT NULL AS kept").fetchone()
    assert row == {"kept": True}
    assert len(hot_events(connection)) == events


def test_progress_tells_each_step(connection: Connection, settings: Settings) -> None:
    fill(connection, 2, weeks=1)
    heard: list[RollProgress] = []
    roll(connection, settings, NOW, progress=heard.append)
    assert [(step.state, step.events) for step in heard] == [
        ("sealed", 0),
        ("sealed", 18),
        ("written", 18),
        ("verified", 18),
        ("committed", 18),
    ]


def test_appends_go_on_after_everything_was_rolled(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    roll(connection, settings, datetime.now(UTC) + timedelta(days=400))
    events = list(history(1, 1, seed=5))
    execution_id = events[0].execution_id
    assert execution_id is not None
    append(connection, execution_id, events)
    assert last_sequences(connection, [execution_id]) == {execution_id: 9}


def test_cold_files_have_the_documented_columns(connection: Connection, settings: Settings) -> None:
    fill(connection, 2, weeks=1)
    roll(connection, settings, NOW)
    (path,) = named_files(connection, settings)
    metadata = pq.read_metadata(path)
    names = ARROW_SCHEMA.names
    assert pq.read_schema(path).equals(ARROW_SCHEMA)
    assert metadata.metadata[b"ledger.schema_version"] == b"1"
    executions, kinds = (metadata.row_group(0).column(names.index(name)) for name in ("execution_id", "event_type"))
    assert executions.compression == "ZSTD"
    assert executions.statistics.has_min_max
    assert executions.bloom_filter_offset is not None
    assert kinds.has_dictionary_page


def test_a_column_expected_to_be_empty_is_read_when_it_is_not(
    connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection, 2, weeks=1)
    rows = contents(connection, settings)
    wrong_guess = {"WorkflowStarted": frozenset({"workflow_name", "mode"})}
    monkeypatch.setattr("ledger_pipeline.cold.hot_rows._expected_null", wrong_guess)
    assert contents(connection, settings) == rows
    right_guess = {"WorkflowStarted": frozenset({"mode"})}
    monkeypatch.setattr("ledger_pipeline.cold.hot_rows._expected_null", right_guess)
    assert contents(connection, settings) == rows
