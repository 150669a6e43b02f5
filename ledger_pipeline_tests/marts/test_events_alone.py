"""An event tells the common answers by itself, and marts need nothing but events."""

import uuid
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.marts.build import build
from ledger_pipeline.marts.publish import current
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.replay.projection_tables import TABLES
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.differences import differences

pytestmark = pytest.mark.mission("A4")
PROJECTIONS = [table.name for table in TABLES if table.name != "execution_heads"]


def owner(connection: Connection, table: str) -> uuid.UUID:
    """A customer, user, agent or drive of the test's own."""
    made = uuid.uuid4()
    connection.execute(sql.SQL("INSERT INTO {} (id, name) VALUES (%s, 'x')").format(sql.Identifier(table)), (made,))
    return made


@pytest.fixture
def told(connection: Connection, book: PriceBook, now: datetime) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What an execution's beginning says of it, and its stored events; later ones are sent without any of that."""
    said: dict[str, Any] = {
        "workflow_name": "nightly",
        "workflow_type": "cost_analysis",
        "template_id": uuid.uuid4(),
        "template_version": 3,
        "mode": "batch",
        "drive_id": owner(connection, "drives"),
        "customer_id": owner(connection, "customers"),
        "user_id": owner(connection, "users"),
    }
    execution_id, step, call, agent = (uuid.uuid4() for _ in range(4))
    plan = [
        {
            "step_id": step,
            "path": "0",
            "step_order": 0,
            "step_name": "analyse",
            "agent_id": agent,
            "agent_name": "scout",
        }
    ]
    of_call = {"occurred_at": now, "step_id": step, "call_id": call}
    used = events.TokensUpdated(
        **of_call, model_call_id="m-1", model="gpt-5-mini", provider="openai", input_tokens=1000, output_tokens=10
    )
    by = {"operator_id": "ada", "operator_kind": "user"}
    append(
        connection,
        execution_id,
        [
            events.WorkflowCreated(occurred_at=now, plan=plan, **said, **by),
            events.WorkflowStarted(occurred_at=now, **by),
            events.StepDispatched(**of_call, **by),
            price(book, used).model_copy(update=by),
            events.ApprovalRequested(**of_call, approval_id=uuid.uuid4(), approval_subject="deploy", **by),
            events.LogRecorded(**of_call, log_level="info", message="done", **by),
            events.StepCompleted(**of_call, output={"n": 1}, **by),
            events.WorkflowCompleted(occurred_at=now, **by),
        ],
    )
    rows = connection.execute(
        "SELECT * FROM workflow_events WHERE execution_id = %s ORDER BY sequence", (execution_id,)
    ).fetchall()
    return said | {"step": step, "agent": agent}, rows


def test_each_event_says_who_did_what_when_for_whom_and_by_which_definition(
    told: tuple[dict[str, Any], list[dict[str, Any]]], now: datetime
) -> None:
    said, rows = told
    execution = {name: value for name, value in said.items() if name not in ("step", "agent")}
    assert len(rows) == 8
    for row in rows:
        assert {name: row[name] for name in execution} == execution, row["event_type"]
        assert (row["operator_id"], row["operator_kind"], row["occurred_at"]) == ("ada", "user", now)
        assert row["execution_kind"] == "workflow"


def test_each_event_of_a_step_says_at_which_step_attempt_and_agent(
    told: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    said, rows = told
    of_steps = [row for row in rows if row["step_id"] is not None]
    assert len(of_steps) == 5
    for row in of_steps:
        assert (row["step_id"], row["step_name"], row["attempt"]) == (said["step"], "analyse", 1), row["event_type"]
        assert (row["agent_id"], row["agent_name"]) == (said["agent"], "scout"), row["event_type"]


def test_a_usage_says_at_which_price(told: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    (usage,) = (row for row in told[1] if row["event_type"] == "TokensUpdated")
    assert usage["pricing_status"] == "priced"
    assert usage["cost_usd"] == usage["input_cost_usd"] + usage["output_cost_usd"] > Decimal(0)
    assert usage["payload"]["prices"]


@pytest.mark.slow
def test_marts_are_the_same_without_a_single_projection(
    connection: Connection, settings: Settings, book: PriceBook, now: datetime, tmp_path: Path
) -> None:
    run_simulation(connection, book, 30, 30, 7, now)
    before = build(connection, settings, now)
    # Nobody may; a superuser past every trigger can.
    connection.execute("SET session_replication_role = replica")
    for name in PROJECTIONS:
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
    connection.execute("SET session_replication_role = origin")
    for name in PROJECTIONS:
        assert connection.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(name))).rowcount == 0

    alone = Settings(home=tmp_path / "alone")
    after = build(connection, alone, now)

    assert after.whole
    assert after.rows == before.rows
    assert differences(before.path, after.path) == {}
    with reading(current(alone)) as marts:
        spent = marts.execute("SELECT count(*) FROM marts.cost_by_execution").fetchone()
    assert spent is not None
    assert spent[0] > 20
