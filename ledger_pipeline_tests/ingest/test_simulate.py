"""The simulator: deterministic, legal by the state machine, complete in event types, stored once."""

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache, partial
from uuid import UUID

import pytest

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events import EVENT_TYPES, catalogue
from ledger_pipeline.events.enums import ArtifactType, CallStatus, ExecutionKind, LogLevel, StepStatus
from ledger_pipeline.events.states import RULES, ExecutionState
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.simulate import run_simulation, simulate
from ledger_pipeline.ingest.simulation.fleet import IN_HOUSE_MODEL
from ledger_pipeline.ingest.simulation.journal import bucket_tokens, round_limit, spent_usd
from ledger_pipeline.ingest.simulation.showcase import SHOWCASE_EXECUTIONS
from ledger_pipeline.pricing.book import PriceBook, book_of
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.pricing.sources.genai import GenaiPrices

NOW = datetime(2026, 11, 19, 15, 30, tzinfo=UTC)


@cache
def embedded_book() -> PriceBook:
    return book_of(GenaiPrices().read(NOW))


@cache
def traffic(executions: int = 400, days: int = 90, seed: int = 7) -> tuple[catalogue.Event, ...]:
    return tuple(simulate(executions, days, seed, NOW, partial(price, embedded_book())))


def streams(events: Iterable[catalogue.Event]) -> dict[UUID, list[catalogue.Event]]:
    grouped: defaultdict[UUID, list[catalogue.Event]] = defaultdict(list)
    for event in events:
        assert event.execution_id
        grouped[event.execution_id].append(event)
    return grouped


def of_kind(events: Iterable[catalogue.Event], kind: ExecutionKind) -> list[catalogue.WorkflowCreated]:
    return [e for e in events if isinstance(e, catalogue.WorkflowCreated) and e.execution_kind == kind]


@dataclass
class Judge:
    """Replays one stream against RULES; raises AssertionError at the first illegal event."""

    state: ExecutionState | None = None
    steps: dict[UUID, StepStatus] = field(default_factory=dict)
    attempts: dict[UUID, int] = field(default_factory=dict)
    maximum: dict[UUID, int] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    calls: dict[UUID, tuple[UUID, CallStatus]] = field(default_factory=dict)
    approvals: dict[UUID, str] = field(default_factory=dict)
    model_calls: set[str] = field(default_factory=set)
    at: datetime | None = None

    def plan(self, entries: Iterable[catalogue.PlanStep]) -> None:
        for entry in entries:
            assert entry.step_id not in self.steps
            assert entry.path not in self.paths
            assert entry.parent_step_id is None or entry.parent_step_id in self.steps
            self.paths.add(entry.path)
            self.steps[entry.step_id] = StepStatus.PENDING
            self.attempts[entry.step_id] = 1
            self.maximum[entry.step_id] = entry.max_attempts

    def take(self, sequence: int, event: catalogue.Event) -> None:
        rule = RULES[event.event_type]
        assert event.sequence == sequence
        assert self.at is None or event.occurred_at >= self.at
        self.at = event.occurred_at
        if event.event_type == "WorkflowCreated":
            assert self.state is None
        else:
            assert self.state in rule.execution_from, f"{event.event_type} while {self.state}"
        match event:
            case catalogue.WorkflowCreated(plan=plan):
                self.plan(plan)
            case catalogue.IterationStarted(steps=steps):
                self.plan(steps)
            case catalogue.StepDispatched(plan_entry=entry) if entry:
                self.plan([entry])
            case catalogue.WorkflowCompleted():
                assert not [call for call, (_, status) in self.calls.items() if status is CallStatus.RUNNING]
            case catalogue.StepRetried(step_id=step_id, next_attempt=attempt):
                assert attempt == self.attempts[step_id] + 1 <= self.maximum[step_id]
                self.attempts[step_id] = attempt
            case catalogue.ApprovalRequested(approval_id=approval_id):
                assert approval_id not in self.approvals
                self.approvals[approval_id] = "pending"
            case catalogue.ApprovalApplied(approval_id=approval_id, decision=decision):
                assert self.approvals[approval_id] == "pending"
                self.approvals[approval_id] = decision
            case catalogue.TokensUpdated(model_call_id=model_call_id):
                assert model_call_id not in self.model_calls
                self.model_calls.add(model_call_id)
            case _:
                pass
        self.move(event)

    def move(self, event: catalogue.Event) -> None:
        rule = RULES[event.event_type]
        if event.step_id:
            assert event.step_id in self.steps
            assert event.attempt == self.attempts[event.step_id]
        if rule.step_from:
            assert event.step_id
            assert self.steps[event.step_id] in rule.step_from
            self.steps[event.step_id] = rule.step_to or self.steps[event.step_id]
        if rule.call == "opens":
            assert event.call_id
            assert event.step_id
            assert event.call_id not in self.calls
            self.calls[event.call_id] = event.step_id, CallStatus.RUNNING
        elif event.call_id:
            step_id, status = self.calls[event.call_id]
            assert step_id == event.step_id
            if rule.call == "closes":
                assert status is CallStatus.RUNNING
                assert rule.call_to
                self.calls[event.call_id] = step_id, rule.call_to
        self.state = rule.execution_to or self.state


