"""How one simulated execution goes from its creation to its end, and what is still recorded afterwards."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import ArtifactType, Decision, LogLevel, OperatorKind, StepType
from ledger_pipeline.ingest.simulation.calls import Calls, later
from ledger_pipeline.ingest.simulation.definitions import LIGHT, Product, Step, draw
from ledger_pipeline.ingest.simulation.fate import Ending, Run, Stall
from ledger_pipeline.ingest.simulation.journal import WATCHDOG, Budget, Journal, Operator, Position, by
from ledger_pipeline.ingest.simulation.people import People
from ledger_pipeline.ingest.simulation.population import population
from ledger_pipeline.ingest.simulation.rhythm import Rhythm
from ledger_pipeline.ingest.simulation.steps import Link, Steps

_UNPLANNED = Step("double_check", agent="quality-inspector", effort=LIGHT, max_attempts=1)
_LATE_PRODUCT = Product(ArtifactType.REPORT, "post-mortem.md", "text/markdown", 6_000)


class Walk:
    """One run, walked into a journal; `ended` is None where the execution waits for ever."""

    def __init__(self, run: Run, journal: Journal, rhythm: Rhythm, rng: Random, link: Link) -> None:
        self.journal = journal
        self.ended: datetime | None = None
        self._run = run
        self._fate = run.fate
        self._rng = rng
        self._agent = by(population().agent(run.workflow.agent), OperatorKind.AGENT)
        self._people = People(journal, run, self._agent, rng)
        self._calls = Calls(journal, run.fate, rhythm, rng)
        self._steps = Steps(journal, run, self._calls, rng, link)

    def go(self) -> None:
        """Walks the whole life cycle."""
        run, fate = self._run, self._fate
        at = run.starts
        top = self._steps.place(run.workflow.steps, at)
        self._create(top, at)
        if fate.stall is Stall.PENDING:
            return
        at = self._started = later(at, 2, self._rng)
        self.journal.note(events.WorkflowStarted, at, self._agent)
        struck = self._struck(top)
        for position in top:
            if position.step.name in self._steps.skipped_names:
                at = later(at, 0.05, self._rng)
                reason = "the condition before is false"
                self.journal.note(events.StepSkipped, at, self._agent, position, reason=reason)
            elif position is struck:
                self._strike(position, at)
                return
            else:
                at = self._perform(position, at)
        self._complete(top, at)

    def _create(self, top: list[Position], at: datetime) -> None:
        run = self._run
        parent, parent_step = run.parent or (None, None)
        optional: dict[str, Any] = {
            "parent_execution_id": parent,
            "parent_step_id": parent_step,
            "retry_of": run.retry_of,
        }
        self.journal.note(
            events.WorkflowCreated,
            at,
            run.trigger,
            triggered_by=run.trigger.id,
            triggered_by_kind=run.trigger.kind,
            plan=tuple(entry for position in top for entry in _entries(position)),
            parameters=run.parameters,
            trigger_context=_trigger_context(run, self._rng),
            metadata={"simulated": True},
            **{name: value for name, value in optional.items() if value},
        )
        self.journal.budget = run.fate.budget

    def _struck(self, top: list[Position]) -> Position | None:
        """The step at which the execution stops: chosen among those that suit the ending and are surely reached."""
        fate = self._fate
        if fate.ending is Ending.COMPLETED and not fate.stall:
            return None
        if fate.strikes_at:
            return next(position for position in top if position.step.name == fate.strikes_at)
        avoidable = {name for position in top for name in position.step.unless_true}
        sure = [position for position in top if position.step.name not in avoidable]
        if fate.ending is Ending.REJECTED or fate.stall is Stall.APPROVAL:
            fitting = [position for position in sure if position.step.approval]
        elif fate.ending is Ending.ABORTED:
            fitting = [position for position in sure if position.step.agent]
        else:
            fitting = []
        actions = [position for position in sure if position.step.type is StepType.ACTION]
        return self._rng.choice(fitting or actions)

    def _perform(self, position: Position, at: datetime) -> datetime:
        rng, habits, step = self._rng, self._fate.habits, position.step
        at = later(at, 0.3, rng)
        if rng.random() < habits.pause:
            at = later(self._people.pause(at), 0.3, rng)
        if step.question:
            at = later(self._people.answer(position, at), 0.3, rng)
        if step.approval:
            at = later(self._people.decide(position, at, Decision.APPROVED), 0.3, rng)
        at = self._steps.perform(position, at)
        if step.type is StepType.ACTION and rng.random() < habits.context:
            at = later(at, 0.05, rng)
            patch = {"notes": {step.name: rng.choice(("checked", "assumed", None))}, "last_step": step.name}
            self.journal.note(events.ContextUpdated, at, self._agent, patch=patch)
        return at

    def _complete(self, top: list[Position], at: datetime) -> None:
        rng = self._rng
        if rng.random() < self._fate.habits.unplanned:
            position = self._steps.place((_UNPLANNED,), at, first=len(top))[0]
            at = self._steps.perform(position, later(at, 0.1, rng), plan_entry=position.entry)
        at = later(at, 0.2, rng)
        output = draw(self._run.workflow.output, rng)
        self.journal.note(events.WorkflowCompleted, at, self._agent, output=output)
        usages = self.journal.usages
        if self._fate.budget in (Budget.CROSSED_USD, Budget.CROSSED_TOKENS) and usages:
            rng.choice(usages).crosses = True
        self._end(at)

    def _strike(self, position: Position, at: datetime) -> None:
        """The end that fate holds, at this step; or the wait without an end."""
        at = later(at, 0.3, self._rng)
        if self._fate.stall:
            self._stall(position, at)
            return
        match self._fate.ending:
            case Ending.REJECTED:
                at = later(self._people.decide(position, at, Decision.REJECTED), 0.3, self._rng)
                self._fail(at, "approval_rejected", f"{position.step.name} was not approved", position)
            case Ending.FAILED:
                at, code, message = self._exhaust(position, at)
                self._fail(later(at, 0.2, self._rng), code, message, position)
            case Ending.CANCELLED if position.step.question:
                self._people.ask(position, at)
                self._stop(
                    events.WorkflowCancelled,
                    self._people.answered(at),
                    self._people.somebody(),
                    reason="no longer needed",
                )
            case Ending.CANCELLED:
                at = self._calls.work(position, self._calls.dispatch(position, at), at)
                self._stop(events.WorkflowCancelled, at, self._people.somebody(), reason="started by mistake")
            case Ending.ABORTED:
                at = self._calls.work(position, self._calls.dispatch(position, at), at)
                if self.journal.usages:
                    self.journal.usages[-1].crosses = True
                self._stop(events.ExecutionAborted, at, WATCHDOG, reason="the budget is exceeded")
            case _:
                self._calls.dispatch(position, at)
                limit = timedelta(minutes=self._run.workflow.limit_minutes)
                at = max(self._started + limit, at) + timedelta(seconds=5)
                reason = f"{position.step.name} did not answer"
                seconds = int(limit.total_seconds())
                self._stop(events.WorkflowTimedOut, at, WATCHDOG, reason=reason, limit_seconds=seconds)

    def _exhaust(self, position: Position, at: datetime) -> tuple[datetime, str, str]:
        """Every attempt at a step fails."""
        call_id = self._calls.dispatch(position, at)
        at = self._calls.work(position, call_id, at)
        while position.attempt < position.step.max_attempts:
            call_id, at = self._calls.fail_and_retry(position, call_id, at)
            at = self._calls.work(position, call_id, at)
        for product in position.step.products:
            if product.type is ArtifactType.ALERT:
                self._calls.record(product, at, position)
        at = later(at, 0.1, self._rng)
        return at, *self._calls.fail(position, call_id, at)

    def _fail(self, at: datetime, code: str, message: str, position: Position) -> None:
        self._calls.log(LogLevel.ERROR, f"gave up: {message}", at, position)
        details = {"step": position.step.name, "attempts": position.attempt}
        at = later(at, 0.1, self._rng)
        self._stop(
            events.WorkflowFailed, at, self._agent, error_code=code, error_message=message, error_details=details
        )

    def _stop(self, kind: type[events.Event], at: datetime, operator: Operator, **fields: Any) -> None:
        self.journal.note(kind, at, operator, **fields)
        self._end(at)

    def _stall(self, position: Position, at: datetime) -> None:
        match self._fate.stall:
            case Stall.PAUSED:
                self.journal.note(events.WorkflowPaused, at, self._people.somebody(), reason="paused by hand")
            case Stall.INPUT:
                self._people.ask(position, at)
            case Stall.APPROVAL:
                self._people.request_approval(position, at, self._people.somebody())
            case _:
                self._calls.dispatch(position, at)

    def _end(self, at: datetime) -> None:
        """The end, and sometimes what becomes known only after it."""
        self.ended = at
        if self._calls.last is None or self._rng.random() >= self._fate.habits.late:
            return
        position, call_id, model = self._calls.last
        at = self._calls.model_call(position, call_id, model, later(at, 30, self._rng))
        at = later(at, 5, self._rng)
        self._calls.log(LogLevel.INFO, "usage of a call that was still billed", at, position)
        self._calls.record(_LATE_PRODUCT, later(at, 20, self._rng), position)


def _entries(position: Position) -> list[events.PlanStep]:
    return [position.entry, *(entry for child in position.children for entry in _entries(child))]


def _trigger_context(run: Run, rng: Random) -> dict[str, Any]:
    if run.parent:
        return {"channel": "workflow", "parent_execution_id": str(run.parent[0])}
    if run.retry_of:
        return {"channel": "rerun", "retry_of": str(run.retry_of)}
    if run.trigger.kind is OperatorKind.SYSTEM:
        return {"channel": "schedule", "cron": "0 * * * *"}
    return {"channel": rng.choice(("chat", "api", "webhook")), "ticket": f"OPS-{rng.randint(100, 9999)}"}
