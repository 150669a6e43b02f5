"""One seeded execution as it is told: events in order, numbered, with ids that follow from what they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import ArtifactType, LogLevel, OperatorKind
from ledger_pipeline.hot.artifacts import StoredArtifact
from ledger_pipeline.ingest.seed.definitions import Definition
from ledger_pipeline.ingest.seed.people import seed_id
from ledger_pipeline.ingest.simulation.population import Member

Keep = Callable[[bytes, str], StoredArtifact]
"""Puts an artifact's bytes where the ledger keeps them, under a name."""


@dataclass(frozen=True)
class Followed:
    """The stored template that an execution follows: which version, and the plan that this version gives."""

    template_id: UUID
    version: int
    plan: Sequence[events.PlanStep]


Follow = Callable[[Definition, UUID, UUID], Followed]
"""Gives the template of a definition in a drive, which a user creates where the drive lacks it."""


@dataclass(frozen=True)
class Position:
    """A step of the plan, and who does it; a tool does what no agent does."""

    name: str
    agent: Member
    tool: str | None = None


class Story:
    """The events of one execution; `wait` moves its clock, everything else happens at the clock's time."""

    def __init__(
        self,
        name: str,
        start: datetime,
        owner: Member,
        positions: tuple[Position, ...],
        keep: Keep,
        follow: Follow,
    ) -> None:
        self.name = name
        self.execution_id = seed_id("execution", name)
        self.events: list[events.Event] = []
        self._clock = start
        self._owner = owner
        self._positions = {position.name: position for position in positions}
        self._attempts = dict.fromkeys(self._positions, 1)
        self._keep = keep
        self._follow = follow
        self._configs: dict[str, dict[str, Any]] = {}

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self._clock += timedelta(seconds=seconds)

    def tell(self, kind: type[events.Event], by: Member | None = None, /, **fields: Any) -> None:
        """Adds an event, done by a user or, by default, by the owning agent."""
        sequence = len(self.events) + 1
        row: dict[str, Any] = {
            "event_id": seed_id("event", self.name, sequence),
            "execution_id": self.execution_id,
            "sequence": sequence,
            "occurred_at": self._clock,
            "operator_id": str((by or self._owner).id),
            "operator_kind": OperatorKind.USER if by else OperatorKind.AGENT,
            "source": "seed",
        }
        self.events.append(kind.model_validate(row | fields))

    def create(self, user: Member, customer: Member, drive: Member, definition: Definition, **fields: Any) -> None:
        """The execution and its plan, that of its template; it starts a moment later."""
        followed = self._follow(definition, drive.id, user.id)
        plan: list[events.PlanStep] = []
        for entry in followed.plan:
            agent = self._positions[entry.step_name].agent
            ids = {"step_id": self.step_id(entry.step_name), "agent_id": agent.id, "agent_name": agent.name}
            plan.append(entry.model_copy(update=ids))
            self._configs[entry.step_name] = entry.config
        owned: dict[str, Any] = {"customer_id": customer.id, "user_id": user.id, "drive_id": drive.id}
        owner: dict[str, Any] = {"agent_id": self._owner.id, "agent_name": self._owner.name}
        by: dict[str, Any] = {"triggered_by": str(user.id), "triggered_by_kind": OperatorKind.USER}
        template: dict[str, Any] = {"template_id": followed.template_id, "template_version": followed.version}
        template["workflow_name"] = definition["name"]
        self.tell(events.WorkflowCreated, user, plan=plan, **template, **owned, **owner, **by, **fields)
        self.wait(0.4)
        self.tell(events.WorkflowStarted)

    def step_id(self, step: str) -> UUID:
        """The id of a position of the plan."""
        return seed_id("step", self.name, step)

    def _of_call(self, step: str) -> dict[str, Any]:
        position, attempt = self._positions[step], self._attempts[step]
        return {
            "step_id": self.step_id(step),
            "step_name": step,
            "call_id": seed_id("call", self.name, step, attempt),
            "attempt": attempt,
            "agent_id": position.agent.id,
            "agent_name": position.agent.name,
        }

    def dispatch(self, step: str, given: Any = None, **parameters: Any) -> None:
        """The step's agent or tool begins."""
        tool = self._positions[step].tool
        asked: dict[str, Any] = {"tool_name": tool, "tool_parameters": parameters} if tool else {}
        self.tell(events.StepDispatched, **self._of_call(step), input=given, config=self._configs[step], **asked)
        self.wait(0.6)

    def complete(self, step: str, output: dict[str, Any], **fields: Any) -> None:
        """The step's call ends well."""
        self.tell(events.StepCompleted, **self._of_call(step), output=output, **fields)
        self.wait(0.5)

    def fail(self, step: str, code: str, message: str, **details: Any) -> None:
        """The step's call ends with an error."""
        self.tell(
            events.StepFailed, **self._of_call(step), error_code=code, error_message=message, error_details=details
        )

    def retry(self, step: str, after_seconds: float, message: str) -> None:
        """The failed step will run again after a while."""
        self._attempts[step] += 1
        call = self._of_call(step)
        of_step: dict[str, Any] = {name: call[name] for name in ("step_id", "step_name", "agent_id", "agent_name")}
        self.tell(
            events.StepRetried,
            **of_step,
            next_attempt=self._attempts[step],
            delay_ms=round(after_seconds * 1000),
            error_message=message,
        )
        self.wait(after_seconds)

    def ask_model(self, step: str, provider: str, model: str, seconds: float, **tokens: int) -> None:
        """One request to a model, answered after a while; tokens by disjoint bucket."""
        self.wait(seconds)
        self.tell(
            events.TokensUpdated,
            **self._of_call(step),
            model_call_id=f"{self.name}/{len(self.events) + 1}",
            provider=provider,
            model=model,
            latency_ms=round(seconds * 1000),
            **tokens,
        )

    def keep(self, step: str, kind: ArtifactType, name: str, content: bytes, **metadata: Any) -> None:
        """The step produced a file."""
        kept = self._keep(content, name)
        self.tell(
            events.ArtifactRecorded,
            **self._of_call(step),
            artifact_id=seed_id("artifact", self.name, name),
            artifact_type=kind,
            artifact_name=name,
            uri=kept.uri,
            size_bytes=kept.size_bytes,
            content_type=kept.content_type,
            sha256=kept.sha256,
            metadata=metadata,
        )
        self.wait(0.2)

    def log(self, step: str, level: LogLevel, message: str, **details: Any) -> None:
        """A line of the execution's log."""
        self.tell(events.LogRecorded, **self._of_call(step), log_level=level, message=message, details=details)
