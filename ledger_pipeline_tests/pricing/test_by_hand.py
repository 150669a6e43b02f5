"""Prices that an administrator sets and takes back: without a deployment, per variant, with who and why."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.by_hand import PRICED_KINDS, Variant, set_prices, withdraw_prices
from ledger_pipeline.pricing.catalogue import load_embedded
from ledger_pipeline.pricing.costing import Usage, cost
from ledger_pipeline.pricing.explain import usage_tokens
from ledger_pipeline.pricing.names import UnpricedReason

pytestmark = pytest.mark.mission("A12")

JANUARY, MARCH, MAY, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3, 5, 7))
WHO: dict[str, Any] = {"reason": "our contract", "operator": "ada"}
MODEL = Variant("acme", "m")


def set_input(connection: Connection, rate: str | None, valid_from: datetime, now: datetime) -> None:
    rates = {"input": None if rate is None else Decimal(rate)}
    set_prices(connection, MODEL, rates, valid_from=valid_from, now=now, **WHO)


def million(
    connection: Connection,
    at: datetime,
    known_at: datetime | None = None,
    *,
    model: str = "m",
    provider: str | None = "acme",
    tier: str | None = None,
    region: str | None = None,
    requests: int = 1,
    **tokens: int,
) -> Decimal | UnpricedReason | None:
    usage = Usage(provider, model, at, usage_tokens(**(tokens or {"input": 10**6})), requests, tier, region)
    found = cost(load_book(connection, known_at), usage)
    return found.reason or found.total_usd


def test_a_price_set_by_hand_is_known_from_now_on_and_holds_from_its_start(connection: Connection) -> None:
    set_input(connection, "3", MARCH, now=MAY)
    assert million(connection, JANUARY) is UnpricedReason.NO_PRICE
    assert million(connection, MARCH) == 3
    assert million(connection, MARCH, known_at=MARCH) is UnpricedReason.UNKNOWN_PROVIDER


def test_setting_it_again_corrects_it_and_what_was_known_stays_known(connection: Connection) -> None:
    set_input(connection, "3", MARCH, now=MARCH)
    set_input(connection, "4", MARCH, now=MAY)
    assert million(connection, JULY) == 4
    assert million(connection, JULY, known_at=MARCH) == 3


def test_a_correction_told_an_earlier_time_is_still_the_later_knowledge(connection: Connection) -> None:
    set_input(connection, "3", MARCH, now=MAY)
    set_input(connection, "4", MARCH, now=JANUARY)
    assert million(connection, JULY) == 4


def test_a_withdrawn_price_was_never_so_and_may_be_set_anew(connection: Connection) -> None:
    set_input(connection, "3", JANUARY, now=JANUARY)
    set_input(connection, "9", MARCH, now=MARCH)
    withdraw_prices(connection, MODEL, ("input",), valid_from=MARCH, now=MAY, **WHO)
    assert million(connection, JULY) == 3
    assert million(connection, JULY, known_at=MARCH) == 9
    set_input(connection, "5", MARCH, now=JULY)
    assert million(connection, JULY) == 5


def test_what_nobody_set_cannot_be_withdrawn(connection: Connection) -> None:
    set_input(connection, "3", MARCH, now=MARCH)
    for kinds, valid_from in ((("output",), MARCH), ((), MAY)):
        with pytest.raises(NotFound, match="was set by hand"):
            withdraw_prices(connection, MODEL, kinds, valid_from=valid_from, now=MAY, **WHO)


def test_it_wins_over_the_catalogue_for_every_name_of_the_model_until_it_is_given_back(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    alias = Variant(None, "anthropic/claude-sonnet-4-5-20250929")
    (booked,) = set_prices(connection, alias, {"input": Decimal("1.5")}, valid_from=MARCH, now=MARCH, **WHO)
    assert (booked.key.provider, booked.key.model) == ("anthropic", "claude-sonnet-4-5")
    named: dict[str, Any] = {"provider": None, "model": "claude-sonnet-4-5", "input": 100_000}
    assert [million(connection, at, **named) for at in (JANUARY, MAY)] == [Decimal("0.3"), Decimal("0.15")]
    set_prices(connection, alias, {"input": None}, valid_from=JULY, now=MAY, **WHO)
    assert million(connection, JULY, **named) == Decimal("0.3")


def test_one_name_of_a_model_can_have_a_price_of_its_own(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    alias = Variant("anthropic", "claude-sonnet-4-5-20250929", exact_name=True)
    set_prices(connection, alias, {"input": Decimal(9)}, valid_from=JANUARY, now=MARCH, **WHO)
    assert million(connection, MAY, provider=None, model="claude-sonnet-4-5-20250929") == 9
    assert million(connection, MAY, provider=None, model="claude-sonnet-4-5", input=100_000) == Decimal("0.3")


def test_a_price_of_one_provider_never_becomes_that_of_the_one_whose_prices_it_takes(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    rates = {"input": Decimal(9)}
    with pytest.raises(InvalidInput, match=r"azure has no price of its own .*, it takes that of openai/gpt-4o"):
        set_prices(connection, Variant("azure", "gpt-4o"), rates, valid_from=JANUARY, now=MARCH, **WHO)
    own = Variant("azure_openai", "gpt-4o", exact_name=True)
    (booked,) = set_prices(connection, own, rates, valid_from=JANUARY, now=MARCH, **WHO)
    assert (booked.key.provider, booked.key.model) == ("azure", "gpt-4o")
    for name, rate in (("azure", "9"), ("az.ai.openai", "9"), ("openai", "2.5")):
        assert million(connection, MAY, provider=name, model="gpt-4o") == Decimal(rate)


def test_another_name_of_a_provider_makes_no_new_one(connection: Connection) -> None:
    load_embedded(connection, JANUARY)
    tuned = Variant("vertex_ai", " our-tuned-model ")
    (booked,) = set_prices(connection, tuned, {"input": Decimal(9)}, valid_from=JANUARY, now=MARCH, **WHO)
    assert booked.key.provider == "google"
    assert million(connection, MAY, provider="vertex_ai", model="our-tuned-model") == 9
    assert million(connection, MAY, provider="vertex_ai", model="gemini-2.0-flash") == Decimal("0.1")


@pytest.mark.parametrize("kind", PRICED_KINDS)
def test_every_usage_kind_can_be_priced(connection: Connection, kind: str) -> None:
    rates = {"input": Decimal(1), "output": Decimal(1), kind: Decimal("7.25")}
    set_prices(connection, MODEL, rates, valid_from=JANUARY, now=JANUARY, **WHO)
    if kind == "requests":
        assert million(connection, MAY, requests=3, input=10**6) == Decimal("1.00002175")
    else:
        assert million(connection, MAY, **{kind: 10**6}) == Decimal("7.25")


def test_each_variant_has_a_price_of_its_own(connection: Connection) -> None:
    variants = {"1": MODEL, "2": Variant("acme", "m", context_tier=200_000)}
    variants |= {"3": Variant("acme", "m", service_tier="batch"), "4": Variant("acme", "m", region="EU")}
    for rate, variant in variants.items():
        set_prices(connection, variant, {"input": Decimal(rate)}, valid_from=JANUARY, now=JANUARY, **WHO)
    assert million(connection, MAY, input=200_000) == Decimal("0.2")
    assert million(connection, MAY, input=200_001) == Decimal("0.400002")
    assert million(connection, MAY, tier="batch", input=100_000) == Decimal("0.3")
    assert million(connection, MAY, region="eu", input=100_000) == Decimal("0.4")


def test_who_set_it_and_why_is_on_record(connection: Connection) -> None:
    set_input(connection, "3", MARCH, now=MAY)
    rows = connection.execute(
        "SELECT action, reason, after ->> 'operator_id' AS operator, after ->> 'usd_per_million' AS rate"
        " FROM admin_log WHERE object_kind = 'model_pricing'"
    ).fetchall()
    assert [(row["action"], row["reason"], row["operator"], Decimal(row["rate"])) for row in rows] == [
        ("create", "our contract", "ada", 3)
    ]


@pytest.mark.parametrize(
    ("variant", "rates", "message"),
    [
        (MODEL, {"inputs": Decimal(1)}, "usage kind 'inputs' is not known; allowed: input, "),
        (MODEL, {}, "name at least one usage kind"),
        (MODEL, {"input": Decimal(-1)}, "input: -1 USD per million is no price"),
        (MODEL, {"input": Decimal("NaN")}, "is no price"),
        (MODEL, {"input": Decimal("1e10")}, "is no price"),
        (Variant(None, "nobody-knows-it"), {"input": Decimal(1)}, "provider: is missing"),
        (Variant("acme", " "), {"input": Decimal(1)}, "model: is empty"),
        (Variant("acme", "a\x01b"), {"input": Decimal(1)}, "model: .* is no name; allowed: up to 200 printable"),
        (Variant("acme", "m" * 201), {"input": Decimal(1)}, "model: .* is no name"),
        (Variant("ac\x7fme", "m"), {"input": Decimal(1)}, "provider: .* is no name"),
        (Variant("acme", "m", region="e\nu"), {"input": Decimal(1)}, "region: .* is no name"),
        (Variant("acme", "m", context_tier=-1), {"input": Decimal(1)}, "context tier: -1"),
        (Variant("acme", "m", daily_window="9-5"), {"input": Decimal(1)}, "daily window: '9-5'"),
    ],
)
def test_what_is_no_price_is_refused_and_leaves_no_trace(
    connection: Connection, variant: Variant, rates: dict[str, Decimal], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        set_prices(connection, variant, rates, valid_from=MARCH, now=MAY, **WHO)
    assert connection.execute("SELECT FROM model_pricing WHERE source = 'admin'").rowcount == 0


def test_a_price_without_a_reason_a_person_or_a_time_zone_is_refused(connection: Connection) -> None:
    for wrong in ({"reason": " "}, {"operator": ""}, {"valid_from": datetime(2026, 1, 1)}):
        given: dict[str, Any] = {"valid_from": MARCH, "now": MAY, **WHO, **wrong}
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            set_prices(connection, MODEL, {"input": Decimal(1)}, **given)
