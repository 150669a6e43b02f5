"""Whatever is used, in however many judgings: each breach is where a plain sum over the feed says it is."""

import uuid
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger_pipeline import Ledger
from ledger_pipeline.cold.feed import read_feed
from ledger_pipeline_tests.budgets.conftest import NOW, Spender
from ledger_pipeline_tests.budgets.test_judging import BEGINNING, THIS_YEAR

pytestmark = pytest.mark.slow

COSTS = st.lists(st.sampled_from(["0", "0.01", "0.5", "1.000000000001", "3", None]), min_size=1, max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("use"), st.integers(1, 400), COSTS),
    st.tuples(st.just("correct"), st.integers(0, 9), st.sampled_from(["0", "0.7", "2"])),
    st.just(("judge",)),
)


def summed(ledger: Ledger, customer: UUID, limit: Decimal, thresholds: list[int]) -> list[tuple[str, int, Decimal]]:
    """Event, threshold and total of each crossing, by a plain sum over the feed."""
    total, told, seen = Decimal(0), list[tuple[str, int, Decimal]](), set[int]()
    costs: dict[str, Decimal] = defaultdict(Decimal)
    feed = read_feed(ledger.connection, ledger.settings.cold_dir)
    for row in (row for batch in feed.batches for row in batch.to_pylist()):
        if row["event_type"] == "TokensUpdated" and row["customer_id"] == str(customer):
            event = row["event_id"]
            now = row["cost_usd"] if row["cost_usd"] is not None else row["estimated_cost_usd"]
        elif row["event_type"] == "CostRecalculated" and row["target_event_id"] in costs:
            event, now = row["target_event_id"], row["new_cost_usd"]
        else:
            continue
        before, total = total, total + now - costs[event]
        costs[event] = now
        for threshold in thresholds:
            if before * 100 <= limit * threshold < total * 100 and threshold not in seen:
                seen.add(threshold)
                told.append((row["event_id"], threshold, total))
    return told


@pytest.mark.skipif(NOW - timedelta(days=2) < BEGINNING, reason="the year has hardly begun")
# Not shrunk: each try is seconds of appends, and ten steps are read easily.
@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=1, max_size=10), limit=st.sampled_from(["0.5", "2", "5"]))
def test_each_breach_is_where_a_plain_sum_finds_it(
    ledger: Ledger, spender: Spender, steps: list[tuple[Any, ...]], limit: str
) -> None:
    customer = ledger.people.customers.create(str(uuid.uuid4())).id
    budget = ledger.budgets.set(customer_id=customer, period="year", limit_usd=limit, thresholds=[50, 100, 200])
    executions: list[UUID] = []
    found: list[tuple[str, int, Decimal]] = []
    for step in [*steps, ("judge",)]:
        match step:
            case ("use", hours, costs):
                at = max(BEGINNING, NOW - timedelta(hours=hours))
                executions.append(spender.use(at, *costs, customer_id=customer))
            case ("correct", nth, new) if executions:
                spender.correct(executions[nth % len(executions)], 0, new)
            case ("judge",):
                found += [(b.usage.event_id, b.threshold, Decimal(b.total)) for b in ledger.judge_budgets().breaches]
            case _:
                pass
    assert found == summed(ledger, customer, Decimal(limit), [50, 100, 200])
    rows = ledger.connection.execute(
        "SELECT budget_period, threshold_percent, total_usd FROM workflow_events"
        " WHERE budget_id = %s ORDER BY sequence",
        (budget.id,),
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [(THIS_YEAR, threshold, total) for _, threshold, total in found]
    ledger.budgets.remove(budget.id)
