"""`verify`: a healthy ledger is never accused, and each tampering is found and located."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import pyarrow as pa
import pytest

from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.foreign_columns import foreign_expression
from ledger_pipeline.events import LogRecorded, StepDispatched, WorkflowCreated, WorkflowStarted
from ledger_pipeline.events.catalogue import EVENT_COLUMNS, PlanStep
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verify import verify

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def cold_dir(tmp_path: Path) -> Path:
    """An empty cold store."""
    return tmp_path / "cold"


def append_five_events(connection: Connection) -> UUID:
    """A new execution of five events."""
    execution_id, step = uuid4(), uuid4()
    append(
        connection,
        execution_id,
        [
            WorkflowCreated(
                occurred_at=AT, plan=(PlanStep(step_id=step, path="0", step_order=0, step_name="s"),), workflow_name="w"
            ),
            WorkflowStarted(occurred_at=AT),
            StepDispatched(occurred_at=AT, step_id=step, call_id=uuid4(), input={"q": 1}),
            LogRecorded(occurred_at=AT, log_level="info", message="one"),
            LogRecorded(occurred_at=AT, log_level="info", message="two"),
        ],
    )
    return execution_id


def unprotect(connection: Connection) -> None:
    """Lets a superuser change events, which nobody else can."""
    leaves = connection.execute(
        "SELECT relid::text AS leaf FROM pg_partition_tree('workflow_events') WHERE isleaf"
    ).fetchall()
    for row in leaves:
        connection.execute(f"ALTER TABLE {row['leaf']} DISABLE TRIGGER USER")  # type: ignore[arg-type]


@pytest.fixture
def execution_id(connection: Connection) -> UUID:
    """One of two executions whose events can be changed."""
    execution_ids = [append_five_events(connection) for _ in range(2)]
    unprotect(connection)
    return execution_ids[0]


def event_at(connection: Connection, execution_id: UUID, sequence: int) -> str:
    """The id of an event."""
    row = connection.execute(
        "SELECT event_id FROM workflow_events WHERE execution_id = %s AND sequence = %s", (execution_id, sequence)
    ).fetchone()
    assert row is not None
    return str(row["event_id"])


def test_a_healthy_ledger_is_verified_whole(connection: Connection, cold_dir: Path, execution_id: UUID) -> None:
    told: list[int] = []
    close_checkpoint(connection)
    report = verify(connection, cold_dir, told.append)
    assert (report.ok, report.events, report.executions, report.checkpoints) == (True, 10, 2, 1)
    assert told[-1] == 10


def test_an_empty_ledger_is_verified(connection: Connection, cold_dir: Path) -> None:
    assert verify(connection, cold_dir).ok


_CHANGES: dict[ColumnKind, str] = {
    ColumnKind.UUID: "gen_random_uuid()",
    ColumnKind.TEXT: "coalesce({0}, '') || 'x'",
    ColumnKind.INTEGER: "coalesce({0}, 0) + 1",
    ColumnKind.BIGINT: "coalesce({0}, 0) + 1",
    ColumnKind.TIMESTAMP: "coalesce({0}, now()) + interval '1 microsecond'",
    ColumnKind.USD: "coalesce({0}, 0) + 0.000000000001",
    ColumnKind.JSON: "(left({0}::text, -1) || ' }}')::json",
    ColumnKind.BYTES: "sha256({0})",
}
_FIXED = {"event_type", "week", "execution_id", "sequence"}
"""Columns that place a row: another value makes it another's, which other tests show."""


@pytest.mark.slow
def test_a_changed_column_names_the_event(connection: Connection, cold_dir: Path, execution_id: UUID) -> None:
    for row in connection.execute(
        "SELECT conrelid::regclass::text AS name, conname FROM pg_constraint "
        "WHERE contype = 'c' AND conparentid = 0 AND coninhcount = 0 "
        "AND conrelid IN (SELECT relid FROM pg_partition_tree('workflow_events'))"
    ).fetchall():
        connection.execute(f'ALTER TABLE {row["name"]} DROP CONSTRAINT "{row["conname"]}"')  # type: ignore[arg-type]
    here = "execution_id = %(id)s AND sequence = 3"
    connection.execute(f"CREATE TEMP TABLE kept AS SELECT * FROM workflow_events WHERE {here}", {"id": execution_id})  # type: ignore[arg-type]
    unnoticed: list[str] = []
    for column in EVENT_COLUMNS:
        if column in _FIXED:
            continue
        change = _CHANGES[EVENT_COLUMNS[column]].format(column)
        connection.execute(f"UPDATE workflow_events SET {column} = {change} WHERE {here}", {"id": execution_id})  # type: ignore[arg-type]
        bad = event_at(connection, execution_id, 3)
        if [problem.event_id for problem in verify(connection, cold_dir).problems] != [bad]:
            unnoticed.append(column)
        restored = f"UPDATE workflow_events e SET {column} = kept.{column} FROM kept WHERE e.{here}"
        connection.execute(restored.replace("AND sequence", "AND e.sequence"), {"id": execution_id})  # type: ignore[arg-type]
    assert unnoticed == []
    assert verify(connection, cold_dir).ok


