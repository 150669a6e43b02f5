"""The real calls of Aider's analytics log: each one priced or listed with a reason."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger_pipeline.events.catalogue import TokensUpdated
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.pricing.names import UnpricedReason

AGREES_WITHIN = 1e-9
"""Aider records binary floats; a real difference of prices is many times larger."""


@pytest.fixture(scope="module")
def calls(test_data: Path, book: PriceBook) -> list[tuple[TokensUpdated, float]]:
    """Every model call, priced, beside the cost that Aider recorded."""
    log = test_data / "aider" / "aider-analytics-union.jsonl.gz"
    with gzip.open(log, "rt", encoding="utf-8") as lines:
        sends = [record for record in map(json.loads, lines) if record["event"] == "message_send"]
    return [(price(book, _usage(number, record)), record["properties"]["cost"]) for number, record in enumerate(sends)]


def _usage(number: int, record: dict[str, Any]) -> TokensUpdated:
    properties = record["properties"]
    return TokensUpdated(
        occurred_at=datetime.fromtimestamp(record["time"], UTC),
        model_call_id=str(number),
        model=properties["main_model"] or "unknown",
        input_tokens=properties["prompt_tokens"],
        output_tokens=properties["completion_tokens"],
    )


def test_each_call_is_priced_or_unpriced_with_a_reason(calls: list[tuple[TokensUpdated, float]]) -> None:
    assert len(calls) == 5_563
    for event, _ in calls:
        if event.pricing_status == "priced":
            assert event.cost_usd is not None
            assert event.estimated_cost_usd is None
        else:
            assert event.cost_usd is None
            assert event.unpriced_reason in set(UnpricedReason)
            assert event.estimated_cost_usd == Decimal("0.01") * (event.input_tokens + event.output_tokens)


def test_each_cost_is_tokens_times_the_prices_that_it_names(calls: list[tuple[TokensUpdated, float]]) -> None:
    for event, _ in calls:
        parts = [
            (Decimal(part["tokens"]) * Decimal(part["usd_per_million"]) / 10**6).quantize(
                Decimal("1e-12"), ROUND_HALF_UP
            )
            for part in event.prices
        ]
        if event.cost_usd is not None:
            assert event.cost_usd == sum(parts)


def test_costs_agree_with_what_aider_recorded(calls: list[tuple[TokensUpdated, float]]) -> None:
    verdicts = Counter(
        "unpriced"
        if event.cost_usd is None
        else "nothing recorded"
        if not recorded
        else "exact"
        if abs(float(event.cost_usd) - recorded) < AGREES_WITHIN
        else "different"
        for event, recorded in calls
    )
    assert verdicts["exact"] >= 3_465, verdicts


def test_the_free_experimental_model_is_never_billed_as_the_paid_one(calls: list[tuple[TokensUpdated, float]]) -> None:
    experimental = [event for event, _ in calls if "-exp" in event.model and not event.model.endswith(":free")]
    assert len(experimental) > 750
    assert {event.pricing_status for event in experimental} == {"unpriced"}
