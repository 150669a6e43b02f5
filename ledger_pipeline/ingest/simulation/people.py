"""The people of a simulated execution: asked for input and approval, pausing it, answering soon or much later."""

from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import Decision, OperatorKind
from ledger_pipeline.ingest.simulation.calls import later
from ledger_pipeline.ingest.simulation.definitions import draw
from ledger_pipeline.ingest.simulation.fate import Run
from ledger_pipeline.ingest.simulation.journal import Journal, Operator, Position, by
from ledger_pipeline.ingest.simulation.population import population

_LONGEST_WAIT = timedelta(hours=20)


class People:
    """Everybody who has a say in one execution; `agent` is the operator who asks them."""

    def __init__(self, journal: Journal, run: Run, agent: Operator, rng: Random) -> None:
        self._journal = journal
        self._run = run
        self._agent = agent
        self._rng = rng

    def somebody(self) -> Operator:
        """A user of the customer."""
        return by(population().approver(self._run.customer.id, self._rng), OperatorKind.USER)

    def answered(self, at: datetime) -> datetime:
        """When a person who is asked now has answered."""
        if self._run.fate.quick:
            return later(at, 90, self._rng)
        return at + min(timedelta(seconds=self._rng.lognormvariate(7.3, 1.4)), _LONGEST_WAIT)

    def pause(self, at: datetime) -> datetime:
        """Somebody pauses the execution and lets it go on; answers when."""
        operator = self.somebody()
        self._journal.note(events.WorkflowPaused, at, operator, reason="paused by hand")
        at = self.answered(at)
        self._journal.note(events.WorkflowResumed, at, operator, reason="resumed by hand")
        return at

    def ask(self, position: Position, at: datetime) -> None:
        """The execution begins to wait for input."""
        step = position.step
        self._journal.note(
            events.InputRequested,
            at,
            self._agent,
            position,
            prompt=step.question or f"What should {step.name} look at first?",
            input_schema=step.input_schema or {"type": "object"},
        )

    def answer(self, position: Position, at: datetime) -> datetime:
        """The user is asked and gives input; answers when."""
        self.ask(position, at)
        at = self.answered(at)
        given = draw(position.step.answer, self._rng)
        self._journal.note(events.InputReceived, at, by(self._run.user, OperatorKind.USER), position, user_input=given)
        return at

    def request_approval(self, position: Position, at: datetime, approver: Operator) -> UUID:
        """Somebody is asked to approve a step."""
        approval_id = self._journal.new_id(at)
        self._journal.note(
            events.ApprovalRequested,
            at,
            self._agent,
            position,
            approval_id=approval_id,
            approval_subject=position.step.approval or f"Go on with {position.step.name}",
            requested_from=approver.id,
            details={"risk": self._rng.choice(("low", "medium", "high"))},
        )
        return approval_id

    def decide(self, position: Position, at: datetime, decision: Decision) -> datetime:
        """An approval is asked for and decided; some executions pause meanwhile."""
        approver = self.somebody()
        approval_id = self.request_approval(position, at, approver)
        asked = later(at, 0.2, self._rng)
        waits_paused = self._rng.random() < 0.4
        if waits_paused:
            self._journal.note(events.WorkflowPaused, asked, self._agent, reason="waits for an approval")
        at = self.answered(asked)
        comments = ("ok", "go ahead", None) if decision is Decision.APPROVED else ("too risky now", "over budget")
        self._journal.note(
            events.ApprovalApplied,
            at,
            approver,
            position,
            approval_id=approval_id,
            decision=decision,
            decision_comment=self._rng.choice(comments),
        )
        if waits_paused:
            at = later(at, 0.05, self._rng)
            self._journal.note(events.WorkflowResumed, at, self._agent, reason="the approval was decided")
        return at
