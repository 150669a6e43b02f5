"""Old event versions: read as the current one, stored and hashed as they were. The versions here exist in this test."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import duckdb
import pytest

import verify_ledger
from ledger_pipeline.cold.feed import read_feed
from ledger_pipeline.cold.foreign_columns import foreign_expression
from ledger_pipeline.cold.leaf_sql import leaf_expression
from ledger_pipeline.cold.reader import execution_events, scan_events
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events import ArtifactRecorded, Event, WorkflowCreated, WorkflowStarted
from ledger_pipeline.events.catalogue import EVENT_TYPES, OLD_VERSIONS, columns_of, event_class_of
from ledger_pipeline.events.columns import Column, ColumnKind, Text
from ledger_pipeline.events.fold import fold_all, initial
from ledger_pipeline.events.schema import canonical_text, leaf_of
from ledger_pipeline.events.upcasters import UPCASTERS, EventRow
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.ddl import canonical_function
from ledger_pipeline.ingest.jsonl_line import format_row, parse_line
from ledger_pipeline.ingest.lines import read_lines
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
pytestmark = pytest.mark.mission("A15")


def with_a_scheme(row: EventRow) -> EventRow:
    """Version 2 of an artifact's record: its URI has a scheme."""
    return {**row, "uri": f"file://{row['uri']}"}


def with_a_tool(row: EventRow) -> EventRow:
    """Version 3: a column that the type did not have says which tool made it."""
    return {**row, "tool_name": "unknown"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a cold store of this test's own."""
    return Settings(home=tmp_path)


@pytest.fixture
def execution_id(connection: Connection) -> UUID:
    """An execution of three weeks, with an artifact in each."""
    chosen = uuid4()
    given: dict[str, Any] = {"execution_id": chosen, "artifact_type": "report"}
    events: list[Event] = [
        WorkflowCreated(occurred_at=START, execution_id=chosen),
        WorkflowStarted(occurred_at=START, execution_id=chosen),
    ]
    for week in range(3):
        at = START + timedelta(weeks=week)
        events.append(ArtifactRecorded(occurred_at=at, artifact_id=uuid4(), artifact_name="r", uri=f"/{week}", **given))
    append_many(connection, events, history=True)
    return chosen


@pytest.fixture
def later_versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Event]]:
    """The code of a later day: the type's third version, and how the two before it are read."""

    class ArtifactRecordedV3(ArtifactRecorded, profile=9003, version=3, of="ArtifactRecorded"):
        event_version: Annotated[Literal[3], Column(ColumnKind.INTEGER, minimum=1)] = 3  # type: ignore[assignment]
        tool_name: Text | None = None

    class ArtifactRecordedV2(ArtifactRecorded, profile=9002, version=2, of="ArtifactRecorded"):
        event_version: Annotated[Literal[2], Column(ColumnKind.INTEGER, minimum=1)] = 2  # type: ignore[assignment]

    old = {"ArtifactRecorded": {1: ArtifactRecorded, 2: ArtifactRecordedV2}}
    monkeypatch.setitem(OLD_VERSIONS, "ArtifactRecorded", old["ArtifactRecorded"])
    monkeypatch.setitem(EVENT_TYPES, "ArtifactRecorded", ArtifactRecordedV3)
    monkeypatch.setitem(UPCASTERS, ("ArtifactRecorded", 1), with_a_scheme)
    monkeypatch.setitem(UPCASTERS, ("ArtifactRecorded", 2), with_a_tool)
    columns_of.cache_clear()
    yield ArtifactRecordedV3
    columns_of.cache_clear()


def test_old_events_are_folded_as_current_ones_hot_and_cold(
    connection: Connection, settings: Settings, execution_id: UUID, later_versions: type[Event]
) -> None:
    def uris() -> list[str]:
        state = replay(connection, settings.cold_dir, execution_id)
        assert state.problems == ()
        return [artifact.uri for artifact in state.artifacts.values()]

    expected = ["file:///0", "file:///1", "file:///2"]
    assert uris() == expected
    roll(connection, settings, START + timedelta(days=12), keep_days=1)
    assert uris() == expected
    roll(connection, settings, START + timedelta(days=60), keep_days=1)
    assert uris() == expected


def test_what_is_stored_stays_and_is_verified_as_it_was_recorded(
    connection: Connection, settings: Settings, execution_id: UUID, later_versions: type[Event]
) -> None:
    roll(connection, settings, START + timedelta(days=12), keep_days=1)
    stored = list(execution_events(connection, settings.cold_dir, execution_id))
    scanned = [row for batch in scan_events(connection, settings.cold_dir) for row in batch.to_pylist()]
    for rows in (stored, scanned):
        artifacts = [row for row in rows if row["event_type"] == "ArtifactRecorded"]
        assert [(row["event_version"], row["uri"]) for row in artifacts] == [(1, "/0"), (1, "/1"), (1, "/2")]
    assert all(leaf_of(row) == row["leaf"] for row in stored)
    report = verify(connection, settings.cold_dir)
    assert report.ok, report.problems


def test_consumers_of_the_feed_see_current_versions_in_the_same_order(
    connection: Connection, settings: Settings, execution_id: UUID, later_versions: type[Event]
) -> None:
    roll(connection, settings, START + timedelta(days=12), keep_days=1)
    rows = [row for batch in read_feed(connection, settings.cold_dir).batches for row in batch.to_pylist()]
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4, 5]
    assert [(row["event_version"], row["uri"]) for row in rows[2:]] == [(3, f"file:///{n}") for n in range(3)]


