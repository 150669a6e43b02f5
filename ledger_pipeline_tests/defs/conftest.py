"""A small ledger whose settings are in the environment, as Dagster's processes find them."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ledger_pipeline import events
from ledger_pipeline.ledger import Ledger

# Pydantic's warning about how Dagster looks at its own classes.
_DAGSTER_WARNINGS = "ignore::pydantic.warnings.PydanticDeprecatedSince20:dagster_shared"

AGES_IN_DAYS = (130, 115, 1)
"""How long ago the executions of the small ledger ran: two are due for the archive."""

EVENTS_OF_EACH = 12


NO_TELEMETRY = {"telemetry": {"enabled": False}}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", _DAGSTER_WARNINGS)


@pytest.fixture
def home(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`LEDGER_HOME` of a ledger of this test's own, in the database under test."""
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return tmp_path / "home"


@pytest.fixture
def now() -> datetime:
    """The present of a test, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def small_ledger(home: Path, now: datetime) -> Path:
    """The home of a ledger with an execution of twelve events at each of `AGES_IN_DAYS`."""
    with Ledger.open() as ledger:
        fill(ledger, now)
    return home


def fill(ledger: Ledger, now: datetime) -> None:
    """Appends the executions of the small ledger; one of their models has no price."""
    for age in AGES_IN_DAYS:
        ledger.append_many(execution(now - timedelta(days=age)), history=True)


def execution(at: datetime) -> Iterator[events.Event]:
    """One execution of a single step with eight model calls, complete, a second an event."""
    execution_id, step, call = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    plan = [{"step_id": step, "path": "0", "step_order": 0, "step_name": "analyse", "max_attempts": 1}]
    history: list[events.Event] = [
        events.WorkflowCreated(occurred_at=at, workflow_name="report", mode="analysis", plan=plan),
        events.WorkflowStarted(occurred_at=at),
        events.StepDispatched(occurred_at=at, step_id=step, call_id=call),
        *(
            events.TokensUpdated(
                occurred_at=at,
                step_id=step,
                call_id=call,
                model_call_id=str(nth),
                provider="anthropic",
                model="claude-sonnet-4-5" if nth else "a-model-that-nobody-sells",
                input_tokens=1_000 + nth,
                output_tokens=100,
            )
            for nth in range(EVENTS_OF_EACH - 5)
        ),
        events.StepCompleted(occurred_at=at, step_id=step, call_id=call, output={"answer": 42}),
        events.WorkflowCompleted(occurred_at=at, output={}),
    ]
    for nth, event in enumerate(history):
        yield event.model_copy(update={"execution_id": execution_id, "occurred_at": at + timedelta(seconds=nth)})


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that keeps what happens, for this test only."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder), overrides=NO_TELEMETRY) as opened:
        yield opened
