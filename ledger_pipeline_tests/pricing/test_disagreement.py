"""Where two sources disagree: by more than 1 %, about the same price, whatever they call the model."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pricing.disagreement import Disagreement, disagreements
from ledger_pipeline.pricing.prices import ANY, EARLIEST, STANDARD, Price, PriceKey
from ledger_pipeline.pricing.sources.source import NameRule, PriceCatalogue, RuleKind
from ledger_pipeline.pricing.sync import book_catalogue

pytestmark = pytest.mark.mission("A14")
NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = PriceKey("acme", "m", STANDARD, ANY, 0, ANY, "input")


def book(connection: Connection, rank: int, source: str, rate: str, key: PriceKey = KEY, alias: str = "") -> None:
    match = {"or": [{"equals": key.model}, {"equals": alias or key.model}]}
    rules = (NameRule(RuleKind.MODEL, match, key.provider, key.model),)
    catalogue = PriceCatalogue(source, "1", dated=True, prices=(Price(key, EARLIEST, Decimal(rate)),), rules=rules)
    book_catalogue(connection, catalogue, rank, NOW)


@pytest.mark.parametrize(
    ("rate", "agree"), [("1.01", True), ("1.010000000001", False), ("0.98", False), ("0.1", False)]
)
def test_more_than_one_per_cent_is_a_disagreement(connection: Connection, rate: str, agree: bool) -> None:
    book(connection, 0, "best", "1")
    book(connection, 1, "other", rate)
    found = disagreements(connection, ["best", "other"], NOW)
    assert found == ([] if agree else [Disagreement(KEY, "best", Decimal(1), "other", "m", Decimal(rate))])


def test_it_is_found_under_another_name_of_the_model(connection: Connection) -> None:
    book(connection, 0, "best", "1", alias="m-2026-01-01")
    book(connection, 1, "other", "2", KEY._replace(model="m-2026-01-01"))
    (found,) = disagreements(connection, ["best", "other"], NOW)
    assert (found.key, found.other_model) == (KEY, "m-2026-01-01")


def test_prices_of_other_variants_and_of_one_source_alone_are_no_disagreement(connection: Connection) -> None:
    book(connection, 0, "best", "1")
    book(connection, 1, "other", "2", KEY._replace(service_tier="batch"))
    assert disagreements(connection, ["best", "other"], NOW) == []
