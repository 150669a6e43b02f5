"""The sensor of limits: what has passed is recorded once, through the commands that anybody uses."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ledger_pipeline.defs.limits import limits_sensor
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.ledger import Ledger

pytestmark = pytest.mark.mission("E4")

LATE = datetime.now(UTC) - timedelta(minutes=30)
SLOW: dict[str, Any] = {
    "name": "slow",
    "timeout_minutes": 60,
    "steps": [
        {"name": "wait", "tool_name": "wait", "timeout_seconds": 600, "retry_count": 1},
        {"name": "go_on", "tool_name": "go_on"},
    ],
}


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    with Ledger.open() as opened:
        yield opened


def tick() -> Any:
    context = dg.build_sensor_context(resources={"ledger": LedgerResource()})
    return limits_sensor.evaluate_tick(context)


def replayed(ledger: Ledger, execution_id: Any) -> ExecutionState:
    state = ledger.replay(execution_id)
    assert state.problems == ()
    return state


def test_a_tick_without_anything_overdue_is_skipped(ledger: Ledger) -> None:
    execution_id = ledger.workflows.start(definition=SLOW).execution_id
    ledger.workflows.dispatch(execution_id)

    data = tick()

    assert (data.skip_message, data.asset_events) == ("no limit has passed", [])
    assert replayed(ledger, execution_id).status == "running"


def test_a_call_that_runs_too_long_fails_and_its_step_is_tried_again(ledger: Ledger) -> None:
    execution_id = ledger.workflows.start(definition=SLOW, at=LATE).execution_id
    call = ledger.workflows.dispatch(execution_id, at=LATE)

    data = tick()

    assert data.skip_message == "recorded 1 limits that have passed, 0 were refused"
    (observation,) = data.asset_events
    assert (observation.asset_key.to_user_string(), observation.metadata["calls timed out"].value) == (
        "workflow_events",
        1,
    )
    state = replayed(ledger, execution_id)
    step = state.steps[str(call.step_id)]
    assert (state.status, step.status, step.attempt) == ("running", "retrying", 2)
    assert step.error_details == {"code": "timeout", "limit_seconds": 600}
    assert state.calls[str(call.call_id)].error_message == "ran longer than its limit of 600 seconds"
    assert [row["operator_id"] for row in ledger.events(execution_id)][-1] == "limits"

    ledger.workflows.dispatch(execution_id, at=LATE)
    tick()
    ended = replayed(ledger, execution_id)
    assert (ended.status, ended.error_message) == (
        "failed",
        "step 'wait' failed: ran longer than its limit of 600 seconds",
    )


def test_an_execution_that_runs_too_long_times_out_once(ledger: Ledger) -> None:
    begun = LATE - timedelta(hours=1)
    execution_id = ledger.workflows.start(definition=SLOW, at=begun).execution_id
    ledger.workflows.dispatch(execution_id, at=begun)
    waiting = ledger.workflows.create(definition=SLOW, at=begun).execution_id

    first, again = tick(), tick()

    state = replayed(ledger, execution_id)
    assert (state.status, state.open_calls) == ("timeout", 0)
    assert state.error_message == "ran longer than its limit of 60 minutes"
    assert first.asset_events[0].metadata["executions timed out"].value == 1
    assert again.skip_message == "no limit has passed"
    # The limit runs from the start.
    assert replayed(ledger, waiting).status == "pending"


@pytest.mark.parametrize("limit", ['"soon"', "null", "-5", "1" + "0" * 400, "[1]"])
def test_what_is_no_sensible_number_limits_nothing(ledger: Ledger, limit: str) -> None:
    execution_id = ledger.workflows.start(definition={"name": "odd"}, at=LATE).execution_id
    ledger.connection.execute(
        "UPDATE workflow_executions SET metadata = jsonb_build_object('definition',"
        " jsonb_build_object('timeout_minutes', %s::jsonb)) WHERE id = %s",
        (limit, execution_id),
    )
    assert tick().skip_message == "no limit has passed"
