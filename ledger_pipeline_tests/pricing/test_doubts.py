"""What a sync does not believe at once: jumps, zeros, prices that vanish; and how a jump is accepted."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.by_hand import Variant, set_prices
from ledger_pipeline.pricing.costing import Usage, cost
from ledger_pipeline.pricing.explain import usage_tokens
from ledger_pipeline.pricing.prices import ANY, EARLIEST, STANDARD, Price, PriceKey
from ledger_pipeline.pricing.reviews import accept, open_reviews
from ledger_pipeline.pricing.sources.source import NameRule, PriceCatalogue, RuleKind
from ledger_pipeline.pricing.sync import SourceStatus, sync

pytestmark = pytest.mark.mission("A14")

MARCH, APRIL, MAY, JUNE = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5, 6))
WHO: dict[str, Any] = {"reason": "announced", "operator": "ada"}


@dataclass
class Source:
    """A source that lists the same rate of each model's input, and of other kinds what it is told."""

    rates: dict[str, str]
    dated: bool = False
    kinds: tuple[str, ...] = ("input",)
    zero: frozenset[tuple[str, str]] = frozenset()
    faults: tuple[str, ...] = ()
    more: tuple[Price, ...] = field(default=())
    name: str = "list"

    def read(self, now: datetime) -> PriceCatalogue:
        del now
        start = EARLIEST if self.dated else None
        prices = tuple(
            Price(PriceKey("acme", model, STANDARD, ANY, 0, ANY, kind), start, Decimal(rate))
            for model, rate in self.rates.items()
            for kind in self.kinds
        )
        rules = tuple(NameRule(RuleKind.MODEL, {"equals": model}, "acme", model) for model in self.rates)
        return PriceCatalogue(self.name, "1", self.dated, prices + self.more, rules, self.faults, self.zero)


def read(connection: Connection, source: Source, now: datetime) -> SourceStatus:
    (status,) = sync(connection, [source], now).sources
    return status


def million(
    connection: Connection, model: str, at: datetime = JUNE, known_at: datetime | None = None
) -> Decimal | None:
    usage = Usage("acme", model, at, usage_tokens(input=10**6))
    return cost(load_book(connection, known_at), usage).total_usd


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize(
    ("rate", "held"), [("10", False), ("10.000000000001", True), ("0.1", False), ("0.099999999999", True), ("0", True)]
)
def test_more_than_tenfold_is_held_and_the_old_price_stays(
    connection: Connection, rate: str, held: bool, dated: bool
) -> None:
    read(connection, Source({"m": "1", "other": "1"}, dated), MARCH)
    status = read(connection, Source({"m": rate, "other": "2"}, dated), APRIL)
    assert [one.model for one in status.held] == ["m"] * held
    assert million(connection, "m") == (1 if held else Decimal(rate))
    assert million(connection, "other") == 2


def test_a_jump_to_come_is_held_too(connection: Connection) -> None:
    read(connection, Source({"m": "1"}, dated=True), MARCH)
    later = Price(PriceKey("acme", "m", STANDARD, ANY, 0, ANY, "input"), MAY, Decimal(50))
    status = read(connection, Source({"m": "1"}, dated=True, more=(later,)), APRIL)
    assert status.held[0].jumps == ("input: 1 -> 50 USD per million",)
    assert million(connection, "m") == 1


def test_a_held_model_waits_as_a_whole_and_is_told_of_at_every_sync(connection: Connection) -> None:
    read(connection, Source({"m": "1"}, kinds=("input", "output")), MARCH)
    jump = Source({"m": "99"}, kinds=("input", "output", "cache_read"))
    for now in (APRIL, MAY):
        assert [one.model for one in read(connection, jump, now).held] == ["m"]
    assert million(connection, "m") == 1
    (review,) = open_reviews(connection)
    assert (review.source, review.provider, review.model, review.seen_at) == ("list", "acme", "m", APRIL)
    assert len(review.jumps) == 2


def test_an_accepted_jump_is_known_since_then_and_valid_since_it_was_seen(connection: Connection) -> None:
    read(connection, Source({"m": "1"}), MARCH)
    read(connection, Source({"m": "99"}), APRIL)
    changes = accept(connection, "list", "acme", "m", now=MAY, **WHO)
    assert [(change.valid_from, change.usd_per_million) for change in changes] == [(APRIL, 99)]
    assert [million(connection, "m", at) for at in (MARCH, APRIL)] == [1, 99]
    assert million(connection, "m", APRIL, known_at=APRIL) == 1
    assert open_reviews(connection) == []
    assert read(connection, Source({"m": "99"}), JUNE).held == ()
    row = connection.execute(
        "SELECT reason, after ->> 'operator_id' AS operator FROM admin_log WHERE object_kind = 'price_reviews'"
    ).fetchall()
    assert row == [{"reason": "announced", "operator": "ada"}]


def test_a_jump_that_the_source_takes_back_waits_no_longer(connection: Connection) -> None:
    for rate, now in (("1", MARCH), ("99", APRIL), ("1.5", MAY)):
        read(connection, Source({"m": rate}), now)
    assert open_reviews(connection) == []
    assert million(connection, "m") == Decimal("1.5")
    with pytest.raises(NotFound, match="waits for a review"):
        accept(connection, "list", "acme", "m", now=JUNE, **WHO)
    read(connection, Source({"m": "99"}), JUNE)
    assert [review.seen_at for review in open_reviews(connection)] == [JUNE]


