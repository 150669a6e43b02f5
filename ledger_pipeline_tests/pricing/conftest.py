"""The embedded catalogue as a price book, and one ledger whose changes each test rolls back."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.pricing.book import PriceBook, book_of
from ledger_pipeline.pricing.sources.genai import GenaiPrices


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """The embedded catalogue's prices."""
    return book_of(GenaiPrices().read(datetime(2026, 11, 1, tzinfo=UTC)))


@pytest.fixture(scope="session")
def pricing_url(server_url: str, template_database: str) -> Iterator[str]:
    """A migrated ledger for tests that append nothing and leave nothing behind."""
    name = sql.Identifier(f"ledger_pricing_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(server_url, autocommit=True) as server:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        server.execute(create.format(name, sql.Identifier(template_database)))
    yield make_conninfo(server_url, dbname=name.as_string().strip('"'))
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def connection(pricing_url: str) -> Iterator[Connection]:
    """A superuser's connection inside one transaction, which is rolled back after the test."""
    with connect(pricing_url) as opened, opened.transaction(force_rollback=True):
        yield opened
