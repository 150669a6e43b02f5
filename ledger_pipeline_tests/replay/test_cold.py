"""Replay, snapshots and verification across hot and cold."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.events import ContextUpdated, Event, WorkflowCreated, WorkflowStarted
from ledger_pipeline.events.state_text import state_text
from ledger_pipeline.hot.append import append_many, last_sequences
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.snapshots import take_snapshots
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVENTS = 30


def history(execution_id: UUID) -> list[Event]:
    """Thirty events, one a day, so five weeks of them."""
    first: list[Event] = [
        WorkflowCreated(occurred_at=START, execution_id=execution_id, input={"n": 0}),
        WorkflowStarted(occurred_at=START + timedelta(days=1), execution_id=execution_id),
    ]
    return first + [
        ContextUpdated(occurred_at=START + timedelta(days=n), execution_id=execution_id, patch={"n": n})
        for n in range(2, EVENTS)
    ]


def roll_until(connection: Connection, settings: Settings, day: int) -> None:
    """Rolls what is old on a day, with a single hot day."""
    roll(connection, settings, START + timedelta(days=day), keep_days=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a cold store of this test's own."""
    return Settings(home=tmp_path)


@pytest.fixture
def execution_ids(connection: Connection) -> list[UUID]:
    """Two executions of thirty days."""
    ids = sorted(uuid4() for _ in range(2))
    append_many(connection, [event for each in ids for event in history(each)], history=True)
    return ids


@pytest.mark.mission("A15")
@pytest.mark.mission("A7")
def test_a_replay_gives_the_same_bytes_hot_cold_across_both_and_from_snapshots(
    connection: Connection, settings: Settings, execution_ids: list[UUID]
) -> None:
    points: list[Any] = [None, 1, 7, 8, 21, 29, START + timedelta(days=10)]

    def replayed() -> list[str]:
        states = [
            replay(connection, settings.cold_dir, each, as_of=point) for each in execution_ids for point in points
        ]
        return [state_text(state) for state in states]

    hot = replayed()
    roll_until(connection, settings, 16)
    assert replayed() == hot
    # Snapshots of executions that are partly cold, each folded from its first event.
    assert take_snapshots(connection, settings.cold_dir, 5, START).executions == len(execution_ids)
    assert replayed() == hot
    roll_until(connection, settings, 60)
    assert connection.execute("SELECT count(*) AS n FROM workflow_events").fetchone() == {"n": 0}
    assert replayed() == hot
    connection.execute("DELETE FROM execution_snapshots")
    assert replayed() == hot
    assert take_snapshots(connection, settings.cold_dir, 5, START, everything=True).executions == len(execution_ids)
    assert replayed() == hot


@pytest.mark.mission("A7")
@pytest.mark.parametrize("every", [5, 9, 15])
def test_a_replay_of_what_is_cold_reads_no_file_before_its_snapshot(
    connection: Connection, settings: Settings, execution_ids: list[UUID], every: int
) -> None:
    roll_until(connection, settings, 60)
    files = files_of(connection, settings)
    # Seven events a week, the first on a Monday. Of use are the file of the event after the snapshot and those behind.
    before = EVENTS // every * every // 7
    expected = [state_text(replay(connection, settings.cold_dir, each)) for each in execution_ids]
    take_snapshots(connection, settings.cold_dir, every, START)
    assert 0 < before < len(files)
    for file in files[:before]:
        file.unlink()
    assert [state_text(replay(connection, settings.cold_dir, each)) for each in execution_ids] == expected
    connection.execute("DELETE FROM execution_snapshots")
    with pytest.raises(ColdStoreDamaged):
        replay(connection, settings.cold_dir, execution_ids[0])


@pytest.mark.mission("A7")
def test_a_snapshot_is_taken_every_ten_events_where_nothing_else_is_set(ledger_url: str, tmp_path: Path) -> None:
    execution_id = uuid4()

    def taken(**setting: int) -> list[int]:
        settings = Settings(home=tmp_path, database_url=SecretStr(ledger_url), **setting)
        with Ledger.open(settings) as ledger:
            ledger.snapshot(START + timedelta(days=EVENTS))
            rows = ledger.connection.execute("SELECT sequence FROM execution_snapshots ORDER BY sequence").fetchall()
        return [row["sequence"] for row in rows]

    with Ledger.open(Settings(home=tmp_path, database_url=SecretStr(ledger_url))) as ledger:
        for length, expected in ((9, []), (10, [10]), (29, [10, 20])):
            stored = last_sequences(ledger.connection, [execution_id]).get(execution_id, 0)
            ledger.append_many(history(execution_id)[stored:length], history=True)
            assert taken() == expected
    assert taken(snapshot_every=4)[-1] == 28