def test_a_jump_that_was_accepted_once_is_held_when_it_comes_again(connection: Connection) -> None:
    for rate, now in (("1", MARCH), ("99", APRIL), ("1", MAY)):
        read(connection, Source({"m": rate}), now)
        for review in open_reviews(connection):
            accept(connection, review.source, review.provider, review.model, now=now, **WHO)
    assert million(connection, "m") == 1
    assert [one.model for one in read(connection, Source({"m": "99"}), JUNE).held] == ["m"]
    assert million(connection, "m") == 1


def test_a_price_that_was_gone_for_a_while_comes_back_as_the_one_that_it_was(connection: Connection) -> None:
    both = ("input", "output")
    read(connection, Source({"m": "1"}, kinds=both), MARCH)
    read(connection, Source({"m": "1"}), APRIL)
    assert [one.jumps for one in read(connection, Source({"m": "99"}, kinds=both), MAY).held] == [
        ("input: 1 -> 99 USD per million", "output: 1 -> 99 USD per million")
    ]
    assert read(connection, Source({"m": "2"}, kinds=both), JUNE).held == ()


@pytest.mark.parametrize("dated", [False, True])
def test_a_source_s_first_prices_are_compared_with_what_the_others_say(connection: Connection, dated: bool) -> None:
    read(connection, Source({"m": "3", "other": "3"}), MARCH)
    later = Price(PriceKey("acme", "m", STANDARD, ANY, 0, ANY, "input"), JUNE, Decimal(4)) if dated else None
    # As if it gave USD per token where it was read as per million.
    second = Source({"m": "0.000003", "own": "77"}, dated, name="second", more=(later,) if later else ())
    status = read(connection, second, APRIL)
    assert [(one.model, one.jumps) for one in status.held] == [("m", ("input: 3 of list -> 0.000003 USD per million",))]
    assert [million(connection, model, MAY) for model in ("m", "own")] == [3, 77]
    assert [one.model for one in read(connection, second, MAY).held] == ["m"]
    accept(connection, "second", "acme", "m", now=MAY, **WHO)
    assert read(connection, second, JUNE).held == ()
    rows = connection.execute("SELECT FROM model_pricing WHERE source = 'second' AND model = 'm'")
    assert rows.rowcount == 1 + dated


def test_prices_set_by_hand_and_of_another_variant_are_no_measure_of_a_first_price(connection: Connection) -> None:
    key = PriceKey("acme", "m", "batch", ANY, 0, ANY, "input")
    read(connection, Source({"m": "3"}), MARCH)
    variant = Variant("acme", "by-hand")
    set_prices(connection, variant, {"input": Decimal("0.01")}, valid_from=MARCH, now=MARCH, **WHO)
    second = Source({"m": "3", "by-hand": "5"}, more=(Price(key, None, Decimal("0.1")),), name="second")
    assert read(connection, second, APRIL).held == ()


def test_an_acceptance_needs_a_reason_and_a_person(connection: Connection) -> None:
    read(connection, Source({"m": "1"}), MARCH)
    read(connection, Source({"m": "99"}), APRIL)
    for wrong in ({"reason": ""}, {"operator": " "}):
        with pytest.raises(InvalidInput):
            accept(connection, "list", "acme", "m", now=MAY, **(WHO | wrong))
    assert len(open_reviews(connection)) == 1


def test_a_priced_model_that_is_listed_at_nothing_keeps_its_price_and_is_named(connection: Connection) -> None:
    read(connection, Source({"m": "1", "other": "1"}), MARCH)
    zero = frozenset({("acme", "m"), ("acme", "never-priced")})
    status = read(connection, Source({"other": "1"}, zero=zero), APRIL)
    assert len(status.faults) == 1
    assert status.faults[0].startswith("acme/m: is listed at 0 USD")
    assert million(connection, "m") == 1


def test_a_kind_of_price_that_vanishes_from_most_models_fails_the_source(connection: Connection) -> None:
    models = dict.fromkeys("abcde", "1")
    read(connection, Source(models, kinds=("input", "output")), MARCH)
    status = read(connection, Source(models | {"a": "2"}), APRIL)
    assert status.status == "failed"
    assert status.error == "lists 0 of 5 prices of output that it had: has the format changed?"
    assert million(connection, "a") == 1
    assert read(connection, Source(models | {"a": "2"}, kinds=("input", "output")), MAY).status == "loaded"


def test_what_a_reading_could_not_use_is_on_record(connection: Connection) -> None:
    status = read(connection, Source({"m": "1"}, faults=("acme/x: is no price",)), MARCH)
    assert status.faults == ("acme/x: is no price",)
    row = connection.execute("SELECT faults FROM price_sources WHERE source = 'list'").fetchone()
    assert row == {"faults": ["acme/x: is no price"]}


def test_a_reading_is_recorded_with_its_version_time_and_content(connection: Connection) -> None:
    for rate, days in (("1", 0), ("1", 1), ("2", 2)):
        read(connection, Source({"m": rate}), MARCH + timedelta(days=days))
    rows = connection.execute(
        "SELECT version, fetched_at, status, content_hash FROM price_sources WHERE source = 'list' ORDER BY fetched_at"
    ).fetchall()
    assert [(row["version"], row["fetched_at"].day, row["status"]) for row in rows] == [
        ("1", 1, "loaded"),
        ("1", 2, "unchanged"),
        ("1", 3, "loaded"),
    ]
    assert len({bytes(row["content_hash"]) for row in rows}) == 2
