"""Components sum to totals and totals to every mart, exactly: all kinds of usage, tiers and boundary values."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.events import Event, TokensUpdated, WorkflowCreated
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.conftest import NOW
from ledger_pipeline_tests.marts.in_memory import InMemorySource, stored

MODELS = ("claude-sonnet-4-5", "gpt-4o", "gemini/gemini-2.5-pro", "gpt-4o-mini", "deepseek-chat", "nobody-s-model")
TIERS = (None, None, None, "batch", "priority", "flex")
NEAR = (0, 0, 0, 1, 7, 127_999, 128_000, 128_001, 199_999, 200_000, 200_001, 10**9, 10**12)
CALLS = 600


def calls(book: PriceBook) -> list[TokensUpdated]:
    random = Random(11)
    return [
        price(
            book,
            TokensUpdated(
                execution_id=UUID(int=nth // 50 + 1),
                occurred_at=datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=nth),
                model_call_id=str(nth),
                model=random.choice(MODELS),
                service_tier=random.choice(TIERS),
                **{f"{kind}_tokens": random.choice(NEAR) for kind in USAGE_KINDS},
            ),
        )
        for nth in range(CALLS)
    ]


@pytest.mark.mission("A12")
@pytest.mark.mission("C1")
def test_components_sum_to_totals_and_totals_to_the_marts(book: PriceBook, settings: Settings) -> None:
    usage = calls(book)
    costs = [event.cost_usd for event in usage if event.cost_usd is not None]
    assert 200 < len(costs) < CALLS
    assert {kind for event in usage for kind in USAGE_KINDS if getattr(event, f"{kind}_cost_usd")} == {*USAGE_KINDS}
    for event in usage:
        parts = [getattr(event, f"{kind}_cost_usd") for kind in (*USAGE_KINDS, "requests")]
        if event.cost_usd is not None:
            assert event.cost_usd == sum((part for part in parts if part is not None), Decimal(0))
    begun: list[Event] = [
        WorkflowCreated(execution_id=UUID(int=nth + 1), occurred_at=usage[0].occurred_at, workflow_name="w")
        for nth in range(CALLS // 50)
    ]
    source = InMemorySource()
    source.add(stored([*begun, *usage]))
    total = sum(costs, Decimal(0))
    estimated = sum((event.estimated_cost_usd or Decimal(0) for event in usage), Decimal(0))
    with reading(build_from(source, settings, NOW).path) as marts:
        for mart in ("model_usage", "cost_daily", "cost_by_execution", "cost_by_mode", "billing_records"):
            sums = marts.execute(f"SELECT sum(cost_usd), sum(estimated_cost_usd) FROM marts.{mart}").fetchall()
            assert sums == [(total, estimated)], mart
