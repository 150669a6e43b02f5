"""What comes next: a pure function of an execution's state, which carries its plan and each step's configuration."""

from uuid import UUID

from ledger_pipeline.events.enums import CallStatus, StepType
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.events.states import ExecutionState as Position
from ledger_pipeline.workflows.answers import NextSteps, OpenCall, ReadyStep
from ledger_pipeline.workflows.positions import member
from ledger_pipeline.workflows.walk import Walk

_WAITS_FOR = {Position.PENDING: "start", Position.PAUSED: "resume", Position.AWAITING_INPUT: "input"}


def next_steps(state: ExecutionState) -> NextSteps:
    """What may be dispatched now, what runs, and what the execution waits for."""
    running = state.position is Position.RUNNING
    walk = Walk(state)
    return NextSteps(
        status=state.status,
        ready=tuple(
            ReadyStep(
                step_id=UUID(step.id),
                step_name=step.step_name,
                step_type=StepType(step.step_type),
                path=step.path,
                attempt=step.attempt,
                max_attempts=step.max_attempts,
                needs_input=bool(member(step.step_config, "requires_user_input")) and step.user_input is None,
            )
            for step in walk.ready
        )
        if running
        else (),
        running=tuple(
            OpenCall(
                call_id=UUID(call.id),
                step_id=UUID(call.step_id),
                step_name=state.steps[call.step_id].step_name,
                step_type=StepType(state.steps[call.step_id].step_type),
                child_execution_id=_id(state.steps[call.step_id].child_execution_id),
            )
            for call in state.calls.values()
            if call.status is CallStatus.RUNNING
        ),
        waits_for=_WAITS_FOR.get(state.position),
        approvals_pending=state.approvals_pending,
        may_complete=running and walk.done and not state.open_calls,
    )


def _id(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)
