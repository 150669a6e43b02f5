"""A ledger of each test's own, with a drive, a customer and an agent, and usage of any time."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.settings import Settings

NOW = datetime.now(UTC)


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path) -> Iterator[Ledger]:
    settings = Settings(home=tmp_path, database_url=SecretStr(ledger_url), hot_days=14)
    with Ledger.open(settings) as opened:
        yield opened


@dataclass(frozen=True)
class Spender:
    """Uses models in executions of one drive, customer and agent, at any time that has passed."""

    ledger: Ledger
    drive: UUID
    customer: UUID
    agent: UUID

    def use(self, at: datetime, *costs: str | None, **fields: Any) -> UUID:
        """An execution whose model calls, 100 tokens each, cost this; None: not priced, estimated at a dollar."""
        execution = uuid.uuid4()
        given = {
            "drive_id": self.drive,
            "customer_id": self.customer,
            "agent_id": self.agent,
            "workflow_name": "deploy",
        }
        told: list[events.Event] = [
            events.WorkflowCreated(execution_id=execution, occurred_at=at, **(given | fields)),
            events.WorkflowStarted(execution_id=execution, occurred_at=at),
        ]
        for nth, cost in enumerate(costs):
            paid: dict[str, Any] = {"pricing_status": "priced", "cost_usd": cost}
            if cost is None:
                paid = {"pricing_status": "unpriced", "estimated_cost_usd": "1"}
            told.append(
                events.TokensUpdated(
                    execution_id=execution,
                    occurred_at=at + timedelta(microseconds=nth),
                    model_call_id=str(nth),
                    model="m",
                    input_tokens=90,
                    output_tokens=10,
                    **paid,
                )
            )
        append_many(self.ledger.connection, told, history=True)
        return execution

    def correct(self, execution: UUID, nth: int, new: str) -> None:
        """A re-pricing run that finds another cost for a model call."""
        rows = self.ledger.events(execution)
        call = next(r for r in rows if r["event_type"] == "TokensUpdated" and r["model_call_id"] == str(nth))
        last = self.ledger.connection.execute(
            "SELECT new_cost_usd FROM workflow_events WHERE target_event_id = %s ORDER BY tx DESC LIMIT 1",
            (call["event_id"],),
        ).fetchone()
        old = last["new_cost_usd"] if last else call["cost_usd"]
        told: list[events.Event] = [
            events.WorkflowCreated(occurred_at=NOW, execution_kind="repricing", workflow_name="repricing"),
            events.WorkflowStarted(occurred_at=NOW),
            events.CostRecalculated(
                occurred_at=NOW,
                target_event_id=call["event_id"],
                target_execution_id=execution,
                target_occurred_at=call["occurred_at"],
                model_call_id=str(nth),
                model="m",
                old_cost_usd=old,
                new_cost_usd=new,
                difference_usd=Decimal(new) - (old or 0),
                reason="the price became known",
            ),
        ]
        self.ledger.append(uuid.uuid4(), told)

    def breaches(self) -> list[tuple[str, int, str]]:
        """What was recorded in the budgets' own streams: period, percent and total."""
        rows = self.ledger.connection.execute(
            "SELECT budget_period, threshold_percent, coalesce(trim_scale(total_usd), total_tokens)::text AS total"
            " FROM workflow_events WHERE event_type = 'BudgetExceeded' AND execution_kind = 'budget'"
            " ORDER BY execution_id, sequence"
        ).fetchall()
        return [(row["budget_period"], row["threshold_percent"], row["total"]) for row in rows]


@pytest.fixture
def spender(ledger: Ledger) -> Spender:
    drive = ledger.people.drives.create("Engineering").id
    customer = ledger.people.customers.create("Acme", drive_id=drive).id
    return Spender(ledger, drive, customer, ledger.people.agents.create("coder", drive_id=drive).id)
