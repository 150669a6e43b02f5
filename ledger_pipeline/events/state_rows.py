"""A state as rows of the projection tables, to prove each stored row equal to a replay."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from ledger_pipeline.events.draft import EventRow
from ledger_pipeline.events.fold import parse_json
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.events.state_text import time_text

Row = dict[str, Any]

_UUID_COLUMNS = {
    *("id", "template_id", "retry_of", "parent_execution_id", "parent_step_id", "drive_id", "customer_id", "user_id"),
    *("agent_id", "current_step_id", "template_step_id", "child_execution_id", "step_id", "call_id"),
}
_NOT_IN_ROW = {
    *("position", "last_sequence", "latest_occurred_at", "open_calls", "log_entries", "problems"),
    *("steps", "calls", "artifacts", "approvals"),
}
_RENAMED: dict[str, str] = {
    "workflow_metadata": "metadata",
    "step_metadata": "metadata",
    "artifact_metadata": "metadata",
}


def _row(record: object) -> Row:
    row: Row = {}
    for name, value in record.__dict__.items():
        if name not in _NOT_IN_ROW:
            is_id = name in _UUID_COLUMNS and value is not None
            row[_RENAMED.get(name) or name] = UUID(value) if is_id else value
    if "events" in row:
        row["events"] = [
            {"sequence": mark.sequence, "event_type": mark.event_type, "occurred_at": time_text(mark.occurred_at)}
            for mark in row["events"]
        ]
    return row


def _log_row(state: ExecutionState, event: EventRow) -> Row:
    step = None if event["step_id"] is None else state.steps.get(str(event["step_id"]))
    details = parse_json(event["payload"]).get("details")
    return {
        "execution_id": UUID(str(event["execution_id"])),
        "sequence": event["sequence"],
        "timestamp": event["occurred_at"],
        "level": event["log_level"],
        "step_index": None if step is None else step.step_order,
        "step_name": event["step_name"],
        "message": event["message"],
        "details": {} if details is None else details,
    }


def state_as_rows(state: ExecutionState, events: Iterable[EventRow] = ()) -> dict[str, list[Row]]:
    """The rows of each projection table, without `created_at` and `updated_at`; ids are UUIDs, enums text.

    Log entries are not part of the state: the rows of `execution_log` are those of the given events, which may be all
    of the execution's. JSON columns hold values; times inside JSON are text in UTC with microseconds and `Z`.
    """
    if state.id is None:
        return {}
    execution_id = UUID(state.id)
    owned = {"execution_id": execution_id}
    return {
        "workflow_executions": [_row(state) | {"progress_percentage": state.progress_percentage}],
        "workflow_steps": [owned | _row(step) for step in state.steps.values()],
        "executions": [owned | _row(call) for call in state.calls.values()],
        "workflow_artifacts": [owned | _row(artifact) for artifact in state.artifacts.values()],
        "workflow_approvals": [owned | _row(approval) for approval in state.approvals.values()],
        "execution_log": [_log_row(state, event) for event in events if event["event_type"] == "LogRecorded"],
    }
