"""What a command names in an execution: steps, calls and approvals, and the state that it needs."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from ledger_pipeline.arguments import id_of
from ledger_pipeline.errors import InvalidReference, InvalidTransition
from ledger_pipeline.events.enums import CallStatus
from ledger_pipeline.events.state import ApprovalState, CallState, ExecutionState, StepState
from ledger_pipeline.events.states import RULES
from ledger_pipeline.workflows.recording import open_call

StepRef = UUID | str
"""A step by its id, its path or its name."""
_SHOWN = 10


def listed(names: Iterable[str]) -> str:
    """Names for a message, the first of them when they are many."""
    given = list(names)
    return ", ".join(given[:_SHOWN]) + (f" and {len(given) - _SHOWN} more" if len(given) > _SHOWN else "") or "none"


def matching(steps: Iterable[StepState], reference: StepRef) -> list[StepState]:
    """The steps that a reference may mean: an id and a path mean one, a name may be that of one in each iteration."""
    text, known = str(reference).lower(), list(steps)
    for exact in ("id", "path"):
        found = [step for step in known if getattr(step, exact) == text]
        if found:
            return found
    return [step for step in known if step.step_name == str(reference)]


def find_step(state: ExecutionState, reference: StepRef) -> StepState:
    """The one step that is meant; raises InvalidReference."""
    found = matching(state.steps.values(), reference)
    if len(found) > 1:
        raise InvalidReference(
            f"step: {len(found)} steps are named {reference!r}; allowed: an id or a path, "
            f"such as {listed(step.path for step in found)}"
        )
    if not found:
        names = listed(dict.fromkeys(step.step_name for step in state.steps.values()))
        raise InvalidReference(f"step: {str(reference)!r} is not a step of this execution; its steps: {names}")
    return found[0]


def find_call(state: ExecutionState, reference: StepRef) -> tuple[StepState, CallState]:
    """The open call with its step, by the call's id or by its step; raises InvalidReference or InvalidTransition."""
    call = state.calls.get(str(reference).lower())
    if call is not None:
        step = state.steps[call.step_id]
        if call.status is not CallStatus.RUNNING:
            raise InvalidTransition(f"call: {call.id} of step {step.step_name!r} has ended ({call.status})")
        return step, call
    try:
        step = _of_open_calls(state, reference)
    except InvalidReference:
        raise InvalidReference(f"call: {str(reference)!r} is neither a call nor a step of this execution") from None
    call = open_call(state, step)
    if call is None:
        raise InvalidTransition(f"step: {step.step_name!r} is {step.status}, no call of it is open; dispatch it first")
    return step, call


def _of_open_calls(state: ExecutionState, reference: StepRef) -> StepState:
    found = [step for step in matching(state.steps.values(), reference) if open_call(state, step)]
    return found[0] if len(found) == 1 else find_step(state, reference)


def find_approval(state: ExecutionState, approval_id: UUID) -> ApprovalState:
    """The approval that waits; raises InvalidReference or InvalidTransition."""
    approval = state.approvals.get(str(id_of("approval_id", approval_id)))
    if approval is None:
        waiting = listed(a.id for a in state.approvals.values() if a.status == "pending")
        raise InvalidReference(f"approval_id: {approval_id} was not requested here; waiting: {waiting}")
    if approval.status != "pending":
        raise InvalidTransition(f"approval_id: {approval_id} was decided already ({approval.status})")
    return approval


def require(state: ExecutionState, event_type: str) -> None:
    """Raises InvalidTransition when the execution's state does not allow the event."""
    allowed = RULES[event_type].execution_from
    if state.position not in allowed:
        if state.position.ended:
            raise InvalidTransition(f"the execution has ended ({state.status}): its course can't be changed any more")
        states = ", ".join(sorted(position.value for position in allowed))
        raise InvalidTransition(f"the execution is {state.position.value}; allowed while it is: {states}")


def require_step(step: StepState, event_type: str) -> None:
    """Raises InvalidTransition when the step's status does not allow the event."""
    allowed = RULES[event_type].step_from
    if step.status not in allowed:
        statuses = ", ".join(sorted(status.value for status in allowed))
        raise InvalidTransition(f"step: {step.step_name!r} is {step.status}; allowed while it is: {statuses}")


def names_of(steps: Sequence[StepState]) -> str:
    """Steps for a message."""
    return listed(f"{step.step_name} ({step.path})" if step.step_name != step.path else step.path for step in steps)