def test_each_version_has_its_own_canonical_text_in_python_duckdb_and_postgres(
    connection: Connection, settings: Settings, execution_id: UUID, later_versions: type[Event]
) -> None:
    table = next(iter(scan_events(connection, settings.cold_dir)))
    row = next(row for row in table.to_pylist() if row["event_type"] == "ArtifactRecorded")
    old_leaf = row["leaf"]
    second, third = {**row, "event_version": 2}, {**row, "event_version": 3, "tool_name": "sh"}
    texts = [canonical_text(each) for each in (row, second, third)]
    assert [text.split("\x1f")[0] for text in texts] == [str(ArtifactRecorded.profile), "9002", "9003"]
    assert texts[2].split("\x1f")[-2] == "sh"
    rows = [row, second, third]
    leaves = [leaf_of(each).hex() for each in rows]
    assert leaves[0] == old_leaf.hex()
    given = type(table).from_pylist(rows, schema=table.schema)
    with duckdb.connect() as work:
        work.register("given", given)
        found = work.execute(
            f"SELECT {leaf_expression()}, {foreign_expression()} FROM given ORDER BY event_version"
        ).fetchall()
        assert found == [(leaf, False) for leaf in leaves]
        work.register("foreign_values", type(table).from_pylist([{**row, "tool_name": "sh"}], schema=table.schema))
        assert work.execute(f"SELECT {foreign_expression()} FROM foreign_values").fetchall() == [(True,)]
    connection.execute(canonical_function().replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))  # type: ignore[arg-type]
    text = connection.execute(
        "SELECT canonical_text(e) AS text FROM workflow_events e WHERE event_id = %s", (row["event_id"],)
    ).fetchone()
    assert text == {"text": texts[0]}


def test_a_version_that_is_not_known_is_noted_and_folded_as_far_as_it_can_be(
    connection: Connection, settings: Settings, execution_id: UUID
) -> None:
    rows = list(execution_events(connection, settings.cold_dir, execution_id))
    rows[2]["event_version"] = 7
    state = fold_all(initial(), rows)
    assert [problem.what for problem in state.problems] == ["ArtifactRecorded: version 7 is not known here"]
    assert len(state.artifacts) == 3
    with pytest.raises(InvalidInput, match="ArtifactRecorded has no version 7; allowed: 1"):
        event_class_of("ArtifactRecorded", 7)


def test_an_upcaster_that_fails_on_a_damaged_event_leaves_the_fold_total(
    connection: Connection, settings: Settings, execution_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(UPCASTERS, ("ArtifactRecorded", 1), lambda row: {**row, "uri": row["no such column"]})
    state = fold_all(initial(), execution_events(connection, settings.cold_dir, execution_id))
    assert len(state.artifacts) == 3
    assert "can't be read as the current version" in state.problems[0].what


def test_the_auditors_program_knows_every_version_by_a_line_of_its_own(
    connection: Connection,
    settings: Settings,
    execution_id: UUID,
    later_versions: type[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = " ".join(["ArtifactRecorded", *verify_ledger.LAYOUTS["ArtifactRecorded"]["1"].columns])
    name, *columns = first.split()
    added = "\n".join([f"{name}/2 9002 {' '.join(columns)}", f"{name}/3 9003 {' '.join([*columns, 'tool_name'])}"])
    monkeypatch.setattr(verify_ledger, "LAYOUTS", verify_ledger.layouts(verify_ledger.TYPES + added))
    table = next(iter(scan_events(connection, settings.cold_dir)))
    row = next(row for row in table.to_pylist() if row["event_type"] == name)
    rows = [row, {**row, "event_version": 2}, {**row, "event_version": 3, "tool_name": "sh"}]
    foreign = {**row, "event_version": 2, "tool_name": "sh"}
    unknown = {**row, "event_version": 4}
    with duckdb.connect() as work:
        work.register("given", type(table).from_pylist([*rows, foreign, unknown], schema=table.schema))
        found = work.execute(
            f"SELECT {verify_ledger.canonical_text_sql()}, coalesce({verify_ledger.foreign_sql()}, false) FROM given"
        ).fetchall()
    assert found[:3] == [(canonical_text(each), False) for each in rows]
    assert found[3][1]
    assert found[4][0] is None


def test_a_line_of_an_old_version_is_imported_as_an_event_of_the_current_one(
    connection: Connection, settings: Settings, execution_id: UUID, later_versions: type[Event]
) -> None:
    stored = list(execution_events(connection, settings.cold_dir, execution_id))
    content = b"".join(format_row(row) for row in stored)
    lines = list(read_lines(_written(settings, content)))
    events = [parse_line(line, START + timedelta(weeks=9)).event for line in lines]
    assert [(event.event_version, event.uri) for event in events if isinstance(event, later_versions)] == [
        (3, f"file:///{week}") for week in range(3)
    ]
    with pytest.raises(InvalidInput, match="event_version"):
        parse_line(
            next(read_lines(_written(settings, content.replace(b'"event_version":1', b'"event_version":7')))), START
        )


def _written(settings: Settings, content: bytes) -> Path:
    path = settings.home / "lines.jsonl"
    path.write_bytes(content)
    return path
