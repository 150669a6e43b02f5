"""Records what follows from what a command has recorded: skipped steps, ended containers, iterations, a failed end."""

from typing import Any
from uuid import UUID

from ledger_pipeline.events.catalogue import (
    IterationStarted,
    PlanStep,
    StepCompleted,
    StepFailed,
    StepSkipped,
    WorkflowFailed,
)
from ledger_pipeline.events.enums import StepStatus
from ledger_pipeline.events.state import ExecutionState, StepState
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.plan import iteration_of
from ledger_pipeline.templates.positions import Position
from ledger_pipeline.templates.steps import LoopStep
from ledger_pipeline.workflows.positions import Positions, inline_fields, member
from ledger_pipeline.workflows.recording import Recording, open_call
from ledger_pipeline.workflows.walk import Complete, Consequence, Fail, FailWorkflow, Iterate, Skip, Walk


def settle(recording: Recording) -> None:
    """Records every consequence, until nothing follows by itself."""
    while not recording.state.position.ended and (consequence := Walk(recording.state).consequence):
        _apply(recording, consequence)


def _apply(recording: Recording, consequence: Consequence) -> None:
    match consequence:
        case Skip(step, reason):
            recording.record(StepSkipped, step, reason=reason)
        case Complete(step, output):
            recording.record(StepCompleted, step, call_id=_call_id(recording, step), output=output)
        case Fail(step, culprit):
            fail_with_all_below(recording, step, *_blame(culprit))
        case Iterate(step, index):
            item = step.input_data["collection"][index]
            steps = iteration_steps(recording, step, index)
            call_id = _call_id(recording, step)
            recording.record(IterationStarted, step, call_id=call_id, iteration_index=index, item=item, steps=steps)
        case FailWorkflow(culprit):
            code, message, details = _blame(culprit)
            recording.record(WorkflowFailed, error_code=code, error_message=message, error_details=details)


def _call_id(recording: Recording, step: StepState) -> str | None:
    call = open_call(recording.state, step)
    return None if call is None else call.id


def _blame(culprit: StepState) -> tuple[str, str, dict[str, Any]]:
    """Error code, message and details that name the step on which something failed."""
    code = member(culprit.error_details, "code") or "step_failed"
    message = f"step {culprit.step_name!r} failed: {culprit.error_message or 'without a message'}"
    details = {"step_id": culprit.id, "step_name": culprit.step_name, "attempts": culprit.attempt}
    return code, message, details


def fail_with_all_below(
    recording: Recording, step: StepState, code: str | None, message: str, details: dict[str, Any]
) -> None:
    """Fails a running step: what runs in it fails with it, what waits is skipped, but for what its failure calls."""
    positions = Positions(recording.state)
    handler = positions.inline(step, "on_failure")
    spared = set() if handler is None else {handler.id, *(each.id for each in positions.below(handler))}
    for inner in reversed(positions.below(step)):
        if inner.id in spared:
            continue
        if inner.status is StepStatus.RUNNING:
            why = f"{step.step_name} has failed around it"
            call_id = _call_id(recording, inner)
            recording.record(StepFailed, inner, call_id=call_id, error_code="outer_step_failed", error_message=why)
        elif inner.status in (StepStatus.PENDING, StepStatus.RETRYING):
            recording.record(StepSkipped, inner, reason=f"{step.step_name} has failed")
    fields = {"error_code": code, "error_message": message, "error_details": details}
    recording.record(StepFailed, step, call_id=_call_id(recording, step), **fields)


def definition_of(state: ExecutionState) -> Definition:
    """What the execution recorded of its definition: everything but the steps, which are its plan."""
    recorded = member(state.workflow_metadata, "definition")
    return Definition.model_validate(recorded or {"name": "unnamed"})


def iteration_steps(recording: Recording, loop: StepState, index: int) -> tuple[PlanStep, ...]:
    """The steps of a loop's iteration, as its recorded configuration has them."""
    state = recording.state
    step = LoopStep.model_validate(loop.step_config)
    path = _defined_path(Positions(state), loop)
    held = Position(path, loop.step_order, loop.step_name, loop.step_name, "", step, None)
    ids = member(state.workflow_metadata, "loop_ids")
    return iteration_of(
        held,
        definition_of(state),
        index,
        recording.new_id,
        loop.path,
        UUID(loop.id),
        agents={name: UUID(value) for name, value in (member(ids, "agents") or {}).items()},
        template_steps={name: UUID(value) for name, value in (member(ids, "steps") or {}).items()},
    )


def _defined_path(positions: Positions, step: StepState) -> str:
    """The step's path in its definition, where a loop's body stands once."""
    parent = positions.parent(step)
    if parent is None:
        return step.path
    order, first = step.step_order, len(inline_fields(parent.step_config))
    if parent.step_type == "loop" and order >= first:
        order = first + (order - first) % max(len(parent.step_config["steps"]), 1)
    return f"{_defined_path(positions, parent)}/{order}"
