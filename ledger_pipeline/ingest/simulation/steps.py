"""How the steps of a simulated execution go: calls of agents and tools with their retries, branches, loops, children."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import LogLevel, OperatorKind, StepType
from ledger_pipeline.ingest.simulation.definitions import Product, Step, draw
from ledger_pipeline.ingest.simulation.fate import Fate
from ledger_pipeline.ingest.simulation.fleet import Model, choose_model, draw_usage
from ledger_pipeline.ingest.simulation.journal import Journal, Note, Operator, Position, by
from ledger_pipeline.ingest.simulation.population import Member, population
from ledger_pipeline.ingest.simulation.rhythm import Rhythm

ERRORS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("rate_limited", "429: requests per minute exceeded", {"retry_after_ms": 4000}),
    ("overloaded", "529: the provider is overloaded", {"status": 529}),
    ("tool_timeout", "the tool did not answer within 60 s", {"timeout_seconds": 60}),
    ("invalid_output", "the answer is not the JSON that was asked for", {"path": "$.items[0]"}),
    ("context_length", "the prompt exceeds the model's context window", {"limit": 200_000}),
    ("connection_reset", "connection reset by peer", {}),
)
"""Code, message and details of what goes wrong."""

_LOG_LINES: tuple[tuple[LogLevel, str], ...] = (
    (LogLevel.DEBUG, "prompt assembled from {keys} context keys"),
    (LogLevel.INFO, "{step} is working"),
    (LogLevel.INFO, "{step}: intermediate result kept"),
    (LogLevel.WARNING, "{step} is slower than usual"),
)

Link = Callable[[Position, datetime], tuple[UUID, datetime, datetime]]
"""Runs a step's workflow as a child execution: its id, when it was created, when it ended."""


def later(at: datetime, seconds: float, rng: Random) -> datetime:
    """An instant about `seconds` after another, never more than six times that."""
    drawn = min(rng.lognormvariate(0, 0.5), 6.0) * seconds
    return at + timedelta(milliseconds=max(1, round(drawn * 1000)))


