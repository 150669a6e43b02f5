"""The sensor of budgets: what was crossed is recorded once, and shown."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ledger_pipeline import Ledger, events
from ledger_pipeline.defs.budgets import budgets_sensor
from ledger_pipeline.defs.resources import LedgerResource


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    with Ledger.open() as opened:
        yield opened


def tick() -> Any:
    return budgets_sensor.evaluate_tick(dg.build_sensor_context(resources={"ledger": LedgerResource()}))


def test_a_tick_records_what_was_crossed_once(ledger: Ledger) -> None:
    assert tick().skip_message == "none of 0 budgets was crossed"
    ledger.budgets.set(workflow_name="deploy", period="year", limit_tokens=10)
    at = datetime.now(UTC) - timedelta(seconds=1)
    execution = uuid.uuid4()
    ledger.append(
        execution,
        [
            events.WorkflowCreated(occurred_at=at, workflow_name="deploy"),
            events.TokensUpdated(occurred_at=at, model_call_id="1", model="gpt-4o", input_tokens=11),
        ],
    )
    first, again = tick(), tick()
    assert first.skip_message == "recorded 2 breaches of 1 budgets"
    (observation,) = first.asset_events
    assert (observation.asset_key.to_user_string(), observation.metadata["breaches"].value) == ("workflow_events", 2)
    assert str(execution) in observation.metadata["budgets that were crossed"].value
    assert (again.skip_message, again.asset_events) == ("none of 1 budgets was crossed", [])


def test_a_tick_while_another_judges_is_skipped(ledger: Ledger) -> None:
    ledger.connection.execute("SELECT pg_advisory_lock(19524, 2006)")
    assert tick().skip_message.startswith("budgets are being judged by session")
