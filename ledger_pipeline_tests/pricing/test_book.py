"""The price book: which price answers at a time, as known at a time."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import Cost, Usage, cost
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.prices import ADMIN, ANY, EARLIEST, STANDARD, BookedPrice, PriceKey
from ledger_pipeline.pricing.sources.source import NameRule, RuleKind

MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))
RULES = [NameRule(RuleKind.MODEL, {"equals": "m"}, "acme", "m")]


def row(
    rate: str | None,
    valid_from: datetime = EARLIEST,
    kind: str = "input",
    *,
    source: str = "list",
    above: int = 0,
    tier: str = STANDARD,
    region: str = ANY,
    window: str = ANY,
    model: str = "m",
) -> BookedPrice:
    key = PriceKey("acme", model, tier, region, above, window, kind)
    return BookedPrice(uuid4(), key, valid_from, None if rate is None else Decimal(rate), source)


def book(*rows: BookedPrice, ranks: dict[str, int] | None = None) -> PriceBook:
    return PriceBook(rows, {"list": RULES}, ranks or {"list": 0})


def million(
    prices: PriceBook,
    time: datetime = JUNE,
    *,
    tier: str | None = None,
    region: str | None = None,
    model: str = "m",
    **tokens: int,
) -> Cost:
    counts = tokens or {"input": 10**6}
    usage = tuple(counts.get(kind, 0) for kind in USAGE_KINDS)
    return cost(prices, Usage("acme", model, time, usage, service_tier=tier, region=region))


def test_the_greatest_valid_from_at_or_before_the_call_answers() -> None:
    prices = book(row("1"), row("2", JUNE), row("3", JULY))
    assert [million(prices, time).total_usd for time in (MAY, JUNE, JULY)] == [1, 2, 3]


def test_before_the_first_price_a_call_is_unpriced() -> None:
    assert million(book(row("2", JUNE)), MAY).reason is UnpricedReason.NO_PRICE


def test_a_price_that_ends_leaves_its_kind_to_the_fallback() -> None:
    prices = book(row("10"), row("1", kind="cache_read"), row(None, JUNE, "cache_read"))
    assert [million(prices, time, cache_read=10**6).total_usd for time in (MAY, JUNE)] == [1, 10]


def test_an_hour_s_cache_write_costs_what_five_minutes_cost_before_it_costs_input() -> None:
    plain = book(row("1"))
    with_write = book(row("1"), row("2", kind="cache_write_5m"))
    with_both = book(row("1"), row("2", kind="cache_write_5m"), row("3", kind="cache_write_1h"))
    costs = [million(prices, cache_write_1h=10**6).total_usd for prices in (plain, with_write, with_both)]
    assert costs == [1, 2, 3]


def test_a_context_tier_applies_to_the_whole_request_above_its_threshold_only() -> None:
    prices = book(row("1"), row("2", above=200_000))
    at, above = (million(prices, input=tokens) for tokens in (200_000, 200_001))
    assert (at.total_usd, at.context_tier) == (Decimal("0.2"), 0)
    assert (above.total_usd, above.context_tier) == (Decimal("0.400002"), 200_000)


def test_cached_and_audio_input_count_towards_a_context_tier_and_output_does_not() -> None:
    prices = book(row("1"), row("2", above=100), row("5", kind="output"))
    assert million(prices, input=1, cache_read=50, input_audio=50).context_tier == 100
    assert million(prices, input=1, output=10_000).context_tier == 0


def test_a_service_tier_overrides_kind_by_kind_and_is_unpriced_where_it_has_no_price() -> None:
    prices = book(row("10"), row("4", kind="output"), row("5", JUNE, tier="batch"))
    assert million(prices, tier="batch", input=10**6, output=10**6).total_usd == 9
    assert million(prices, MAY, tier="batch").reason is UnpricedReason.NO_SERVICE_TIER
    assert million(prices, tier="flex").reason is UnpricedReason.NO_SERVICE_TIER


def test_a_region_without_a_price_of_its_own_pays_that_of_any() -> None:
    prices = book(row("10"), row("11", region="eu"))
    assert [million(prices, region=region).total_usd for region in (None, "us", "EU")] == [10, 10, 11]


def test_a_daily_window_may_pass_midnight() -> None:
    prices = book(row("10"), row("5", window="22:00-02:00"))
    hours = {hour: million(prices, JUNE.replace(hour=hour)).total_usd for hour in (21, 22, 1, 2)}
    assert hours == {21: 10, 22: 5, 1: 5, 2: 10}


def test_an_admin_price_wins_over_every_later_catalogue_price_until_it_ends() -> None:
    prices = book(row("1"), row("2", JULY), row("9", MAY, source=ADMIN), row(None, JULY.replace(day=5), source=ADMIN))
    dates = (datetime(2026, 4, 1, tzinfo=UTC), MAY, JULY, JULY.replace(day=5))
    assert [million(prices, time).total_usd for time in dates] == [1, 9, 9, 2]


def test_an_admin_may_price_a_model_that_no_catalogue_knows() -> None:
    prices = book(row("3", source=ADMIN, model="in-house"))
    assert million(prices, model="in-house").total_usd == 3
    assert prices.resolve(None, "in-house").provider == "acme"


def test_the_best_ranked_source_that_lists_a_model_prices_all_of_it() -> None:
    rows = (row("1", source="second"), row("7", source="second", kind="cache_read"), row("2"))
    for ranks, expected in (({"list": 0, "second": 1}, 2), ({"list": 1, "second": 0}, 7)):
        assert million(book(*rows, ranks=ranks), cache_read=10**6).total_usd == expected


def test_a_used_bucket_without_any_price_makes_the_whole_call_unpriced() -> None:
    found = million(book(row("1")), input=5, output=5)
    assert found.reason is UnpricedReason.NO_KIND
    assert found.estimate_usd == Decimal("0.10")
    assert found.components == ()


def test_a_price_per_request_is_a_component_of_its_own() -> None:
    found = million(book(row("1"), row("5000", kind="requests")))
    assert [(c.usage_kind, c.cost_usd) for c in found.components] == [("input", 1), ("requests", Decimal("0.005"))]
