"""Dispatches of steps: each opens a call; a condition is judged, a loop begins, a link starts its child."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import InvalidInput, InvalidReference, InvalidTransition
from ledger_pipeline.events.catalogue import BranchTaken, ChildExecutionLinked, PlanStep, StepDispatched, StepSkipped
from ledger_pipeline.events.enums import StepStatus, StepType
from ledger_pipeline.events.state import StepState
from ledger_pipeline.templates.conditions import parse_condition
from ledger_pipeline.workflows.answers import Dispatched
from ledger_pipeline.workflows.positions import Positions, member
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.references import StepRef, matching, names_of, require
from ledger_pipeline.workflows.settling import settle
from ledger_pipeline.workflows.variables import Scope
from ledger_pipeline.workflows.walk import Walk, branch_of, target_name

MAX_ITERATIONS = 10_000
"""Items of a loop: each iteration is events and rows of its own."""


@dataclass(frozen=True)
class Given:
    """What a caller may say about a dispatch; what is left out follows from the step."""

    call_id: UUID | None = None
    input: Any = None
    tool_parameters: Any = None
    agent_id: UUID | None = None
    agent_name: str | None = None


@dataclass(frozen=True)
class ChildRequest:
    """The execution that a link asks for: the workflow's name, its input, and the link's own ids."""

    workflow_name: str
    input: dict[str, Any]
    execution_id: UUID
    step_id: UUID
    step_name: str


def ready_step(recording: Recording, reference: StepRef | None) -> StepState:
    """The step to dispatch: the one named, or the first that is ready; raises InvalidTransition or InvalidReference."""
    require(recording.state, "StepDispatched")
    ready = Walk(recording.state).ready
    if reference is None:
        if not ready:
            raise InvalidTransition("no step is ready to be dispatched: complete what runs, or the execution")
        return ready[0]
    found = matching(ready, reference)
    if found:
        return found[0]
    known = matching(recording.state.steps.values(), reference)
    if not known:
        names = names_of(list(recording.state.steps.values()))
        raise InvalidReference(f"step: {str(reference)!r} is not a step of this execution; its steps: {names}")
    raise InvalidTransition(
        f"step: {known[0].step_name!r} is {known[0].status} and not ready to be dispatched; ready: {names_of(ready)}"
    )


def dispatch(recording: Recording, reference: StepRef | None, given: Given) -> tuple[Dispatched, ChildRequest | None]:
    """Opens a call of a step that is ready, with its variables filled in; answers the work to do."""
    step = ready_step(recording, reference)
    if member(step.step_config, "requires_user_input") and step.user_input is None:
        raise InvalidTransition(f"step: {step.step_name!r} needs a person's input before it runs: request it")
    return _dispatch(recording, step, given)


def dispatch_unplanned(recording: Recording, entry: PlanStep, given: Given) -> tuple[Dispatched, ChildRequest | None]:
    """Opens a call of a step that the plan lacks, which adds it at the end of the execution's own line."""
    require(recording.state, "StepDispatched")
    return _dispatch(recording, StepState(**_step_fields(entry)), given, entry)


def _step_fields(entry: PlanStep) -> dict[str, Any]:
    return {
        "id": str(entry.step_id),
        "path": entry.path,
        "step_order": entry.step_order,
        "step_name": entry.step_name,
        "step_type": entry.step_type,
        "agent_id": None if entry.agent_id is None else str(entry.agent_id),
        "agent_name": entry.agent_name,
        "max_attempts": entry.max_attempts,
        "step_config": entry.config,
    }


