"""A simulated history, priced from the embedded catalogue, shared by the tests of marts."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ledger_pipeline.events import Event
from ledger_pipeline.ingest.simulate import simulate
from ledger_pipeline.pricing.book import PriceBook, book_of
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.pricing.sources.genai import GenaiPrices
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.in_memory import Row, stored

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """The prices of the embedded catalogue."""
    return book_of(GenaiPrices().read(NOW))


@pytest.fixture(scope="session")
def history(book: PriceBook) -> list[Event]:
    """A few thousand events of every type."""
    return list(simulate(executions=100, days=60, seed=7, now=NOW, price=partial(price, book)))


@pytest.fixture(scope="session")
def history_rows(history: list[Event]) -> list[Row]:
    """The simulated history as stored rows, of one transaction."""
    return stored(history)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of this test's own."""
    return Settings(home=tmp_path)


@pytest.fixture
def now() -> datetime:
    """The instant that simulated histories end at."""
    return NOW