def test_a_ledger_that_is_partly_cold_is_verified_whole(
    connection: Connection, settings: Settings, execution_ids: list[UUID]
) -> None:
    roll_until(connection, settings, 16)
    report = verify(connection, settings.cold_dir)
    assert report.ok, report.problems
    assert (report.events, report.executions, report.weeks) == (EVENTS * len(execution_ids), 2, 5)
    assert report.checkpoints > 0


def files_of(connection: Connection, settings: Settings) -> list[Path]:
    """The cold files, oldest week first."""
    rows = connection.execute("SELECT files FROM archive_manifest ORDER BY week").fetchall()
    return [settings.cold_dir / file["name"] for row in rows for file in row["files"]]


def edit_a_byte(files: list[Path]) -> None:
    """Changes one byte in the middle of the first file."""
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(content)


def swap(files: list[Path]) -> None:
    """Gives two files each other's name."""
    first, second = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(second)
    files[1].write_bytes(first)


def remove(files: list[Path]) -> None:
    """Deletes the first file."""
    files[0].unlink()


def empty(files: list[Path]) -> None:
    """Truncates the first file."""
    files[0].write_bytes(b"")


def test_a_damaged_file_is_named(connection: Connection, settings: Settings, execution_ids: list[UUID]) -> None:
    roll_until(connection, settings, 16)
    files = files_of(connection, settings)
    contents = [file.read_bytes() for file in files]
    for damage in (edit_a_byte, swap, remove, empty):
        damage(files)
        report = verify(connection, settings.cold_dir)
        assert not report.ok, damage.__name__
        assert report.problems[0].file == str(files[0].relative_to(settings.cold_dir))
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
    assert verify(connection, settings.cold_dir).ok


def rewrite(connection: Connection, path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrites a file and makes the manifest agree with its bytes."""
    schema = pq.read_schema(path)
    pq.write_table(change(pq.read_table(path)).cast(schema), path)
    connection.execute(
        """
        UPDATE archive_manifest
        SET files = jsonb_set(jsonb_set(files, '{0,sha256}', to_jsonb(%s::text)), '{0,bytes}', %s)
        WHERE files -> 0 ->> 'name' LIKE %s
        """,
        (hashlib.sha256(path.read_bytes()).hexdigest(), str(path.stat().st_size), f"%{path.name}"),
    )


def test_a_rewritten_file_names_the_event(
    connection: Connection, settings: Settings, execution_ids: list[UUID]
) -> None:
    roll_until(connection, settings, 16)
    path = files_of(connection, settings)[1]

    def change(table: pa.Table) -> pa.Table:
        payloads = table.column("payload").to_pylist()
        payloads[2] = '{"patch":{"n":-1}}'
        return table.set_column(table.column_names.index("payload"), "payload", pa.array(payloads, pa.string()))

    bad = pq.read_table(path).column("event_id").to_pylist()[2]
    rewrite(connection, path, change)
    problems = verify(connection, settings.cold_dir).problems
    # The event, and the week's row of the manifest, which is a leaf of the tree.
    assert [problem.event_id for problem in problems] == [bad, None]
    assert "its row differs from its leaf of the tree" in problems[1].what


def test_a_week_taken_out_of_the_manifest_is_missed(
    connection: Connection, settings: Settings, execution_ids: list[UUID]
) -> None:
    roll_until(connection, settings, 16)
    connection.execute("DELETE FROM archive_manifest WHERE week = (SELECT max(week) FROM archive_manifest)")
    problems = verify(connection, settings.cold_dir).problems
    located = [problem for problem in problems if problem.event_id is not None]
    assert len(located) == len(execution_ids)
    assert all("is missing or stored twice" in problem.what for problem in located)
