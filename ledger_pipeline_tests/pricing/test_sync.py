"""The pricing sync on a real database: what it books, and what each instant of knowledge then answers."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ledger_pipeline.errors import InvalidInput, LedgerError
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.catalogue import load_embedded
from ledger_pipeline.pricing.costing import Usage, cost
from ledger_pipeline.pricing.explain import explain, usage_tokens
from ledger_pipeline.pricing.listing import list_prices
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.prices import ANY, EARLIEST, STANDARD, Price, PriceKey
from ledger_pipeline.pricing.sources import configured_sources
from ledger_pipeline.pricing.sources.genai import GenaiPrices
from ledger_pipeline.pricing.sources.source import NameRule, PriceCatalogue, RuleKind
from ledger_pipeline.pricing.sync import SyncResult, book_catalogue, sync

JANUARY, MARCH, MAY, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3, 5, 7))


def input_price(
    rate: str | None, valid_from: datetime | None = EARLIEST, model: str = "m", kind: str = "input"
) -> Price:
    key = PriceKey("acme", model, STANDARD, ANY, 0, ANY, kind)
    return Price(key, valid_from, None if rate is None else Decimal(rate))


@dataclass
class ListOfPrices:
    """A price source that says what a test makes it say."""

    prices: tuple[Price, ...] = ()
    name: str = "acme-list"
    dated: bool = True
    error: str | None = None

    def read(self, now: datetime) -> PriceCatalogue:
        del now
        if self.error:
            raise LedgerError(self.error)
        models = dict.fromkeys(price.key.model for price in self.prices)
        rules = tuple(NameRule(RuleKind.MODEL, {"equals": model}, "acme", model) for model in models)
        return PriceCatalogue(self.name, "1", self.dated, self.prices, rules)


def read(connection: Connection, now: datetime, *prices: Price, **options: object) -> SyncResult:
    return sync(connection, [replace(ListOfPrices(prices), **options)], now)


def cost_at(
    connection: Connection, at: datetime, known_at: datetime | None = None, model: str = "m"
) -> Decimal | UnpricedReason | None:
    """The cost of a million input tokens, or the reason why there is none."""
    tokens = tuple(10**6 if kind == "input" else 0 for kind in USAGE_KINDS)
    found = cost(load_book(connection, known_at), Usage("acme", model, at, tokens))
    return found.reason or found.total_usd


@pytest.mark.mission("A12")
def test_the_embedded_catalogue_loads_once_and_prices_the_known_cases(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    before = connection.execute("SELECT count(*) AS n FROM model_pricing").fetchone()
    again = load_embedded(connection, MAY)
    assert again.status == "unchanged"
    assert connection.execute("SELECT count(*) AS n FROM model_pricing").fetchone() == before
    usage = Usage(None, "claude-sonnet-4-5", MAY, usage_tokens(input=250_000, cache_read=50_000, output=1_000))
    assert explain(load_book(connection), usage)["total_cost_usd"] == "1.5525"


def test_a_catalogue_that_changed_little_is_booked_quickly_and_adds_only_what_changed(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    catalogue = GenaiPrices().read(MAY)
    first = catalogue.prices[0]
    assert first.usd_per_million is not None
    changed = (replace(first, usd_per_million=first.usd_per_million + 1), *catalogue.prices[1:])
    started = time.perf_counter()
    status = book_catalogue(connection, replace(catalogue, prices=changed), 0, datetime.now(UTC))
    assert time.perf_counter() - started < 5
    assert [(change.change, change.key) for change in status.changes] == [("changed", first.key)]


@pytest.mark.mission("A14")
def test_a_sync_books_new_changed_and_withdrawn_prices(connection: Connection) -> None:
    first = read(connection, MARCH, input_price("1"), input_price("2", MAY))
    second = read(connection, MAY, input_price("1.5"), input_price("3", JULY))
    assert (first.rows_new, first.rows_changed, first.rows_withdrawn) == (2, 0, 0)
    assert (second.rows_new, second.rows_changed, second.rows_withdrawn) == (1, 1, 1)
    changed = next(change for change in second.changes if change.change == "changed")
    assert (changed.old_usd_per_million, changed.usd_per_million) == (1, Decimal("1.5"))


def test_reading_the_same_again_adds_no_price_and_says_so(connection: Connection) -> None:
    read(connection, MARCH, input_price("1"))
    again = read(connection, MAY, input_price("1"))
    assert [source.status for source in again.sources] == ["unchanged"]
    assert again.changes == []


def test_a_correction_backwards_is_known_only_from_when_it_was_learnt(connection: Connection) -> None:
    read(connection, MARCH, input_price("1"))
    read(connection, JULY, input_price("4"))
    assert cost_at(connection, JANUARY, known_at=MAY) == 1
    assert cost_at(connection, JANUARY) == 4


def test_a_price_learnt_late_is_not_known_before(connection: Connection) -> None:
    read(connection, MARCH, input_price("1", MARCH))
    read(connection, JULY, input_price("1", MARCH), input_price("2", MAY))
    assert cost_at(connection, MAY, known_at=MAY) == 1
    assert cost_at(connection, MAY, known_at=JULY) == 2
    assert cost_at(connection, MAY, known_at=JANUARY) is UnpricedReason.UNKNOWN_PROVIDER


def test_a_withdrawn_future_price_never_applies_and_may_come_back(connection: Connection) -> None:
    read(connection, JANUARY, input_price("1"), input_price("9", MAY))
    read(connection, MARCH, input_price("1"))
    assert cost_at(connection, JULY, known_at=JANUARY) == 9
    assert cost_at(connection, JULY) == 1
    read(connection, MAY, input_price("1"), input_price("9", MAY))
    assert cost_at(connection, JULY) == 9


def test_a_retired_model_that_its_source_drops_keeps_its_price(connection: Connection) -> None:
    read(connection, MARCH, input_price("1"), input_price("2", model="new"))
    result = read(connection, MAY, input_price("2", model="new"))
    assert result.changes == []
    assert cost_at(connection, JULY) == 1


def test_knowledge_only_grows_even_when_a_run_is_told_an_earlier_time(connection: Connection) -> None:
    read(connection, MAY, input_price("1"))
    read(connection, JANUARY, input_price("2"))
    assert cost_at(connection, JULY, known_at=MAY) == 1
    assert cost_at(connection, JULY) == 2


def test_a_source_without_dates_starts_and_ends_its_prices_when_they_are_seen(connection: Connection) -> None:
    cached = input_price("0.1", None, kind="cache_read")
    read(connection, JANUARY, input_price("1", None), cached, dated=False)
    read(connection, MARCH, input_price("1", None), cached, input_price("3", None, "other"), dated=False)
    read(connection, MAY, input_price("2", None), dated=False)
    rows = list_prices(connection, provider="acme", model="m")
    found = [(row["usage_kind"], row["usd_per_million"], row["valid_from"], row["valid_to"]) for row in rows]
    assert found == [
        ("cache_read", Decimal("0.1"), JANUARY, MAY),
        ("input", 1, JANUARY, MAY),
        ("input", 2, MAY, None),
    ]


def test_of_two_sources_the_first_prices_a_model_that_both_list(connection: Connection) -> None:
    best = ListOfPrices((input_price("1"),), "best")
    other = ListOfPrices((input_price("2"), input_price("5", model="rare")), "other")
    sync(connection, [best, other], MARCH)
    assert (cost_at(connection, MAY), cost_at(connection, MAY, model="rare")) == (1, 5)
    sync(connection, [other, best], MAY)
    assert cost_at(connection, MAY) == 2
    assert cost_at(connection, MAY, known_at=MARCH) == 1


@pytest.mark.mission("A12")
def test_an_admin_s_row_wins_without_a_deployment(connection: Connection) -> None:
    read(connection, MARCH, input_price("1"))
    connection.execute(
        """
        INSERT INTO model_pricing
            (provider, model, usage_kind, usd_per_million, valid_from, known_from, source, operator_id, reason)
        VALUES ('acme', 'm', 'input', 0.5, %s, %s, 'admin', 'ada', 'our contract')
        """,
        [MAY, MAY],
    )
    assert [cost_at(connection, at) for at in (MARCH, JULY)] == [1, Decimal("0.5")]
    assert cost_at(connection, JULY, known_at=MARCH) == 1


def test_a_source_that_fails_changes_nothing_and_its_reason_is_kept(connection: Connection) -> None:
    read(connection, MARCH, input_price("1"))
    broken = ListOfPrices(error="answered 500")
    fine = ListOfPrices((input_price("7", model="other"),), "fine")
    result = sync(connection, [broken, fine], MAY)
    assert [(source.status, source.error) for source in result.sources] == [
        ("failed", "answered 500"),
        ("loaded", None),
    ]
    assert cost_at(connection, JULY) == 1
    row = connection.execute("SELECT error FROM price_sources WHERE status = 'failed'").fetchone()
    assert row == {"error": "answered 500"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (input_price("1", model=""), "model_pricing_model_check"),
        (input_price("1", kind="Input tokens"), "model_pricing_usage_kind_check"),
        (input_price("1", model="nul\0"), "NUL"),
    ],
)
def test_what_the_price_book_refuses_fails_its_source_alone(connection: Connection, wrong: Price, message: str) -> None:
    odd = ListOfPrices((input_price("2"), wrong), "odd")
    result = sync(connection, [odd, ListOfPrices((input_price("7", model="other"),), "fine")], MARCH)
    assert [source.status for source in result.sources] == ["failed", "loaded"]
    assert message in str(result.sources[0].error)
    assert cost_at(connection, MAY, model="other") == 7
    assert cost_at(connection, MAY) is UnpricedReason.UNKNOWN_MODEL


def test_the_setting_names_sources_that_exist_and_each_once(tmp_path: Path) -> None:
    names = ["genai-prices", "litellm", "models.dev", "openrouter"]
    assert [source.name for source in configured_sources(", ".join(names), tmp_path)] == names
    assert configured_sources("litellm=http://mirror/x.json", tmp_path)[0].name == "litellm"
    with pytest.raises(InvalidInput, match=r"'nowhere' is not known; allowed: genai-prices, litellm"):
        configured_sources("genai-prices, nowhere", tmp_path)
    with pytest.raises(InvalidInput, match="only once"):
        configured_sources("litellm,litellm=http://mirror/x.json", tmp_path)
    with pytest.raises(InvalidInput, match="embedded"):
        configured_sources("genai-prices=http://mirror/x.json", tmp_path)


def test_prices_are_listed_by_the_name_that_calls_use(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    rows = list_prices(connection, model="anthropic/claude-sonnet-4-5", at=MAY)
    assert {(row["usage_kind"], row["context_tier"]): row["usd_per_million"] for row in rows}[("input", 200_000)] == 6
    assert {row["source"] for row in rows} == {"genai-prices"}
    with pytest.raises(InvalidInput, match="model: is empty"):
        list_prices(connection, model=" ")
