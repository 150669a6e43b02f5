"""How the steps of a simulated execution go: retries, branches, parallel steps, loops and child executions."""

from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.ingest.simulation.calls import Calls, later
from ledger_pipeline.ingest.simulation.definitions import Step, draw
from ledger_pipeline.ingest.simulation.fate import Run
from ledger_pipeline.ingest.simulation.journal import Journal, Position
from ledger_pipeline.ingest.simulation.population import population

Link = Callable[[Position, datetime], tuple[UUID, datetime, datetime]]
"""Runs a step's workflow as a child execution: its id, when it was created, when it ended."""


class Steps:
    """Performs the steps of one execution, noting what happens in its journal."""

    def __init__(self, journal: Journal, run: Run, calls: Calls, rng: Random, link: Link) -> None:
        self.skipped_names: set[str] = set()
        """Top-level steps that a false condition has put aside."""
        self._journal = journal
        self._calls = calls
        self._fate = run.fate
        self._owner = population().agent(run.workflow.agent)
        self._parameters = run.parameters
        self._rng = rng
        self._link = link

    def place(
        self, steps: Sequence[Step], at: datetime, parent: Position | None = None, first: int = 0
    ) -> list[Position]:
        """Positions for steps; a loop's body gets its own with each iteration."""
        positions: list[Position] = []
        for order, step in enumerate(steps, first):
            agent = population().agent(step.agent) if step.agent else self._owner
            entry = events.PlanStep(
                step_id=self._journal.new_id(at),
                path=f"{parent.entry.path}/{order}" if parent else str(order),
                step_order=order,
                step_name=step.name,
                step_type=step.type,
                parent_step_id=parent.entry.step_id if parent else None,
                agent_id=agent.id,
                agent_name=agent.name,
                max_attempts=step.max_attempts if step.type is StepType.ACTION else 1,
                config=_config(step),
            )
            position = Position(step, entry, agent)
            if step.type is not StepType.LOOP:
                position.children = self.place(step.steps, at, position)
            positions.append(position)
        return positions

    def perform(self, position: Position, at: datetime, **fields: Any) -> datetime:
        """Runs a step to its completion, retries included; answers when it completed."""
        call_id = self._calls.dispatch(position, at, **fields)
        at = later(at, 0.02, self._rng)
        match position.step.type:
            case StepType.ACTION:
                return self._act(position, call_id, at)
            case StepType.CONDITION:
                at, output = self._branch(position, call_id, at)
            case StepType.PARALLEL:
                starts = [later(at, 0.05, self._rng) for _ in position.children]
                at = max(self.perform(child, start) for child, start in zip(position.children, starts, strict=True))
                output = {"branches": len(starts)}
            case StepType.LOOP:
                at, output = self._iterate(position, call_id, at)
            case StepType.WORKFLOW_LINK:
                at, output = self._run_child(position, call_id, at)
        at = later(at, 0.05, self._rng)
        self._calls.complete(position, call_id, at, output=output)
        return at

    def _act(self, position: Position, call_id: UUID, at: datetime) -> datetime:
        step, rng = position.step, self._rng
        at = self._calls.work(position, call_id, at)
        while position.attempt < step.max_attempts and rng.random() < self._fate.habits.retry:
            call_id, at = self._calls.fail_and_retry(position, call_id, at)
            at = self._calls.work(position, call_id, at)
        for product in step.products:
            at = later(at, 0.2, rng)
            self._calls.record(product, at, position)
        at = later(at, 0.1, rng)
        output = draw(step.output, rng)
        self._calls.complete(position, call_id, at, **({"tool_result": output} if step.tool else {}), output=output)
        return at

    def _branch(self, position: Position, call_id: UUID, at: datetime) -> tuple[datetime, dict[str, Any]]:
        step, operator = position.step, self._calls.operator(position)
        if step.decided_by:
            result = bool(self._parameters[step.decided_by])
        else:
            result = self._rng.random() < 0.55 if self._fate.branch is None else self._fate.branch
        target = step.steps[0].name if step.steps else "next"
        self._journal.note(
            events.BranchTaken,
            at,
            operator,
            position,
            call_id=call_id,
            branch_condition=step.condition,
            branch_result="true" if result else "false",
            branch_target=target if result else "next",
        )
        for child in position.children:
            at = later(at, 0.05, self._rng)
            if result:
                at = self.perform(child, at)
            else:
                self._journal.note(events.StepSkipped, at, operator, child, reason="the condition is false")
        if not result:
            self.skipped_names |= set(step.unless_true)
        return at, {"result": result}

    def _iterate(self, position: Position, call_id: UUID, at: datetime) -> tuple[datetime, dict[str, Any]]:
        step = position.step
        items = step.collection[: self._rng.randint(2, len(step.collection))]
        for index, item in enumerate(items):
            at = later(at, 0.05, self._rng)
            body = self.place(step.steps, at, position, first=index * len(step.steps))
            self._journal.note(
                events.IterationStarted,
                at,
                self._calls.operator(position),
                position,
                call_id=call_id,
                iteration_index=index,
                item=item,
                steps=tuple(child.entry for child in body),
            )
            for child in body:
                at = self.perform(child, later(at, 0.05, self._rng))
        return at, {"iterations": len(items)}

    def _run_child(self, position: Position, call_id: UUID, at: datetime) -> tuple[datetime, dict[str, Any]]:
        child_id, created, ended = self._link(position, at)
        self._journal.note(
            events.ChildExecutionLinked,
            later(created, 0.01, self._rng),
            self._calls.operator(position),
            position,
            call_id=call_id,
            child_execution_id=child_id,
        )
        return later(ended, 0.1, self._rng), {"child_execution_id": str(child_id), "status": "completed"}


def _config(step: Step) -> dict[str, Any]:
    match step.type:
        case StepType.CONDITION:
            return {"condition": step.condition}
        case StepType.LOOP:
            return {"collection": list(step.collection), "item_variable": "item"}
        case StepType.WORKFLOW_LINK:
            return {"workflow_name": step.link}
        case StepType.PARALLEL:
            return {}
        case StepType.ACTION:
            kind = {"tool_name": step.tool} if step.tool else {"prompt_template": f"{step.name}: {{{{context}}}}"}
            return kind | {"retry_count": step.max_attempts - 1}
