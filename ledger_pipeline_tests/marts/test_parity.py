"""Executions, steps, calls and approvals of the marts are what replaying the same events gives."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any

import pytest

from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.events.fold import fold_all, initial
from ledger_pipeline.events.state import ApprovalState, CallState, ExecutionState, StepState
from ledger_pipeline.marts.build import Build, build_from
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.conftest import NOW
from ledger_pipeline_tests.marts.in_memory import InMemorySource, Row

OUTSIDE_MARTS = {"events", "problems", "position", "execution_kind", "steps", "calls", "artifacts", "approvals"}
OUTSIDE_MARTS |= {"log_entries", "open_calls"}
"""State that is no column: what has a mart of its own, and marks of the replay itself."""
JSON_VALUES = {"input_parameters", "trigger_context", "accumulated_context", "output_data", "error_details"}
JSON_VALUES |= {"workflow_metadata", "step_config", "input_data", "user_input", "tool_parameters", "tool_result"}
JSON_VALUES |= {"step_metadata", "details"}
"""Free data, which marts leave to a replay."""
RENAMED = {"approval_subject": "subject", "last_sequence": "event_count"}
COMPARED = {
    "executions": (ExecutionState, "execution_id"),
    "steps": (StepState, "step_id"),
    "agent_calls": (CallState, "call_id"),
    "approvals": (ApprovalState, "approval_id"),
}


@pytest.fixture(scope="module")
def built(history_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The marts of the simulated history, cut off in the middle so that much of it is still going on."""
    settings = Settings(home=tmp_path_factory.mktemp("parity"))
    return build_from(InMemorySource(unfinished(history_rows)), settings, NOW)


def unfinished(rows: list[Row]) -> list[Row]:
    """The rows without the last events of every other execution."""
    last: dict[Any, int] = {}
    for row in rows:
        last[row["execution_id"]] = row["sequence"]
    keep = {execution: n if i % 2 else n * (i % 7 + 1) // 8 + 1 for i, (execution, n) in enumerate(last.items())}
    return [row for row in rows if row["sequence"] <= keep[row["execution_id"]]]


def states(rows: Iterable[Row]) -> Iterator[ExecutionState]:
    """The state of every workflow execution."""
    executions: dict[Any, list[Row]] = {}
    for row in rows:
        executions.setdefault(row["execution_id"], []).append(row)
    for events in executions.values():
        if events[0]["execution_kind"] == "workflow":
            yield fold_all(initial(), events)


def records(state: ExecutionState, mart: str) -> Iterable[Any]:
    """What of a state is a row of the mart."""
    kept = {"executions": [state], "steps": state.steps, "agent_calls": state.calls, "approvals": state.approvals}[mart]
    return kept.values() if isinstance(kept, dict) else kept


def comparable(value: Any) -> Any:
    """Ids as text, whatever else as it is."""
    return value.isoformat() if isinstance(value, datetime) else str(value) if value is not None else None


@pytest.mark.mission("A9")
@pytest.mark.parametrize("mart", COMPARED)
def test_rows_equal_replays(built: Build, history_rows: list[Row], mart: str) -> None:
    record_class, key = COMPARED[mart]
    names = [f.name for f in fields(record_class) if f.name not in OUTSIDE_MARTS | JSON_VALUES and f.name != "id"]
    columns = [RENAMED.get(name, name) for name in names] + (["progress_percentage"] if mart == "executions" else [])
    with reading(built.path) as connection:
        rows = connection.execute(f"SELECT {key}, {', '.join(columns)} FROM marts.{mart}").fetchall()
    found = {str(row[0]): [comparable(value) for value in row[1:]] for row in rows}
    expected = {
        record.id: [
            comparable(getattr(record, name))
            for name in names + (["progress_percentage"] if mart == "executions" else [])
        ]
        for state in states(unfinished(history_rows))
        for record in records(state, mart)
    }
    assert len(found) == len(rows)
    assert found == expected


def test_the_history_has_executions_that_still_run(built: Build) -> None:
    with reading(built.path) as connection:
        found = {row[0] for row in connection.execute("SELECT DISTINCT status FROM marts.executions").fetchall()}
    assert {"running", "completed", "failed"} <= found
