"""The state of an execution from its projection rows: equal to its replay, at the price of a few indexed reads."""

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from importlib.resources import files
from typing import Any, TypeVar
from uuid import UUID

from psycopg.types.json import set_json_loads

from ledger_pipeline.errors import NotFound
from ledger_pipeline.events.enums import CallStatus, ExecutionStatus, StepStatus
from ledger_pipeline.events.fold import parse_json
from ledger_pipeline.events.state import (
    ApprovalState,
    ArtifactState,
    CallState,
    EventMark,
    ExecutionState,
    StepState,
)
from ledger_pipeline.events.states import ExecutionState as Position
from ledger_pipeline.hot.database import Connection, translated

_SQL = files("ledger_pipeline.workflows") / "sql"
_READS = {
    name: (_SQL / f"{name}.sql").read_bytes() for name in ("execution", "steps", "calls", "approvals", "artifacts")
}
_RENAMED: dict[type[Any], str] = {
    ExecutionState: "workflow_metadata",
    StepState: "step_metadata",
    ArtifactState: "artifact_metadata",
}
_FIELDS: dict[type[Any], frozenset[str]] = {
    kind: frozenset(field.name for field in fields(kind))
    for kind in (ExecutionState, StepState, CallState, ApprovalState, ArtifactState)
}
_Record = TypeVar("_Record")


def stored_state(connection: Connection, execution_id: UUID) -> ExecutionState:
    """The state as of the execution's last event; raises NotFound for an unknown or pruned execution.

    Log entries are not counted, and `latest_occurred_at` is left out: no row holds it. The connection must not be in a
    transaction; all rows are those of one instant.
    """
    with translated(), connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Numbers as exact as a replay has them.
        set_json_loads(lambda text: parse_json(text.decode() if isinstance(text, bytes) else text), cursor)
        rows = {name: cursor.execute(statement, (execution_id,)).fetchall() for name, statement in _READS.items()}
    if not rows["execution"]:
        raise NotFound(f"execution_id: {execution_id} does not exist, or was pruned after its events were archived")
    (row,) = rows["execution"]
    state = _record(ExecutionState, row)
    state.position, state.status = Position(row["state"]), ExecutionStatus(row["status"])
    steps = sorted(rows["steps"], key=lambda row: [int(part) for part in re.findall(r"\d{1,9}", row["path"])])
    state.steps = _by_id([_with_status(_record(StepState, each), StepStatus) for each in steps])
    state.calls = _by_id([_with_status(_record(CallState, each), CallStatus) for each in rows["calls"]])
    state.approvals = _by_id([_record(ApprovalState, each) for each in rows["approvals"]])
    state.artifacts = _by_id([_record(ArtifactState, each) for each in rows["artifacts"]])
    state.open_calls = sum(call.status is CallStatus.RUNNING for call in state.calls.values())
    return state


def _record(kind: type[_Record], row: dict[str, Any]) -> _Record:
    given = dict(row)
    if kind in _RENAMED:
        given[_RENAMED[kind]] = given.pop("metadata")
    if "events" in given:
        given["events"] = tuple(map(_mark, given["events"]))
    known: dict[str, Any] = {
        name: str(value) if isinstance(value, UUID) else value for name, value in given.items() if name in _FIELDS[kind]
    }
    return kind(**known)


def _with_status(record: Any, statuses: Any) -> Any:
    record.status = statuses(record.status)
    return record


def _by_id(records: Sequence[Any]) -> dict[str, Any]:
    return {record.id: record for record in records}


def _mark(event: dict[str, Any]) -> EventMark:
    return EventMark(event["sequence"], event["event_type"], datetime.fromisoformat(event["occurred_at"]))
