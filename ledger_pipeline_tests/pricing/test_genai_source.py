"""The embedded catalogue, against the package that it comes from."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.pricing.book import PriceBook, book_of
from ledger_pipeline.pricing.costing import Usage, cost
from ledger_pipeline.pricing.prices import EARLIEST, INPUT_KINDS, STANDARD
from ledger_pipeline.pricing.sources.genai import GenaiPrices
from ledger_pipeline.pricing.sources.genai_timeline import LABELS

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BOOK = book_of(GenaiPrices().read(NOW))
MODELS = [(provider, model) for provider in providers for model in provider.models]
CONTEXTS: dict[str, dict[str, str]] = {
    STANDARD: {},
    "batch": {"processing": "batch"},
    "priority": {"service_tier": "priority"},
    "flex": {"service_tier": "flex"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
# Around the thresholds of context tiers, besides anything.
counts = st.one_of(
    st.just(0), st.integers(0, 2_000_000), st.sampled_from([100_000, 128_000, 200_000, 200_001, 272_000])
)
times = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def genai_usage(tokens: dict[str, int]) -> GenaiUsage:
    """Our disjoint buckets as the package's nested ones."""
    t = tokens
    return GenaiUsage(
        input_tokens=sum(t[kind] for kind in INPUT_KINDS),
        cache_read_tokens=t["cache_read"] + t["cache_audio_read"],
        cache_write_tokens=t["cache_write_5m"] + t["cache_write_1h"],
        cache_write_5m_tokens=t["cache_write_5m"],
        cache_write_1h_tokens=t["cache_write_1h"],
        input_audio_tokens=t["input_audio"] + t["cache_audio_read"],
        cache_audio_read_tokens=t["cache_audio_read"],
        input_image_tokens=t["input_image"],
        cache_image_read_tokens=0,
        output_tokens=t["output"] + t["reasoning"] + t["output_audio"] + t["output_image"],
        output_reasoning_tokens=t["reasoning"],
        output_audio_tokens=t["output_audio"],
        output_image_tokens=t["output_image"],
    )


@given(
    st.sampled_from(MODELS),
    st.fixed_dictionaries(dict.fromkeys(USAGE_KINDS, counts)),
    times,
    st.sampled_from(sorted(CONTEXTS)),
)
@settings(max_examples=600, deadline=None)
def test_a_cost_equals_the_package_s_up_to_the_rounding_of_each_component(
    of: tuple[Provider, ModelInfo], tokens: dict[str, int], time: datetime, tier: str
) -> None:
    provider, model = of
    ours = cost(
        BOOK, Usage(provider.id, model.id, time, tuple(tokens[kind] for kind in USAGE_KINDS), service_tier=tier)
    )
    if ours.total_usd is None or ours.model != f"{provider.id}/{model.id}":
        return
    theirs = model.calc_price(
        genai_usage(tokens), provider, genai_request_timestamp=time, price_context=CONTEXTS[tier] or None
    )
    assert abs(ours.total_usd - theirs.total_price) < Decimal("1e-11")


@pytest.mark.parametrize("model_name", ["deepseek-chat", "deepseek-v4-flash"])
def test_a_daily_window_s_start_is_inside_and_its_end_outside(model_name: str) -> None:
    provider, model = next(one for one in MODELS if one[0].id == "deepseek" and one[1].id == model_name)
    usage = tuple(10**6 if kind == "input" else 0 for kind in USAGE_KINDS)
    midnight = datetime(2026, 10, 1, tzinfo=UTC)
    for minutes in (0, 29, 30, 59, 60, 239, 240, 359, 360, 599, 600, 989, 990, 1439):
        time = midnight + timedelta(minutes=minutes)
        theirs = model.calc_price(GenaiUsage(input_tokens=10**6), provider, genai_request_timestamp=time)
        assert cost(BOOK, Usage("deepseek", model_name, time, usage)).total_usd == theirs.total_price, minutes


def test_a_model_s_first_price_holds_from_its_beginning() -> None:
    catalogue = GenaiPrices().read(NOW)
    standard = {}
    for price in catalogue.prices:
        if price.key.service_tier == STANDARD and price.key.usage_kind == "input" and price.key.context_tier == 0:
            first = standard.get(price.key)
            standard[price.key] = min(first or price.valid_from, price.valid_from)
    assert set(standard.values()) == {EARLIEST}


def test_prices_have_at_most_twelve_decimals() -> None:
    for price in GenaiPrices().read(NOW).prices:
        if price.usd_per_million is not None:
            exponent = price.usd_per_million.as_tuple().exponent
            assert isinstance(exponent, int)
            assert exponent >= -12


def test_every_variant_of_the_installed_catalogue_is_mapped() -> None:
    conditions = {tuple(v.when.items()) for _, model in MODELS for v in model.price_variants or ()}
    assert {condition[0] for condition in conditions} <= LABELS.keys()
    assert all(len(condition) == 1 for condition in conditions)


def test_a_model_without_any_price_is_free_only_when_its_name_says_so(book: PriceBook) -> None:
    one_token = tuple(1 if kind in ("input", "output") else 0 for kind in USAGE_KINDS)
    free = cost(book, Usage("openrouter", "deepseek/deepseek-r1:free", NOW, one_token))
    unpriced = cost(book, Usage("github-copilot", "gpt-4o", NOW, one_token))
    assert free.total_usd == 0
    assert unpriced.total_usd is None
    assert unpriced.estimate_usd == Decimal("0.02")


def test_reading_the_catalogue_leaves_the_package_s_updater_alone() -> None:
    GenaiPrices().read(NOW)
    from genai_prices import data_snapshot

    assert data_snapshot._custom_snapshot is None


def test_the_content_hash_is_the_same_for_the_same_content() -> None:
    assert GenaiPrices().read(NOW).content_hash == GenaiPrices().read(NOW + timedelta(days=1)).content_hash