def _dispatch(
    recording: Recording, step: StepState, given: Given, entry: PlanStep | None = None
) -> tuple[Dispatched, ChildRequest | None]:
    config: dict[str, Any] = step.step_config if isinstance(step.step_config, dict) else {}
    call_id = given.call_id or recording.new_id()
    scope = Scope(recording.state, step)
    work = _work(step, config, scope, given)
    recording.record(
        StepDispatched,
        step,
        call_id=call_id,
        config=config or None,
        plan_entry=entry,
        agent_id=given.agent_id,
        agent_name=given.agent_name,
        **{name: work[name] for name in ("input", "tool_name", "tool_parameters")},
    )
    for name in scope.unknown if step.step_type != StepType.CONDITION else ():
        recording.warn(f"step {step.step_name!r}: nothing is known as {{{{{name}}}}}", step, variable=name)
    child = None
    match step.step_type:
        case StepType.CONDITION:
            _take_branch(recording, recording.state.steps[step.id], call_id)
        case StepType.WORKFLOW_LINK:
            child = _child(recording, step, work["tool_parameters"])
            recording.record(ChildExecutionLinked, step, call_id=call_id, child_execution_id=child.execution_id)
        case _:
            pass
    settle(recording)
    dispatched = recording.state.steps[step.id]
    return (
        Dispatched(
            execution_id=UUID(str(recording.state.id)),
            step_id=UUID(step.id),
            step_name=step.step_name,
            step_type=StepType(step.step_type),
            path=step.path,
            call_id=call_id,
            attempt=dispatched.attempt,
            max_attempts=dispatched.max_attempts,
            agent_name=given.agent_name or step.agent_name,
            prompt=work["prompt"],
            tool_name=work["tool_name"],
            parameters=work["tool_parameters"],
            user_input=step.user_input,
            input=work["input"],
            context=recording.state.accumulated_context,
            work=step.step_type == StepType.ACTION,
            open=dispatched.status is StepStatus.RUNNING,
            child_execution_id=child.execution_id if child else None,
            warnings=tuple(recording.warnings),
        ),
        child,
    )


def _work(step: StepState, config: dict[str, Any], scope: Scope, given: Given) -> dict[str, Any]:
    """What a call is given: input, prompt, tool and parameters, with variables filled in."""
    work: dict[str, Any] = {"input": given.input, "prompt": None, "tool_name": config.get("tool_name")}
    parameters = given.tool_parameters
    match step.step_type:
        case StepType.CONDITION:
            condition = parse_condition(str(config.get("condition") or ""))
            work["input"] = {"values": {name: scope.value(name) for name in condition.variables}}
        case StepType.LOOP:
            work["input"] = {"collection": _collection(step, config, scope)}
        case StepType.WORKFLOW_LINK:
            parameters = scope.render(config.get("parameters") or {}) if parameters is None else parameters
        case _:
            if config.get("prompt_template") is not None:
                work["prompt"] = scope.render_text(config["prompt_template"])
            if config.get("parameters") is not None and parameters is None:
                parameters = scope.render(config["parameters"])
            if given.input is None:
                shown = {"prompt": work["prompt"], "user_input": step.user_input}
                work["input"] = {name: value for name, value in shown.items() if value is not None} or None
    return work | {"tool_parameters": parameters}


def _collection(step: StepState, config: dict[str, Any], scope: Scope) -> list[Any]:
    collection = scope.render(config.get("collection"))
    if not isinstance(collection, list):
        found = "nothing" if collection is None else f"a value of type {type(collection).__name__}"
        raise InvalidInput(
            f"collection: {config.get('collection')!r} of step {step.step_name!r} is {found}; allowed: a list"
        )
    if len(collection) > MAX_ITERATIONS:
        raise InvalidInput(
            f"collection: step {step.step_name!r} has {len(collection)} items; allowed: at most {MAX_ITERATIONS}"
        )
    return collection


def _take_branch(recording: Recording, step: StepState, call_id: UUID) -> None:
    positions = Positions(recording.state)
    taken = branch_of(step)
    recording.record(
        BranchTaken,
        step,
        call_id=call_id,
        branch_condition=step.step_config["condition"],
        branch_result="true" if taken == "on_true" else "false",
        branch_target=target_name(step, taken, positions),
    )
    other = positions.inline(step, "on_false" if taken == "on_true" else "on_true")
    if other is not None:
        recording.record(StepSkipped, other, reason=f"the condition of {step.step_name} is {taken.removeprefix('on_')}")


def _child(recording: Recording, step: StepState, parameters: Any) -> ChildRequest:
    if not isinstance(parameters, dict):
        raise InvalidInput(
            f"parameters: those of step {step.step_name!r} are no object; allowed: a value for each name"
        )
    return ChildRequest(
        step.step_config["workflow_name"], parameters, recording.new_id(), UUID(step.id), step.step_name
    )
