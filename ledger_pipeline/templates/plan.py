"""From a definition to the plan that an execution begins with, and to the steps of a loop's iteration."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from uuid import UUID

from ledger_pipeline.errors import NotFound
from ledger_pipeline.events import PlanStep
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.events.payload import dump_payload, parse_payload
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.positions import Position, inner_positions, position_of, positions
from ledger_pipeline.templates.steps import ActionStep, AnyStep, LoopStep, WorkflowLinkStep

NO_IDS: Mapping[str, UUID] = {}


def plan(
    definition: Definition,
    new_id: Callable[[], UUID],
    *,
    agents: Mapping[str, UUID] = NO_IDS,
    template_steps: Mapping[str, UUID] = NO_IDS,
) -> tuple[PlanStep, ...]:
    """The plan of a WorkflowCreated: every step but those in loops, which come with their iterations.

    `new_id` makes a step's id. `agents` gives the ids of agents by the name that steps call them by; an `agent_id` that
    is a UUID stands for itself. `template_steps` gives the ids of the stored definitions by path.
    """
    return tuple(
        _entries((p for p in positions(definition) if not p.in_loop), definition, new_id, agents, template_steps)
    )


def iteration_plan(
    definition: Definition,
    loop_name: str,
    index: int,
    new_id: Callable[[], UUID],
    *,
    loop_path: str,
    loop_step_id: UUID,
    agents: Mapping[str, UUID] = NO_IDS,
    template_steps: Mapping[str, UUID] = NO_IDS,
) -> tuple[PlanStep, ...]:
    """The steps that an IterationStarted brings: the body of the loop of that name, for the item at `index` from 0.

    `loop_path` and `loop_step_id` are those of the loop's step in the execution: in a loop within a loop they differ
    from the definition's. Paths go on from iteration to iteration: `2/0`, `2/1`, then `2/2`, `2/3`. Raises NotFound
    when the definition has no such loop.
    """
    loop = position_of(definition, loop_name)
    if loop is None or not isinstance(loop.step, LoopStep):
        raise NotFound(f"loop {loop_name!r}: the definition {definition.name} has no loop of that name")
    return iteration_of(
        loop, definition, index, new_id, loop_path, loop_step_id, agents=agents, template_steps=template_steps
    )


def iteration_of(
    loop: Position,
    definition: Definition,
    index: int,
    new_id: Callable[[], UUID],
    loop_path: str,
    loop_step_id: UUID,
    *,
    agents: Mapping[str, UUID] = NO_IDS,
    template_steps: Mapping[str, UUID] = NO_IDS,
) -> tuple[PlanStep, ...]:
    """The same of a loop at hand, for whoever has no more than an execution's own record of it."""
    own = [position for position in inner_positions(loop) if _belongs_to_body(position, loop)]
    entries = _entries(own, definition, new_id, agents, template_steps, {loop.path: loop_step_id})
    size = len(loop.step.steps)
    return tuple(_moved(entry, loop.path, loop_path, index * size) for entry in entries)


def _belongs_to_body(position: Position, loop: Position) -> bool:
    """Whether a step comes with the loop's iterations, and not with those of a loop within it."""
    line = [position, *position.holders]
    line = line[: line.index(loop)]
    return line[-1].is_body_of_loop and not any(holder.is_body_of_loop for holder in line[:-1])


def _moved(entry: PlanStep, defined: str, executed: str, offset: int) -> PlanStep:
    """An entry of the first iteration as one of a later iteration."""
    order, *rest = entry.path.removeprefix(defined + "/").split("/")
    path = "/".join([executed, str(int(order) + offset), *rest])
    return entry.model_copy(
        update={"path": path, "step_order": entry.step_order if rest else entry.step_order + offset}
    )


def _entries(
    chosen: Iterable[Position],
    definition: Definition,
    new_id: Callable[[], UUID],
    agents: Mapping[str, UUID],
    template_steps: Mapping[str, UUID],
    known: Mapping[str, UUID] = NO_IDS,
) -> Iterator[PlanStep]:
    ids = dict(known)
    for position in chosen:
        step: AnyStep = position.step
        ids[position.path] = new_id()
        agent = step.agent_id if isinstance(step, ActionStep) else None
        yield PlanStep(
            step_id=ids[position.path],
            path=position.path,
            step_order=position.order,
            step_name=position.name,
            step_type=StepType(step.type),
            parent_step_id=ids[position.parent.path] if position.parent else None,
            template_step_id=template_steps.get(position.path),
            agent_id=agent_id_of(agent, agents),
            agent_name=agent,
            max_attempts=max_attempts(definition, step),
            # The step as it was written: what its fields default to may change, what this execution was given may not.
            config=parse_payload(dump_payload(step.model_dump(exclude_unset=True, exclude={"metadata"}))),
            metadata=step.metadata,
        )


def agent_id_of(agent: str | None, agents: Mapping[str, UUID] = NO_IDS) -> UUID | None:
    """The id of the agent that a step names; None for a name that isn't known."""
    if agent is None or agent in agents:
        return agents.get(agent) if agent else None
    try:
        return UUID(agent)
    except ValueError:
        return None


def max_attempts(definition: Definition, step: AnyStep) -> int:
    """How often a step may be tried: its own retries, or else, where it calls something, the definition's."""
    retries = step.retry_count
    if retries is None and isinstance(step, (ActionStep, WorkflowLinkStep)):
        retries = definition.max_retries
    return (retries or 0) + 1
