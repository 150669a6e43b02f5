"""Which model calls came to nothing, and why: each reason, and what is of use."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from ledger_pipeline import events
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.conftest import NOW
from ledger_pipeline_tests.marts.in_memory import InMemorySource

STEP, FIRST, SECOND = (uuid5(UUID(int=0), name) for name in ("step", "first", "second"))


def an_execution(
    name: str, ends_with: events.Event | None, *, tries: int = 1, fails: bool = False
) -> list[events.Event]:
    """One step with a model call in each attempt, a dollar each; attempts but the last fail, as `fails` says of it."""
    execution_id = uuid5(UUID(int=0), name)
    at = {"occurred_at": NOW, "execution_id": execution_id}
    plan = [{"step_id": STEP, "path": "0", "step_order": 0, "step_name": "work", "max_attempts": 2}]
    told: list[events.Event] = [
        events.WorkflowCreated(**at, workflow_name=name, plan=plan),
        events.WorkflowStarted(**at),
    ]
    for attempt in range(1, tries + 1):
        of_call: dict[str, Any] = {**at, "step_id": STEP, "call_id": (FIRST, SECOND)[attempt - 1]}
        if attempt > 1:
            told.append(events.StepRetried(**at, step_id=STEP, next_attempt=attempt))
        told += [
            events.StepDispatched(**of_call),
            events.TokensUpdated(
                **of_call,
                model_call_id=f"m{attempt}",
                model="sonnet",
                input_tokens=10,
                cost_usd=Decimal(1),
                input_cost_usd=Decimal(1),
                pricing_status="priced",
            ),
        ]
        failed = attempt < tries or fails
        told.append(
            events.StepFailed(**of_call, error_code="E7", error_message="no answer")
            if failed
            else events.StepCompleted(**of_call)
        )
    return told + ([ends_with.model_copy(update=at)] if ends_with else [])


@pytest.fixture
def built(settings: Settings, now: datetime) -> Path:
    """The marts of an execution of each fate."""
    ended = now + timedelta(seconds=1)
    source = InMemorySource()
    for told in (
        an_execution("useful", events.WorkflowCompleted(occurred_at=ended)),
        an_execution("still going", None),
        an_execution("second try", events.WorkflowCompleted(occurred_at=ended), tries=2),
        an_execution("went on without", events.WorkflowCompleted(occurred_at=ended), fails=True),
        an_execution("failed", events.WorkflowFailed(occurred_at=ended, error_code="E9", error_message="x"), tries=2),
        an_execution("cancelled", events.WorkflowCancelled(occurred_at=ended, reason="not needed")),
        an_execution("timed out", events.WorkflowTimedOut(occurred_at=ended)),
        an_execution("aborted", events.ExecutionAborted(occurred_at=ended, reason="over budget")),
    ):
        source.append(told)
    return build_from(source, settings, now).path


def asked(built: Path, question: str) -> list[tuple[Any, ...]]:
    with reading(built) as marts:
        return marts.execute(question).fetchall()


def test_each_call_that_came_to_nothing_has_its_reason(built: Path) -> None:
    rows = asked(built, "SELECT workflow_name, attempt, reason, error_code, cost_usd FROM marts.wasted_usage")
    assert sorted(rows, key=repr) == [
        ("aborted", 1, "execution_aborted", None, Decimal(1)),
        ("cancelled", 1, "execution_cancelled", None, Decimal(1)),
        ("failed", 1, "execution_failed", "E7", Decimal(1)),
        ("failed", 2, "execution_failed", "E9", Decimal(1)),
        ("second try", 1, "attempt_repeated", "E7", Decimal(1)),
        ("timed out", 1, "execution_timed_out", None, Decimal(1)),
        ("went on without", 1, "step_failed", "E7", Decimal(1)),
    ]


def test_what_an_execution_that_completes_costs_has_the_waste_in_it(built: Path) -> None:
    rows = asked(
        built,
        "SELECT workflow_name, completed, wasted_cost_usd, cost_per_completed_usd FROM marts.cost_by_template_version"
        " WHERE workflow_name IN ('useful', 'second try', 'failed') ORDER BY 1",
    )
    assert rows == [
        ("failed", 0, Decimal(2), None),
        ("second try", 1, Decimal(1), Decimal(2)),
        ("useful", 1, None, Decimal(1)),
    ]
