"""Executions to try things on."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from ledger_pipeline import events
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect

NOW = datetime.now(UTC)


@pytest.fixture
def connection(module_ledger_url: str) -> Iterator[Connection]:
    """A superuser's connection to the ledger that the module's tests share."""
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def steps() -> list[UUID]:
    """The ids of the two steps of `running_execution`."""
    return [uuid.uuid4(), uuid.uuid4()]


@pytest.fixture
def created_execution(connection: Connection) -> UUID:
    """An execution that was created and nothing else."""
    execution_id = uuid.uuid4()
    append(connection, execution_id, [events.WorkflowCreated(occurred_at=NOW, workflow_name="nightly", mode="batch")])
    return execution_id


@pytest.fixture
def running_execution(connection: Connection, steps: list[UUID]) -> UUID:
    """An execution that runs, with two steps of at most two attempts each."""
    execution_id = uuid.uuid4()
    plan = tuple(
        events.PlanStep(step_id=step_id, path=str(nth), step_order=nth, step_name=f"step_{nth}", max_attempts=2)
        for nth, step_id in enumerate(steps)
    )
    append(
        connection,
        execution_id,
        [
            events.WorkflowCreated(occurred_at=NOW, workflow_name="nightly", mode="batch", plan=plan),
            events.WorkflowStarted(occurred_at=NOW),
        ],
    )
    return execution_id