class Performance:
    """Performs the steps of one execution, noting what happens in its journal."""

    def __init__(
        self,
        journal: Journal,
        fate: Fate,
        owner: Member,
        parameters: dict[str, Any],
        rhythm: Rhythm,
        rng: Random,
        link: Link,
    ) -> None:
        self.journal = journal
        self.skipped_names: set[str] = set()
        self.last_call: tuple[Position, UUID, Model] | None = None
        self._fate = fate
        self._owner = owner
        self._parameters = parameters
        self._rhythm = rhythm
        self._rng = rng
        self._link = link

    def place(self, steps: Sequence[Step], at: datetime, parent: Position | None = None, first: int = 0) -> list[Position]:
        """Positions for steps; a loop's body gets its own with each iteration."""
        positions: list[Position] = []
        for order, step in enumerate(steps, first):
            agent = population().agent(step.agent) if step.agent else self._owner
            entry = events.PlanStep(
                step_id=self.journal.new_id(at),
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

    def operator(self, position: Position) -> Operator:
        """The agent at a step."""
        return by(position.agent, OperatorKind.AGENT)

    def dispatch(self, position: Position, at: datetime, **fields: Any) -> UUID:
        """Opens a call at a step."""
        call_id = self.journal.new_id(at)
        step = position.step
        if step.tool:
            fields |= {"tool_name": step.tool, "tool_parameters": draw(step.parameters, self._rng)}
        elif step.agent:
            fields |= {"input": {"prompt": f"{step.name.replace('_', ' ').capitalize()} for this request"}}
        self.journal.note(events.StepDispatched, at, self.operator(position), position, call_id=call_id, **fields)
        return call_id

    def work(self, position: Position, call_id: UUID, at: datetime) -> datetime:
        """The time of one call: model calls of an agent, or the tool's running time."""
        step, rng = position.step, self._rng
        at = later(at, 0.4, rng)
        if rng.random() < self._fate.habits.log:
            level, text = rng.choice(_LOG_LINES)
            self.log(level, text.format(step=step.name, keys=rng.randint(2, 9)), at, position, call_id=call_id)
        if not step.agent:
            return later(at, step.seconds, rng)
        model = choose_model(step.agent, self._rhythm.elapsed(at), rng)
        for turn in range(rng.randint(*step.effort.calls)):
            at = self.model_call(position, call_id, model, at, turn)
        self.last_call = position, call_id, model
        return later(at, 0.3, rng)

    def model_call(self, position: Position, call_id: UUID, model: Model, at: datetime, turn: int = 0) -> datetime:
        """One model call that begins at `at`; its usage is known when it ends."""
        usage = draw_usage(model, position.step.effort, turn, self._fate.factor, self._rng)
        at += timedelta(milliseconds=usage["latency_ms"])
        operator = self.operator(position)
        request = f"req_{self._rng.getrandbits(64):016x}"
        self.journal.note(
            events.TokensUpdated, at, operator, position, call_id=call_id, model_call_id=request, **usage
        )
        return at

    def log(self, level: LogLevel, message: str, at: datetime, position: Position, **fields: Any) -> Note:
        """A log entry of a step."""
        operator = self.operator(position)
        return self.journal.note(
            events.LogRecorded, at, operator, position, log_level=level, message=message, **fields
        )

    def record(self, product: Product, at: datetime, position: Position) -> None:
        """An artifact that a step leaves."""
        content = self._rng.getrandbits(256).to_bytes(32)
        name = product.file_name
        self.journal.note(
            events.ArtifactRecorded,
            at,
            self.operator(position),
            position,
            artifact_id=self.journal.new_id(at),
            artifact_type=product.type,
            artifact_name=name,
            uri=f"s3://workflow-artifacts/{self.journal.execution_id}/{position.entry.path}/{name}",
            size_bytes=round(product.size * self._rng.lognormvariate(0, 0.4)),
            content_type=product.content_type,
            sha256=hashlib.sha256(content).hexdigest(),
        )

    def fail(self, position: Position, call_id: UUID, at: datetime) -> tuple[str, str]:
        """A call fails; answers the error's code and message."""
        code, message, details = self._rng.choice(ERRORS)
        self.journal.note(
            events.StepFailed,
            at,
            self.operator(position),
            position,
            call_id=call_id,
            error_code=code,
            error_message=message,
            error_details=details,
        )
        return code, message

    def fail_and_retry(self, position: Position, call_id: UUID, at: datetime) -> tuple[UUID, datetime]:
        """A call fails and its step is dispatched again: the new call."""
        _, message = self.fail(position, call_id, at)
        self.log(LogLevel.WARNING, f"attempt {position.attempt} failed: {message}", later(at, 0.01, self._rng), position)
        delay_ms = 1000 * 2**position.attempt
        at += timedelta(milliseconds=200)
        self.journal.note(
            events.StepRetried,
            at,
            self.operator(position),
            position,
            next_attempt=position.attempt + 1,
            delay_ms=delay_ms,
            error_message=message,
        )
        position.attempt += 1
        at += timedelta(milliseconds=delay_ms)
        return self.dispatch(position, at), at

    def perform(self, position: Position, at: datetime, **fields: Any) -> datetime:
        """Runs a step to its completion, retries included; answers when it completed."""
        call_id = self.dispatch(position, at, **fields)
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
        self._complete(position, call_id, at, output=output)
        return at

    def _complete(self, position: Position, call_id: UUID, at: datetime, **fields: Any) -> None:
        self.journal.note(events.StepCompleted, at, self.operator(position), position, call_id=call_id, **fields)

    def _act(self, position: Position, call_id: UUID, at: datetime) -> datetime:
        step, rng = position.step, self._rng
        at = self.work(position, call_id, at)
        while position.attempt < step.max_attempts and rng.random() < self._fate.habits.retry:
            call_id, at = self.fail_and_retry(position, call_id, at)
            at = self.work(position, call_id, at)
        for product in step.products:
            at = later(at, 0.2, rng)
            self.record(product, at, position)
        at = later(at, 0.1, rng)
        output = draw(step.output, rng)
        self._complete(position, call_id, at, **({"tool_result": output} if step.tool else {}), output=output)
        return at

    def _branch(self, position: Position, call_id: UUID, at: datetime) -> tuple[datetime, dict[str, Any]]:
        step, operator = position.step, self.operator(position)
        if step.decided_by:
            result = bool(self._parameters[step.decided_by])
        else:
            result = self._rng.random() < 0.55 if self._fate.branch is None else self._fate.branch
        target = step.steps[0].name if step.steps else "next"
        self.journal.note(
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
                self.journal.note(events.StepSkipped, at, operator, child, reason="the condition is false")
        if not result:
            self.skipped_names |= set(step.unless_true)
        return at, {"result": result}

    def _iterate(self, position: Position, call_id: UUID, at: datetime) -> tuple[datetime, dict[str, Any]]:
        step = position.step
        items = step.collection[: self._rng.randint(2, len(step.collection))]
        for index, item in enumerate(items):
            at = later(at, 0.05, self._rng)
            body = self.place(step.steps, at, position, first=index * len(step.steps))
            self.journal.note(
                events.IterationStarted,
                at,
                self.operator(position),
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
        self.journal.note(
            events.ChildExecutionLinked,
            later(created, 0.01, self._rng),
            self.operator(position),
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
