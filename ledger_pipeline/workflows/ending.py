"""How executions end."""

from typing import Any

from ledger_pipeline.errors import InvalidTransition
from ledger_pipeline.events.catalogue import (
    ExecutionAborted,
    WorkflowCancelled,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowTimedOut,
)
from ledger_pipeline.events.enums import CallStatus
from ledger_pipeline.templates.inputs import check_output
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.references import names_of, require
from ledger_pipeline.workflows.settling import definition_of
from ledger_pipeline.workflows.walk import Walk


def complete(recording: Recording, output: Any, *, skip_remaining: bool) -> None:
    """Ends an execution well: its output is checked, no call may be open, and every step must be done.

    `skip_remaining` ends it before its last step; those that have not run are skipped.
    """
    state = recording.state
    require(state, "WorkflowCompleted")
    running = [state.steps[call.step_id] for call in state.calls.values() if call.status is CallStatus.RUNNING]
    if running:
        raise InvalidTransition(f"calls are still open: complete or fail them first: {names_of(running)}")
    walk = Walk(state)
    if not walk.done and not skip_remaining:
        raise InvalidTransition(
            f"steps are still to be done: {names_of(walk.ready)}; dispatch or skip them, or say skip_remaining"
        )
    recording.record(WorkflowCompleted, output=check_output(definition_of(state), output))


def fail(recording: Recording, message: str, code: str | None, details: dict[str, Any] | None) -> None:
    """Ends an execution with an error."""
    require(recording.state, "WorkflowFailed")
    recording.record(WorkflowFailed, error_code=code, error_message=message, error_details=details)


def cancel(recording: Recording, reason: str | None) -> None:
    """Somebody ends an execution."""
    require(recording.state, "WorkflowCancelled")
    recording.record(WorkflowCancelled, reason=reason)


def abort(recording: Recording, reason: str | None) -> None:
    """An execution is ended from outside, for instance over its budget."""
    require(recording.state, "ExecutionAborted")
    recording.record(ExecutionAborted, reason=reason)


def time_out(recording: Recording, limit_seconds: int | None, reason: str | None) -> None:
    """Ends an execution that has run longer than it may."""
    require(recording.state, "WorkflowTimedOut")
    recording.record(WorkflowTimedOut, limit_seconds=limit_seconds, reason=reason)
