"""The calls of agents and tools in a simulated execution: dispatched, working, failing, leaving logs and artifacts."""

import hashlib
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import LogLevel, OperatorKind
from ledger_pipeline.ingest.simulation.definitions import Product, draw
from ledger_pipeline.ingest.simulation.fate import Fate
from ledger_pipeline.ingest.simulation.fleet import Model, choose_model, draw_usage
from ledger_pipeline.ingest.simulation.journal import Journal, Operator, Position, by
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


def later(at: datetime, seconds: float, rng: Random) -> datetime:
    """An instant about `seconds` after another, never more than six times that."""
    drawn = min(rng.lognormvariate(0, 0.5), 6.0) * seconds
    return at + timedelta(milliseconds=max(1, round(drawn * 1000)))


class Calls:
    """Makes the calls of one execution, noting them in its journal."""

    def __init__(self, journal: Journal, fate: Fate, rhythm: Rhythm, rng: Random) -> None:
        self.journal = journal
        self.last: tuple[Position, UUID, Model] | None = None
        """The last call that used a model."""
        self._fate = fate
        self._rhythm = rhythm
        self._rng = rng

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
        self.last = position, call_id, model
        return later(at, 0.3, rng)

    def model_call(self, position: Position, call_id: UUID, model: Model, at: datetime, turn: int = 0) -> datetime:
        """One model call that begins at `at`; its usage is known when it ends."""
        usage = draw_usage(model, position.step.effort, turn, self._fate.factor, self._rng)
        at += timedelta(milliseconds=usage["latency_ms"])
        operator = self.operator(position)
        request = f"req_{self._rng.getrandbits(64):016x}"
        self.journal.note(events.TokensUpdated, at, operator, position, call_id=call_id, model_call_id=request, **usage)
        return at

    def log(self, level: LogLevel, message: str, at: datetime, position: Position, **fields: Any) -> None:
        """A log entry of a step."""
        self.journal.note(
            events.LogRecorded,
            at,
            self.operator(position),
            position,
            log_level=level,
            message=message,
            details={"attempt": position.attempt},
            **fields,
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
        self.log(
            LogLevel.WARNING, f"attempt {position.attempt} failed: {message}", later(at, 0.01, self._rng), position
        )
        delay_ms = 1000 * 2**position.attempt
        position.attempt += 1
        at += timedelta(milliseconds=200)
        self.journal.note(
            events.StepRetried,
            at,
            self.operator(position),
            position,
            next_attempt=position.attempt,
            delay_ms=delay_ms,
            error_message=message,
        )
        at += timedelta(milliseconds=delay_ms)
        return self.dispatch(position, at), at

    def complete(self, position: Position, call_id: UUID, at: datetime, **fields: Any) -> None:
        """Closes a call that went well."""
        self.journal.note(events.StepCompleted, at, self.operator(position), position, call_id=call_id, **fields)