def test_every_stream_is_legal_by_the_state_machine() -> None:
    for events in streams(traffic()).values():
        judge = Judge()
        for sequence, event in enumerate(events, 1):
            judge.take(sequence, event)


@pytest.mark.parametrize(("executions", "days"), [(SHOWCASE_EXECUTIONS, 1), (60, 2), (400, 90)])
def test_every_event_type_artifact_type_log_level_and_ending_occurs(executions: int, days: int) -> None:
    events = traffic(executions, days)
    assert {event.event_type for event in events} == EVENT_TYPES.keys()
    artifacts = {event.artifact_type for event in events if isinstance(event, catalogue.ArtifactRecorded)}
    assert artifacts == set(ArtifactType)
    assert {event.log_level for event in events if isinstance(event, catalogue.LogRecorded)} == set(LogLevel)
    assert {event.decision for event in events if isinstance(event, catalogue.ApprovalApplied)} == {
        "approved",
        "rejected",
    }
    assert {created.execution_kind for created in events if isinstance(created, catalogue.WorkflowCreated)} == set(
        ExecutionKind
    )


@pytest.mark.parametrize(("executions", "days"), [(1, 1), (5, 1), (13, 1), (60, 2), (400, 90)])
def test_the_number_of_executions_is_exact(executions: int, days: int) -> None:
    assert len(of_kind(traffic(executions, days), ExecutionKind.WORKFLOW)) == executions


@pytest.mark.parametrize("days", [1, 90])
def test_all_times_lie_in_the_window(days: int) -> None:
    times = [event.occurred_at for event in traffic(60, days)]
    assert min(times) >= NOW - timedelta(days=days)
    assert max(times) <= NOW


def test_ids_are_unique_and_of_version_7() -> None:
    ids = [event.event_id for event in traffic()]
    assert len(set(ids)) == len(ids)
    assert all(event_id and event_id.version == 7 for event_id in ids)


def test_what_an_event_refers_to_comes_before_it() -> None:
    created: set[UUID] = set()
    usages: set[UUID] = set()
    for event in traffic():
        match event:
            case catalogue.WorkflowCreated(execution_id=execution_id, parent_execution_id=parent, retry_of=retried):
                assert {parent, retried} - {None} <= created
                assert execution_id
                created.add(execution_id)
            case catalogue.ChildExecutionLinked(child_execution_id=child):
                assert child in created
            case catalogue.TokensUpdated(event_id=event_id):
                assert event_id
                usages.add(event_id)
            case catalogue.CostRecalculated(target_event_id=target, target_execution_id=execution_id):
                assert target in usages
                assert execution_id in created
            case _:
                pass


def test_some_executions_have_not_ended() -> None:
    last_moves: set[ExecutionState] = set()
    for events in streams(traffic()).values():
        judge = Judge()
        for sequence, event in enumerate(events, 1):
            judge.take(sequence, event)
        assert judge.state
        last_moves.add(judge.state)
    assert last_moves == set(ExecutionState)


def test_a_budget_is_exceeded_right_after_the_usage_that_crosses_it_and_only_then() -> None:
    for events in streams(traffic()).values():
        created = events[0]
        assert isinstance(created, catalogue.WorkflowCreated)
        if created.execution_kind is not ExecutionKind.WORKFLOW:
            continue
        usd, tokens = Decimal(0), 0
        for event, follower in zip(events, [*events[1:], None], strict=True):
            expected: list[str] = []
            if isinstance(event, catalogue.TokensUpdated):
                before = usd, tokens
                usd += spent_usd(event)
                tokens += bucket_tokens(event)
                if created.budget_usd is not None and before[0] <= created.budget_usd < usd:
                    expected = ["usd"]
                if created.budget_tokens is not None and before[1] <= created.budget_tokens < tokens:
                    expected = ["tokens"]
            if isinstance(follower, catalogue.BudgetExceeded):
                assert [follower.budget_unit] == expected
                assert follower.total_usd in (None, usd)
                assert follower.total_tokens in (None, tokens)
            elif follower:
                assert not expected


@pytest.mark.parametrize(
    ("before", "after", "limit"),
    [("0.1", "0.9", "0.5"), ("3.2", "9.9", "7"), ("0", "400", "200"), ("1", "1.000000000001", "1"), ("12", "13", "12")],
)
def test_a_limit_is_round_kept_before_and_exceeded_after(before: str, after: str, limit: str) -> None:
    assert round_limit(Decimal(before), Decimal(after)) == Decimal(limit)


