"""Many calls as one set cost what each costs alone: every kind, tier, region, hour and boundary."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.pricing.book import PriceBook, book_of
from ledger_pipeline.pricing.costing import Usage, cost
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.prices import ADMIN, ANY, EARLIEST, STANDARD, BookedPrice, PriceKey
from ledger_pipeline.pricing.set_costing import COST_COLUMNS, COUNTS, VARIANT, cost_calls
from ledger_pipeline.pricing.sources.genai import GenaiPrices
from ledger_pipeline.pricing.sources.source import NameRule, RuleKind

pytestmark = [pytest.mark.mission("A12"), pytest.mark.mission("A13")]

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
EMBEDDED = book_of(GenaiPrices().read(START))
KINDS = (*COUNTS,)


def table(calls: list[Usage]) -> pa.Table:
    rows = [
        {
            "provider": call.provider,
            "model": call.model,
            "service_tier": call.service_tier,
            "region": call.region,
            "occurred_at": call.time,
            "requests": call.requests,
            **{f"{kind}_tokens": count for kind, count in zip(USAGE_KINDS, call.tokens, strict=True)},
        }
        for call in calls
    ]
    types = {name: pa.string() for name in VARIANT} | {"occurred_at": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, types.get(name, pa.int64())) for name in (*types, *COUNTS.values())])
    return pa.Table.from_pylist(rows, schema)


def same(book: PriceBook, calls: list[Usage]) -> None:
    for call, row in zip(calls, cost_calls(book, table(calls)).to_pylist(), strict=True):
        alone = cost(book, call)
        assert row["unpriced_reason"] == (alone.reason and alone.reason.value), call
        expected: dict[str, Any] = {
            "provider": alone.provider,
            "priced_model": alone.model,
            "context_tier": None if alone.reason else alone.context_tier,
            "cost_usd": alone.total_usd,
            "estimated_cost_usd": alone.estimate_usd,
            **dict.fromkeys(COST_COLUMNS.values()),
            **{COST_COLUMNS[part.usage_kind]: part.cost_usd for part in alone.components},
        }
        assert {name: row[name] for name in expected} == expected, call


near = st.sampled_from([0, 1, 99, 100, 101, 127_999, 128_000, 128_001, 199_999, 200_000, 200_001, 272_001, 10**12])
counts = near | st.integers(0, 400_000)
rates = st.decimals(0, 10**9, places=12) | st.sampled_from([Decimal(0), Decimal("0.000000000001"), Decimal(10) ** 9])
instants = st.builds(
    lambda hours, microseconds: START + timedelta(hours=hours, microseconds=microseconds),
    st.integers(-72, 72),
    st.sampled_from([-1, 0, 1, 123_456_789]),
)


@st.composite
def books(draw: st.DrawFn) -> PriceBook:
    """A small book of one model whose every variant may have prices, set by a list and by hand, with ends."""
    keys = st.builds(
        PriceKey,
        st.just("acme"),
        st.just("m"),
        st.sampled_from([STANDARD, "batch"]),
        st.sampled_from([ANY, "eu"]),
        st.sampled_from([0, 100, 200_000]),
        st.sampled_from([ANY, "22:00-02:00", "01:00-12:00"]),
        st.sampled_from([*KINDS, "input", "output"]),
    )
    starts = st.sampled_from([EARLIEST, START - timedelta(hours=30), START, START + timedelta(hours=30)])
    rows = draw(st.lists(st.tuples(st.sampled_from(["list", ADMIN]), keys, starts, st.none() | rates), max_size=25))
    unique = {(source, key, start): rate for source, key, start, rate in rows}
    unique |= {("list", PriceKey("acme", "m", STANDARD, ANY, 0, ANY, "input"), EARLIEST): Decimal(3)}
    prices = [BookedPrice(uuid4(), key, start, rate, source) for (source, key, start), rate in unique.items()]
    return PriceBook(prices, {"list": [NameRule(RuleKind.MODEL, {"equals": "m"}, "acme", "m")]}, {"list": 0})


def usages(models: list[tuple[str | None, str]], times: st.SearchStrategy[datetime]) -> st.SearchStrategy[Usage]:
    return st.builds(
        lambda named, time, tokens, requests, tier, region: Usage(*named, time, tokens, requests, tier, region),
        st.sampled_from(models),
        times,
        st.tuples(*(st.just(0) | counts for _ in USAGE_KINDS)),
        st.sampled_from([0, 1, 3]),
        st.sampled_from([None, "standard", "default", "batch", "flex", "priority"]),
        st.sampled_from([None, "eu", "EU", "us"]),
    )


@settings(deadline=None)
@given(books(), st.lists(usages([("acme", "m"), (None, "m"), ("acme", "other")], instants), max_size=8))
def test_of_any_book_a_set_costs_what_its_calls_cost_alone(book: PriceBook, calls: list[Usage]) -> None:
    same(book, calls)


EMBEDDED_NAMES: list[tuple[str | None, str]] = [
    (None, name)
    for name in ("claude-sonnet-4-5", "gpt-4o", "gpt-5", "gemini/gemini-2.5-pro", "deepseek-chat", "xai/grok-4")
] + [("azure", "gpt-4o"), ("aws", "anthropic.claude-3-5-sonnet-20241022-v2:0"), (None, "gemini-2.5-pro-exp-03-25")]
years = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@settings(deadline=None)
@given(st.lists(usages([*EMBEDDED_NAMES, (None, "REDACTED")], years), max_size=30))
def test_of_the_embedded_catalogue_a_set_costs_what_its_calls_cost_alone(calls: list[Usage]) -> None:
    same(EMBEDDED, calls)


def test_a_cost_that_the_ledger_cannot_hold_is_out_of_range_in_both() -> None:
    price = BookedPrice(uuid4(), PriceKey("acme", "m", STANDARD, ANY, 0, ANY, "input"), EARLIEST, Decimal(10) ** 9, "l")
    book = PriceBook([price], {"l": [NameRule(RuleKind.MODEL, {"equals": "m"}, "acme", "m")]}, {"l": 0})
    calls = [Usage("acme", "m", START, (count, *[0] * (len(USAGE_KINDS) - 1))) for count in (10**9, 10**9 + 1)]
    same(book, calls)
    assert [cost(book, call).reason for call in calls] == [None, UnpricedReason.OUT_OF_RANGE]


def test_no_calls_have_no_costs() -> None:
    assert len(cost_calls(EMBEDDED, table([]))) == 0
