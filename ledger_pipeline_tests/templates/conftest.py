"""A ledger that the module's tests share, with drives of their own."""

import uuid
from collections.abc import Iterator
from uuid import UUID

import pytest

from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.templates import Templates


@pytest.fixture
def connection(module_ledger_url: str) -> Iterator[Connection]:
    """A superuser's connection to the ledger that the module's tests share."""
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def templates(connection: Connection) -> Templates:
    """The stored templates."""
    return Templates(connection)


def new_row(connection: Connection, table: str) -> UUID:
    """A drive, user or customer with a name of its own."""
    statements = {
        "drives": "INSERT INTO drives (name) VALUES (%s) RETURNING id",
        "users": "INSERT INTO users (name) VALUES (%s) RETURNING id",
    }
    row = connection.execute(statements[table].encode(), (f"test-{uuid.uuid4()}",)).fetchone()
    assert row is not None
    return row["id"]


@pytest.fixture
def drive(connection: Connection) -> UUID:
    """A drive of this test's own."""
    return new_row(connection, "drives")


@pytest.fixture
def user(connection: Connection) -> UUID:
    """A user of this test's own."""
    return new_row(connection, "users")
