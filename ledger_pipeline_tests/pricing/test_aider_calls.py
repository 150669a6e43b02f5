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
from ledger_pipeline.pricing.prices import ANY, EARLIEST, STANDARD, Price
from ledger_pipeline.pricing.sources.genai import GenaiPrices

AGREES_WITHIN = 1e-9
"""Aider records binary floats; a real difference of prices is many times larger."""
A_NANO_USD = Decimal("0.001")
"""The same, times a million, as tokens times USD per million are."""


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


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], list[Price]]:
    """The rows of the price book by kind of usage and model, of requests without a variant."""
    found: dict[tuple[str, str], list[Price]] = {}
    for price_row in GenaiPrices().read(datetime(2026, 11, 1, tzinfo=UTC)).prices:
        key = price_row.key
        if (key.service_tier, key.region) == (STANDARD, ANY):
            found.setdefault((f"{key.provider}/{key.model}", key.usage_kind), []).append(price_row)
    return found


def rate_by_hand(rows: list[Price], time: datetime, input_tokens: int) -> Decimal:
    """The rate of a request, looked up row by row: without the book, its cards and its costing."""
    minute = f"{time:%H:%M}"

    def covers(window: str) -> bool:
        start, end = window.split("-")
        return start <= minute < end if start <= end else minute >= start or minute < end

    current: dict[tuple[str, int], Decimal | None] = {}
    for row in sorted(rows, key=lambda row: row.valid_from or EARLIEST):
        if (row.valid_from or EARLIEST) <= time:
            current[row.key.daily_window, row.key.context_tier] = row.usd_per_million
    windows = [window for window, _ in current if window != ANY and covers(window)]
    window = windows[0] if windows else ANY
    tier = max(tier for name, tier in current if name == window and (tier == 0 or input_tokens > tier))
    rate = current[window, tier]
    assert rate is not None
    return rate


@pytest.mark.mission("A12")
def test_each_cost_is_what_the_rows_of_the_price_book_give_by_hand(
    calls: list[tuple[TokensUpdated, float]], rows: dict[tuple[str, str], list[Price]]
) -> None:
    priced = [event for event, _ in calls if event.cost_usd is not None]
    assert len(priced) == 4_019
    for event in priced:
        assert event.priced_model is not None
        by_hand = Decimal(0)
        for kind, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
            if tokens:
                rate = rate_by_hand(rows[event.priced_model, kind], event.occurred_at, event.input_tokens)
                by_hand += (tokens * rate / 10**6).quantize(Decimal("1e-12"), ROUND_HALF_UP)
        assert event.cost_usd == by_hand, event


PRICED_THEN: dict[str, tuple[tuple[str, str], ...]] = {
    "bedrock/us.anthropic.claude-3-5-haiku-20241022-v1:0": (("1", "5"),),
    "claude-3-5-haiku-20241022": (("1", "5"),),
    "deepseek/deepseek-chat": (("0.14", "0.28"), ("0.27", "1.1")),
    "deepseek/deepseek-reasoner": (("0.55", "2.19"),),
    "gemini/gemini-1.5-pro": (("3.5", "10.5"),),
    "gemini/gemini-1.5-pro-001": (("3.5", "10.5"),),
    "gemini/gemini-1.5-pro-002": (("3.5", "10.5"),),
    "gemini/gemini-1.5-pro-latest": (("3.5", "1.05"),),
    "gemini/gemini-pro": (("0.35", "1.05"),),
    "mistral/codestral-latest": (("1", "3"),),
    "openrouter/deepseek/deepseek-chat": (("0.14", "0.28"),),
    "openrouter/deepseek/deepseek-r1": (("0.55", "2.19"),),
    "openrouter/mistralai/mistral-large": (("8", "24"),),
    "openrouter/moonshotai/kimi-k2": (("0.057", "0.23"),),
    "openrouter/qwen/qwen-2.5-coder-32b-instruct": (("0.18", "0.18"),),
}
"""USD per million of input and output that Aider's own price list had when it recorded the call, where that was
another: the price changed, or its list lacks the hours in which DeepSeek costs half."""
STOOD_FOR: dict[str, tuple[str, str]] = {"openrouter/openai/gpt-4o": ("openai", "gpt-4o-2024-05-13")}
"""A name without a date, and the model that Aider's list took it for."""


def cause(book: PriceBook, event: TokensUpdated, recorded: float) -> str | None:
    """Why Aider recorded another cost than the book's; None when no cause that we know explains it."""
    assert event.cost_usd is not None
    if not recorded:
        return "recorded $0"
    million = Decimal(recorded) * 10**6
    if recorded > 1000 * float(event.cost_usd):
        return "outlier"
    if event.model in STOOD_FOR:
        provider, model = STOOD_FOR[event.model]
        meant = price(book, _renamed(event, provider, model))
        if meant.cost_usd is not None and abs(float(meant.cost_usd) - recorded) < AGREES_WITHIN:
            return "alias"
    now = {entry["usage_kind"]: Decimal(entry["usd_per_million"]) for entry in event.prices}
    own = (now.get("input", Decimal(0)), now.get("output", Decimal(0)))
    lists = (*(tuple(map(Decimal, pair)) for pair in PRICED_THEN.get(event.model, ())), own)
    sums = [(event.input_tokens * then[0], event.output_tokens * then[1]) for then in lists]
    if any(abs(input_usd + output_usd - million) < A_NANO_USD for input_usd, output_usd in sums):
        return "price changed since"
    # Reads cost at least a tenth of the input's price; at most everything was written, a quarter dearer.
    for input_usd, output_usd in sums:
        if input_usd / 10 + output_usd <= million + A_NANO_USD <= input_usd * Decimal("1.26") + output_usd:
            return "cache use not recorded"
    return None


def _renamed(event: TokensUpdated, provider: str, model: str) -> TokensUpdated:
    return TokensUpdated(
        occurred_at=event.occurred_at,
        model_call_id=event.model_call_id,
        provider=provider,
        model=model,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
    )


@pytest.mark.mission("A12")
def test_costs_agree_with_what_aider_recorded_or_differ_for_a_cause_that_has_a_name(
    calls: list[tuple[TokensUpdated, float]], book: PriceBook
) -> None:
    verdicts: Counter[str] = Counter()
    for event, recorded in calls:
        if event.cost_usd is None:
            verdicts["unpriced"] += 1
        elif recorded and abs(float(event.cost_usd) - recorded) < AGREES_WITHIN:
            verdicts["exact"] += 1
        else:
            verdicts[cause(book, event, recorded) or f"unexplained: {event.model} {recorded}"] += 1
    # The table of docs/prices.md.
    assert verdicts == {
        "exact": 3_465,
        "price changed since": 505,
        "cache use not recorded": 40,
        "alias": 5,
        "outlier": 1,
        "recorded $0": 3,
        "unpriced": 1_544,
    }


def test_the_free_experimental_model_is_never_billed_as_the_paid_one(calls: list[tuple[TokensUpdated, float]]) -> None:
    experimental = [event for event, _ in calls if "-exp" in event.model and not event.model.endswith(":free")]
    assert len(experimental) > 750
    assert {event.pricing_status for event in experimental} == {"unpriced"}
