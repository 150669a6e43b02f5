"""What an execution waits for: a pause's end, a person's input, a decision."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ledger_pipeline.arguments import id_or_none
from ledger_pipeline.errors import InvalidInput, InvalidReference
from ledger_pipeline.events.catalogue import (
    ApprovalApplied,
    ApprovalRequested,
    InputReceived,
    InputRequested,
    WorkflowPaused,
    WorkflowResumed,
)
from ledger_pipeline.events.enums import Decision
from ledger_pipeline.templates.inputs import check_user_input
from ledger_pipeline.templates.schemas import schema_faults
from ledger_pipeline.templates.steps import ActionStep
from ledger_pipeline.workflows.dispatching import ready_step
from ledger_pipeline.workflows.positions import member
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.references import StepRef, find_approval, find_call, find_step, require
from ledger_pipeline.workflows.settling import settle
from ledger_pipeline.workflows.variables import Scope


def pause(recording: Recording, reason: str | None) -> None:
    """Nothing new is dispatched until the execution is resumed."""
    require(recording.state, "WorkflowPaused")
    recording.record(WorkflowPaused, reason=reason)


def resume(recording: Recording, reason: str | None) -> None:
    """The execution goes on after a pause."""
    require(recording.state, "WorkflowResumed")
    recording.record(WorkflowResumed, reason=reason)


def request_input(
    recording: Recording, reference: StepRef | None, prompt: str | None, schema: dict[str, Any] | bool | None
) -> UUID:
    """Pauses the execution until a person's input for a step is there; answers the step's id."""
    require(recording.state, "InputRequested")
    step = ready_step(recording, None) if reference is None else find_step(recording.state, reference)
    asked = member(step.step_config, "input_schema") if schema is None else schema
    if schema is not None and (faults := schema_faults(schema, "input_schema")):
        raise InvalidInput("; ".join(map(str, faults)))
    if prompt is None and isinstance(template := member(step.step_config, "prompt_template"), str):
        prompt = Scope(recording.state, step).render_text(template)
    # The event holds an object: what a boolean schema means can be said as one.
    asked = {True: {}, False: {"not": {}}}.get(asked, asked) if isinstance(asked, bool) else asked
    recording.record(InputRequested, step, prompt=prompt, input_schema=asked)
    return UUID(step.id)


def requested_schema(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The schema that an InputRequested row asked with."""
    return InputRequested.from_row(asked).input_schema


def receive_input(recording: Recording, value: Any, asked_step: UUID, schema: dict[str, Any]) -> None:
    """The input that was waited for, checked against the schema it was asked for with; the execution goes on."""
    require(recording.state, "InputReceived")
    step = recording.state.steps[str(asked_step)]
    if value is None:
        raise InvalidInput(f"user_input: is missing; step {step.step_name!r} waits for it")
    checked = check_user_input(ActionStep.model_construct(input_schema=schema), value)
    recording.record(InputReceived, step, user_input=checked)
    settle(recording)


def request_approval(
    recording: Recording,
    subject: str,
    approval_id: UUID | None,
    requested_from: str | None,
    call: StepRef | None,
    details: dict[str, Any] | None,
) -> UUID:
    """Asks somebody to decide; answers the approval's id. The work that waits for it is the caller's to hold."""
    require(recording.state, "ApprovalRequested")
    step, open_one = (None, None) if call is None else find_call(recording.state, call)
    chosen = id_or_none("approval_id", approval_id) or recording.new_id()
    if str(chosen) in recording.state.approvals:
        raise InvalidReference(f"approval_id: {chosen} was requested before")
    recording.record(
        ApprovalRequested,
        step,
        approval_id=chosen,
        approval_subject=subject,
        requested_from=requested_from,
        call_id=open_one.id if open_one else None,
        details=details,
    )
    return chosen


def apply_approval(recording: Recording, approval_id: UUID, decision: Decision | str, comment: str | None) -> None:
    """Records a decision; who decided is the operator."""
    require(recording.state, "ApprovalApplied")
    approval = find_approval(recording.state, approval_id)
    step = None if approval.step_id is None else recording.state.steps.get(approval.step_id)
    recording.record(
        ApprovalApplied,
        step,
        approval_id=approval_id,
        decision=decision,
        decision_comment=comment,
        call_id=approval.call_id,
    )