def test_prices_do_not_change_the_shape() -> None:
    def shape(event: catalogue.Event) -> tuple[object, ...]:
        return event.execution_id, event.sequence, event.event_id, event.event_type, event.occurred_at

    unpriced = [shape(event) for event in simulate(60, 30, 7, NOW)]
    assert unpriced == [shape(event) for event in simulate(60, 30, 7, NOW, partial(price, embedded_book()))]


def test_only_the_in_house_model_is_unpriced() -> None:
    usages = [event for event in traffic() if isinstance(event, catalogue.TokensUpdated)]
    assert {usage.model for usage in usages if usage.pricing_status == "unpriced"} == {IN_HOUSE_MODEL}
    assert {"anthropic", "openai", "google"} <= {usage.provider for usage in usages}
    assert sum(usage.model == IN_HOUSE_MODEL for usage in usages) < len(usages) / 20


def test_models_migrate_over_the_window() -> None:
    def share(model: str, first: datetime, last: datetime) -> float:
        usages = [
            event
            for event in traffic()
            if isinstance(event, catalogue.TokensUpdated) and first <= event.occurred_at < last
        ]
        return sum(usage.model == model for usage in usages) / len(usages)

    start, middle = NOW - timedelta(days=90), NOW - timedelta(days=45)
    assert share("gpt-4o", start, middle) > share("gpt-4o", middle, NOW)
    assert share("claude-haiku-4-5", start, middle) < share("claude-haiku-4-5", middle, NOW)


def test_people_work_on_weekdays_and_traffic_grows() -> None:
    starts = [e.occurred_at for e in of_kind(traffic(), ExecutionKind.WORKFLOW) if e.triggered_by_kind == "user"]
    weekend = sum(start.weekday() >= 5 for start in starts)
    assert weekend < len(starts) / 6
    assert sum(start > NOW - timedelta(days=45) for start in starts) > len(starts) * 0.55


def test_every_event_survives_a_round_trip_through_its_row() -> None:
    for event in traffic(60, 2):
        assert type(event).from_row(event.to_row()) == event


def test_a_correction_is_the_difference_to_what_was_recorded() -> None:
    for event in traffic():
        if isinstance(event, catalogue.CostRecalculated):
            assert event.new_cost_usd is not None
            assert event.difference_usd == event.new_cost_usd - (event.old_cost_usd or 0)


def test_the_same_arguments_give_the_same_events_in_every_process() -> None:
    code = (
        "import hashlib; from datetime import UTC, datetime; from ledger_pipeline.ingest.simulate import simulate;"
        "rows = [str(e.to_row()) for e in simulate(40, 30, 7, datetime(2026, 11, 19, 15, 30, tzinfo=UTC))];"
        "print(hashlib.sha256('\\n'.join(rows).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    here = "\n".join(str(event.to_row()) for event in simulate(40, 30, 7, NOW))
    assert digests == {hashlib.sha256(here.encode()).hexdigest()}


def test_other_arguments_give_other_executions() -> None:
    now = NOW + timedelta(days=1)
    variants = [(40, 30, 7, NOW), (41, 30, 7, NOW), (40, 31, 7, NOW), (40, 30, 8, NOW), (40, 30, 7, now)]
    ids = [{event.execution_id for event in simulate(*variant)} for variant in variants]
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_the_zone_of_now_does_not_matter() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert list(simulate(15, 3, 7, elsewhere)) == list(simulate(15, 3, 7, NOW))


@pytest.mark.parametrize(
    ("executions", "days", "now", "message"),
    [
        (0, 1, NOW, "executions: must be at least 1, not 0"),
        (1, 0, NOW, "days: must be from 1 to 10000, not 0"),
        (1, 1, NOW.replace(tzinfo=None), "has no time zone"),
    ],
)
def test_arguments_out_of_range_are_refused(executions: int, days: int, now: datetime, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        next(simulate(executions, days, 1, now))


@pytest.mark.slow
def test_it_is_stored_as_it_is_and_only_once(connection: Connection) -> None:
    book = embedded_book()
    first = run_simulation(connection, book, 60, 40, 7, NOW)
    assert first.new_events == first.events
    assert first.executions == 62
    rows = connection.execute(
        "SELECT *, payload::text AS payload FROM workflow_events ORDER BY execution_id, sequence"
    ).fetchall()
    stored = [EVENT_TYPES[row["event_type"]].from_row(row) for row in rows]
    given = sorted(
        simulate(60, 40, 7, NOW, partial(price, book)), key=lambda event: (str(event.execution_id), event.sequence)
    )
    assert stored == given
    again = run_simulation(connection, book, 60, 40, 7, NOW)
    assert (again.events, again.new_events) == (first.events, 0)
