"""A ledger that a module's tests share, a drive with people of its own for each test, and the seeds' definitions."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.settings import Settings
from ledger_pipeline.templates.store import Templates
from ledger_pipeline.workflows.workflows import Workflows


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    home = tmp_path_factory.mktemp("home")
    with Ledger.open(Settings(home=home, database_url=SecretStr(module_ledger_url))) as opened:
        yield opened


@pytest.fixture
def home(ledger: Ledger) -> Path:
    return ledger.settings.home


@dataclass(frozen=True)
class Place:
    """Where and for whom a test's executions run."""

    drive_id: UUID
    user_id: UUID


@pytest.fixture
def place(ledger: Ledger) -> Place:
    made = Place(uuid.uuid4(), uuid.uuid4())
    ledger.connection.execute("INSERT INTO drives (id, name) VALUES (%s, 'Engineering')", (made.drive_id,))
    ledger.connection.execute("INSERT INTO users (id, name) VALUES (%s, 'Ada')", (made.user_id,))
    return made


@pytest.fixture
def workflows(ledger: Ledger) -> Workflows:
    return ledger.workflows.acting_as("orchestrator", "system")


Save = Callable[..., UUID]


@pytest.fixture
def save(ledger: Ledger, place: Place) -> Save:
    """Saves a definition in the test's drive, and answers the template's id."""

    def saved(**definition: Any) -> UUID:
        return Templates(ledger.connection).save(definition, drive_id=place.drive_id).template_id

    return saved


@pytest.fixture
def replayed(ledger: Ledger) -> Callable[[UUID], ExecutionState]:
    """The replay of an execution, once it has been compared with the execution's rows."""

    def compared(execution_id: UUID) -> ExecutionState:
        state = ledger.replay(execution_id)
        assert state.problems == ()
        assert ledger.workflows.state(execution_id) == replace(state, latest_occurred_at=None, log_entries=0)
        return state

    return compared


@pytest.fixture
def event_types(ledger: Ledger) -> Callable[[UUID], list[str]]:
    """The types of an execution's events, in order."""
    return lambda execution_id: [row["event_type"] for row in ledger.events(execution_id)]
