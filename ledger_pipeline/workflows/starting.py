"""How executions begin: from a stored template, from a definition at hand, or as another's re-run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ledger_pipeline.arguments import object_or_none
from ledger_pipeline.errors import Fault, InvalidDefinition, InvalidInput, InvalidTransition
from ledger_pipeline.events.catalogue import PlanStep, WorkflowCreated, WorkflowStarted
from ledger_pipeline.events.enums import ExecutionStatus, StepType
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.form import form_faults
from ledger_pipeline.templates.inputs import check_input
from ledger_pipeline.templates.plan import agent_id_of, plan
from ledger_pipeline.templates.positions import positions
from ledger_pipeline.workflows.recording import Recording
from ledger_pipeline.workflows.references import require

RESERVED_METADATA = ("definition", "loop_ids")
"""Members of an execution's metadata that say what it was made from."""
_RERUN_FROM = (ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT, ExecutionStatus.ABORTED, ExecutionStatus.CANCELLED)


@dataclass(frozen=True)
class Workflow:
    """What an execution is made from: a definition and, of a stored one, its ids; `warnings` are what is doubtful."""

    definition: Definition
    template_id: UUID | None = None
    template_version: int | None = None
    version_tag: str | None = None
    step_ids: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
    agents: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
    warnings: tuple[str, ...] = ()


def agent_names(definition: Definition) -> list[str]:
    """The agents that a definition's steps call."""
    agents = (getattr(position.step, "agent_id", None) for position in positions(definition))
    return sorted({agent for agent in agents if agent is not None})


def create(
    recording: Recording,
    execution_id: UUID,
    workflow: Workflow,
    given_input: Any,
    metadata: Mapping[str, Any] | None,
    **fields: Any,
) -> None:
    """Creates an execution: its input checked and its defaults filled, with the plan that its definition gives."""
    definition = workflow.definition
    parameters = check_input(definition, given_input)
    metadata = object_or_none("metadata", metadata)
    taken = sorted(set(metadata or {}) & set(RESERVED_METADATA))
    if taken:
        raise InvalidInput(f"metadata: {taken[0]!r} is a name of the ledger's own; allowed: any other")
    entries = plan(definition, recording.new_id, agents=workflow.agents, template_steps=workflow.step_ids)
    recording.record(
        WorkflowCreated,
        execution_id=execution_id,
        workflow_name=definition.name,
        template_id=workflow.template_id,
        template_version=workflow.template_version,
        plan=entries,
        parameters=parameters,
        metadata={**(metadata or {}), **_recorded(workflow)},
        **fields,
    )
    for warning in workflow.warnings:
        recording.warn(warning)
    if not entries:
        recording.warn("the workflow has no steps: there is nothing to do")


def _recorded(workflow: Workflow) -> dict[str, Any]:
    """What an execution keeps of its definition; the steps are its plan, and those in loops get their ids later."""
    definition = workflow.definition.model_dump(exclude_unset=True, exclude={"steps"})
    if workflow.version_tag is not None:
        definition["version"] = workflow.version_tag
    recorded: dict[str, Any] = {"definition": definition}
    in_loops = {position.path for position in positions(workflow.definition) if position.in_loop}
    if in_loops:
        recorded["loop_ids"] = {
            "agents": {name: str(agent) for name, agent in workflow.agents.items()},
            "steps": {path: str(step) for path, step in workflow.step_ids.items() if path in in_loops},
        }
    return recorded


def begin(recording: Recording) -> None:
    """Sets a created execution going."""
    require(recording.state, "WorkflowStarted")
    recording.record(WorkflowStarted)


def check_rerun(state: ExecutionState) -> None:
    """Raises InvalidTransition unless the execution ended without completing."""
    if state.status not in _RERUN_FROM:
        allowed = ", ".join(status.value for status in _RERUN_FROM)
        raise InvalidTransition(f"execution {state.id} is {state.status}; a re-run is allowed when it is: {allowed}")


def rerun(recording: Recording, execution_id: UUID, first: WorkflowCreated, **fields: Any) -> None:
    """Creates an execution as another was created: the same plan, input and limits, under ids of its own."""
    ids = {entry.step_id: recording.new_id() for entry in first.plan}
    entries = tuple(
        entry.model_copy(
            update={"step_id": ids[entry.step_id], "parent_step_id": ids.get(entry.parent_step_id or entry.step_id)}
            if entry.parent_step_id
            else {"step_id": ids[entry.step_id]}
        )
        for entry in first.plan
    )
    kept = (
        *("workflow_name", "workflow_type", "template_id", "template_version", "mode", "drive_id", "customer_id"),
        *("user_id", "agent_id", "agent_name", "budget_usd", "budget_tokens", "input", "parameters", "metadata"),
    )
    same: dict[str, Any] = {name: getattr(first, name) for name in kept if name in first.model_fields_set}
    same |= {name: value for name, value in fields.items() if value is not None}
    recording.record(WorkflowCreated, execution_id=execution_id, plan=entries, **same)


def check_unplanned(config: dict[str, Any]) -> None:
    """Raises InvalidDefinition for an action that no plan could have; its variables are looked for when it runs."""
    faults = form_faults({"name": "unplanned", "steps": [config]})[1]
    if faults:
        places = (fault.where.removeprefix("steps[0]").lstrip(".") or "step" for fault in faults)
        raise InvalidDefinition(Fault(place, f.what, f.allowed) for place, f in zip(places, faults, strict=True))


def unplanned_entry(state: ExecutionState, step_id: UUID, config: dict[str, Any]) -> PlanStep:
    """The plan entry of an action that the plan lacks: at the end of the execution's own line."""
    order = 1 + max((s.step_order for s in state.steps.values() if s.parent_step_id is None), default=-1)
    return PlanStep(
        step_id=step_id,
        path=str(order),
        step_order=order,
        step_name=config.get("name") or f"step_{order}",
        step_type=StepType.ACTION,
        max_attempts=1 + int(config.get("retry_count") or 0),
        agent_id=agent_id_of(config.get("agent_id")),
        agent_name=config.get("agent_id"),
        config=config,
    )
