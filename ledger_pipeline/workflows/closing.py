"""How steps end: completed, failed, tried again, skipped, or with the child execution that ran for them."""

from typing import Any

from ledger_pipeline.errors import InvalidTransition
from ledger_pipeline.events.catalogue import StepCompleted, StepFailed, StepRetried, StepSkipped
from ledger_pipeline.events.enums import ExecutionStatus, StepStatus, StepType
from ledger_pipeline.events.state import ExecutionState, StepState
from ledger_pipeline.workflows.recording import Recording, open_call
from ledger_pipeline.workflows.references import StepRef, find_call, find_step, require, require_step
from ledger_pipeline.workflows.settling import fail_with_all_below, settle

_CONTAINERS = (StepType.CONDITION, StepType.PARALLEL, StepType.LOOP)


def complete_step(recording: Recording, call: StepRef, output: Any, tool_result: Any) -> None:
    """Closes a call that ended well, and its step with it."""
    require(recording.state, "StepCompleted")
    step, open_one = find_call(recording.state, call)
    if step.step_type in _CONTAINERS:
        raise InvalidTransition(f"step: {step.step_name!r} is a {step.step_type}: it ends by itself, with its steps")
    recording.record(StepCompleted, step, call_id=open_one.id, output=output, tool_result=tool_result)
    settle(recording)


def fail_step(
    recording: Recording,
    call: StepRef,
    message: str,
    code: str | None = None,
    details: dict[str, Any] | None = None,
    *,
    retriable: bool = True,
    delay_ms: int | None = None,
) -> None:
    """Closes a call that ended with an error: the step is retried while it has attempts left, else it has failed."""
    require(recording.state, "StepFailed")
    step, open_one = find_call(recording.state, call)
    if step.step_type in _CONTAINERS:
        fail_with_all_below(recording, step, code, message, details or {})
    else:
        fields = {"error_code": code, "error_message": message, "error_details": details}
        recording.record(StepFailed, step, call_id=open_one.id, **fields)
        if retriable and step.attempt < step.max_attempts:
            _retry(recording, step, delay_ms, message)
    settle(recording)


def retry_step(recording: Recording, reference: StepRef, delay_ms: int | None) -> None:
    """Lets a failed step run again; raises InvalidTransition beyond its maximum of attempts."""
    require(recording.state, "StepRetried")
    step = find_step(recording.state, reference)
    require_step(step, "StepRetried")
    if step.step_type in _CONTAINERS:
        raise InvalidTransition(f"step: {step.step_name!r} is a {step.step_type}: the steps in it are tried again")
    if step.attempt >= step.max_attempts:
        raise InvalidTransition(f"step: {step.step_name!r} has had all its attempts ({step.max_attempts})")
    _retry(recording, step, delay_ms, step.error_message)
    settle(recording)


def _retry(recording: Recording, step: StepState, delay_ms: int | None, message: str | None) -> None:
    recording.record(StepRetried, step, next_attempt=step.attempt + 1, delay_ms=delay_ms, error_message=message)


def skip_step(recording: Recording, reference: StepRef, reason: str | None) -> None:
    """Passes over a step that has not run."""
    require(recording.state, "StepSkipped")
    step = find_step(recording.state, reference)
    require_step(step, "StepSkipped")
    recording.record(StepSkipped, step, reason=reason)
    settle(recording)


def linked_step(state: ExecutionState, reference: StepRef) -> StepState:
    """The running step whose child execution is meant; raises InvalidReference or InvalidTransition."""
    step, _ = find_call(state, reference)
    if step.child_execution_id is None:
        raise InvalidTransition(f"step: {step.step_name!r} runs no child execution")
    return step


def collect_child(recording: Recording, reference: StepRef, child: ExecutionState) -> None:
    """Ends a step as its child execution has ended; raises InvalidTransition while that goes on."""
    require(recording.state, "StepCompleted")
    step = linked_step(recording.state, reference)
    if not child.position.ended:
        raise InvalidTransition(f"step: the child execution {child.id} of {step.step_name!r} is still {child.status}")
    if child.status is ExecutionStatus.COMPLETED:
        complete_step(recording, step.id, child.output_data, None)
        return
    reason = child.error_message or "without a message"
    message = f"child execution {child.status}: {reason}"
    details = {"child_execution_id": child.id, "status": child.status.value}
    # The child's next attempt is another execution: the step's own retries say whether there is one.
    fail_step(recording, step.id, message, f"child_{child.status}", details)


def time_out_step(recording: Recording, reference: StepRef, limit_seconds: int) -> bool:
    """Fails a call that has run longer than its step may; false when it is not open any more."""
    call = recording.state.calls.get(str(reference).lower())
    if call is None or recording.state.steps[call.step_id].status is not StepStatus.RUNNING:
        return False
    if open_call(recording.state, recording.state.steps[call.step_id]) is not call:
        return False
    message = f"ran longer than its limit of {limit_seconds} seconds"
    fail_step(recording, call.id, message, "timeout", {"limit_seconds": limit_seconds})
    return True