_TAMPERINGS: list[tuple[str, int | None, str]] = [
    ("DELETE FROM workflow_events WHERE execution_id = %(id)s AND sequence = 2", 3, "is missing"),
    ("DELETE FROM workflow_events WHERE execution_id = %(id)s AND sequence = 1", 2, "follows sequence 0"),
    ("DELETE FROM workflow_events WHERE execution_id = %(id)s AND sequence = 5", 4, "the head says sequence 5"),
    ("DELETE FROM workflow_events WHERE execution_id = %(id)s", None, "says 5 events, and there is none"),
    ("UPDATE execution_heads SET head_hash = sha256('') WHERE id = %(id)s", 5, "another hash"),
    ("UPDATE execution_heads SET last_sequence = 4 WHERE id = %(id)s", 5, "the head says sequence 4"),
    (
        "UPDATE workflow_events SET sequence = 6 WHERE execution_id = %(id)s AND sequence = 5",
        6,
        "columns do not give its leaf",
    ),
]


def test_what_is_missing_or_moved_is_located_in_each_execution(connection: Connection, cold_dir: Path) -> None:
    expected: dict[str, tuple[str | None, str]] = {}
    tampered = [(append_five_events(connection), *tampering) for tampering in _TAMPERINGS]
    append_five_events(connection)
    unprotect(connection)
    for execution_id, tampering, bad, what in tampered:
        connection.execute(tampering, {"id": execution_id})  # type: ignore[arg-type]
        expected[str(execution_id)] = (None if bad is None else event_at(connection, execution_id, bad), what)
    problems = verify(connection, cold_dir).problems
    assert len(problems) == len(expected)
    for problem in problems:
        event_id, what = expected[problem.what.split()[1].rstrip(",:")]
        assert problem.event_id == event_id
        assert what in problem.what


def test_a_leaf_made_to_fit_the_change_breaks_the_chain(
    connection: Connection, cold_dir: Path, execution_id: UUID
) -> None:
    connection.execute(
        "UPDATE workflow_events SET message = 'other' WHERE execution_id = %s AND sequence = 4", (execution_id,)
    )
    connection.execute(
        "UPDATE workflow_events e SET leaf = leaf(e) WHERE execution_id = %s AND sequence = 4", (execution_id,)
    )
    (problem,) = verify(connection, cold_dir).problems
    assert problem.event_id == event_at(connection, execution_id, 4)
    assert "does not follow" in problem.what


def test_a_history_rewritten_with_its_head_is_found_by_the_checkpoint(
    connection: Connection, cold_dir: Path, execution_id: UUID
) -> None:
    close_checkpoint(connection)
    rewritten: list[Callable[[], Any]] = [
        lambda: connection.execute(
            "UPDATE workflow_events SET message = 'other' WHERE execution_id = %s AND sequence = 5", (execution_id,)
        ),
        lambda: connection.execute(
            "UPDATE workflow_events e SET leaf = leaf(e) WHERE execution_id = %s AND sequence = 5", (execution_id,)
        ),
        lambda: connection.execute(
            """
            UPDATE workflow_events e SET hash = sha256(b.hash || e.leaf) FROM workflow_events b
            WHERE e.execution_id = %s AND e.sequence = 5 AND b.execution_id = e.execution_id AND b.sequence = 4
            """,
            (execution_id,),
        ),
        lambda: connection.execute(
            """
            UPDATE execution_heads h SET head_hash = e.hash FROM workflow_events e
            WHERE h.id = %s AND e.execution_id = h.id AND e.sequence = 5
            """,
            (execution_id,),
        ),
    ]
    for step in rewritten:
        step()
    (problem,) = verify(connection, cold_dir).problems
    assert problem.what == "checkpoint 1 has another root than its 10 events"


def test_a_value_in_another_types_column_is_seen() -> None:
    events = pa.table(
        {
            **{name: pa.array([None] * 3, pa.string()) for name in EVENT_COLUMNS},
            "event_type": ["LogRecorded", "LogRecorded", "StepFailed"],
            "message": ["hello", "hello", None],
            "error_message": [None, "not a log's", "a failure's"],
        }
    )
    found = duckdb.sql(f"SELECT coalesce({foreign_expression()}, false) FROM events").fetchall()
    assert [row[0] for row in found] == [False, True, False]
    assert events.num_rows == 3
