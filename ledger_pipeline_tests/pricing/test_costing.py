"""Costing: components, totals, and what an unpriced call carries."""

import logging
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_pipeline.events.catalogue import USAGE_KINDS, TokensUpdated
from ledger_pipeline.pricing.book import PriceBook, book_of
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.pricing.sources.genai import GenaiPrices

TIME = datetime(2026, 11, 1, tzinfo=UTC)
BOOK = book_of(GenaiPrices().read(TIME))
MODELS = ("claude-sonnet-4-5", "gpt-4o", "gemini/gemini-2.5-pro", "deepseek-chat", "gpt-4o-mini", "xai/grok-4")
EXACT = Context(prec=100)
buckets = st.fixed_dictionaries({}, optional={f"{kind}_tokens": st.integers(0, 10**12) for kind in USAGE_KINDS})


def usage(model: str, **fields: object) -> TokensUpdated:
    return TokensUpdated.model_validate({"occurred_at": TIME, "model_call_id": "call-1", "model": model, **fields})


@given(
    st.sampled_from(MODELS),
    st.fixed_dictionaries({}, optional={f"{k}_tokens": st.integers(0, 10**12) for k in USAGE_KINDS}),
)
def test_components_sum_to_the_total_and_each_is_tokens_times_rate_rounded_half_up(
    model: str, tokens: dict[str, int]
) -> None:
    priced = price(BOOK, usage(model, **tokens))
    assert priced.pricing_status == "priced"
    components = {kind: getattr(priced, f"{kind}_cost_usd") for kind in USAGE_KINDS}
    assert priced.cost_usd == sum(value for value in components.values() if value is not None)
    rates = {entry["usage_kind"]: entry for entry in priced.prices}
    for kind, component in components.items():
        count = tokens.get(f"{kind}_tokens", 0)
        if not count:
            assert component is None
            assert kind not in rates
            continue
        exact = EXACT.multiply(Decimal(count), Decimal(rates[kind]["usd_per_million"])).scaleb(-6, EXACT)
        assert component == exact.quantize(Decimal("1e-12"), ROUND_HALF_UP, EXACT)
        assert rates[kind]["tokens"] == count


@given(buckets)
def test_a_priced_event_is_one_that_the_catalogue_of_events_accepts(tokens: dict[str, int]) -> None:
    row = price(BOOK, usage("gpt-4o", **tokens)).to_row()
    assert TokensUpdated.from_row(row).to_row() == row


def test_a_priced_event_names_provider_model_tier_and_price_versions(book: PriceBook) -> None:
    priced = price(
        book, usage("claude-sonnet-4-5", input_tokens=250_000, cache_read_tokens=50_000, output_tokens=1_000)
    )
    assert (priced.provider, priced.priced_model) == ("anthropic", "anthropic/claude-sonnet-4-5")
    assert priced.context_tier == "200000"
    assert priced.cost_usd == Decimal("1.5525")
    assert priced.estimated_cost_usd is None
    assert [(p["usage_kind"], p["usd_per_million"]) for p in priced.prices] == [
        ("input", "6"),
        ("cache_read", "0.6"),
        ("output", "22.5"),
    ]
    assert all(p["price_id"] for p in priced.prices)


def test_a_bucket_priced_as_another_says_so(book: PriceBook) -> None:
    priced = price(book, usage("gpt-4o", reasoning_tokens=10, cache_write_1h_tokens=10))
    assert {p["usage_kind"]: p["priced_as"] for p in priced.prices} == {
        "cache_write_1h": "input",
        "reasoning": "output",
    }


def test_a_client_s_provider_is_kept_as_given(book: PriceBook) -> None:
    priced = price(book, usage("gpt-4o", provider="azure.ai.openai", input_tokens=1))
    assert (priced.provider, priced.priced_model) == ("azure.ai.openai", "openai/gpt-4o")


@pytest.mark.mission("A13")
def test_an_unknown_model_has_no_cost_but_an_estimate_and_a_reason(book: PriceBook) -> None:
    found = price(book, usage("nobody-s-model", input_tokens=100, cache_read_tokens=20, reasoning_tokens=3))
    assert found.pricing_status == "unpriced"
    assert found.cost_usd is None
    assert found.estimated_cost_usd == Decimal("1.23")
    assert found.unpriced_reason == "unknown model"
    assert found.prices == ()


@pytest.mark.mission("A13")
def test_an_unpriced_model_is_warned_about_once_per_book(caplog: pytest.LogCaptureFixture) -> None:
    book = book_of(GenaiPrices().read(TIME))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            price(book, usage("nobody-s-model", input_tokens=1))
            price(book, usage("openrouter/REDACTED", input_tokens=1))
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [
        "nobody-s-model",
        "openrouter/REDACTED",
    ]


def test_a_recorded_cost_is_kept_beside_and_never_used(book: PriceBook) -> None:
    found = price(book, usage("nobody-s-model", input_tokens=1, recorded_cost_usd="9990.01"))
    assert found.cost_usd is None
    assert found.recorded_cost_usd == Decimal("9990.01")


def test_an_event_that_has_a_pricing_status_is_returned_as_it_is(book: PriceBook) -> None:
    event = usage("gpt-4o", input_tokens=10, pricing_status="unpriced", unpriced_reason="said the client")
    assert price(book, event) is event


def test_a_call_without_tokens_costs_nothing_and_is_priced(book: PriceBook) -> None:
    found = price(book, usage("gpt-4o"))
    assert (found.pricing_status, found.cost_usd, found.prices) == ("priced", 0, ())
