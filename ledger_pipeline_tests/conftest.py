"""One server for each worker, and a migrated database of its own for each test that asks for one."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.ledger import set_up
from ledger_pipeline.settings import Settings

pytest_plugins = [
    "pytester",
    "ledger_pipeline_tests.mission_report",
    "ledger_pipeline_tests.browser",
    "ledger_pipeline_tests.object_storage",
]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker on a server that is given: on it, the open transactions of another one would hold feeds back."""
    return 1 if os.environ.get("LEDGER_DATABASE_URL") else None


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A superuser's URL of the server under test: `LEDGER_DATABASE_URL`, or an embedded one of this worker's own.

    One server for all workers would hold the feed back: it waits for the open transactions of every database.
    """
    settings = Settings(home=tmp_path_factory.getbasetemp() / "server-home")
    with running_server(settings) as url:
        if settings.database_url is None:
            # Nothing here outlives the run; what a crash leaves behind is tested on servers of their own.
            with psycopg.connect(url, autocommit=True) as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
                    connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
                connection.execute("SELECT pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def template_database(server_url: str) -> Iterator[str]:
    """The name of a migrated database that tests copy."""
    name = f"ledger_template_{uuid.uuid4().hex[:12]}"
    create_database(server_url, name)
    set_up(make_conninfo(server_url, dbname=name), datetime.now(UTC))
    yield name
    drop_database(server_url, name)


def create_database(server_url: str, name: str, template: str = "template0") -> None:
    """Creates a database in UTF-8; `FILE_COPY` is the quicker way for a ledger's many small tables."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


def drop_database(server_url: str, name: str) -> None:
    """Drops a database with whatever is still connected to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The URL of a database that holds nothing."""
    name = f"ledger_empty_{uuid.uuid4().hex[:12]}"
    create_database(server_url, name)
    yield make_conninfo(server_url, dbname=name)
    drop_database(server_url, name)


@contextmanager
def ledgers(server_url: str, template_database: str) -> Iterator[Callable[[], str]]:
    """Makes migrated, empty ledgers; each is dropped at the end."""
    names: list[str] = []

    def make() -> str:
        name = f"ledger_test_{uuid.uuid4().hex[:12]}"
        create_database(server_url, name, template_database)
        names.append(name)
        url = make_conninfo(server_url, dbname=name)
        with connect(url, autocommit=True) as connection:
            # A copied database is another one: transaction numbers of the template's epoch don't compare.
            connection.execute("SELECT adopt('test', true)")
        return url

    try:
        yield make
    finally:
        for name in names:
            drop_database(server_url, name)


@pytest.fixture
def make_ledger(server_url: str, template_database: str) -> Iterator[Callable[[], str]]:
    """Makes migrated, empty ledgers; each is dropped after the test."""
    with ledgers(server_url, template_database) as make:
        yield make


@pytest.fixture(scope="module")
def module_ledger_url(server_url: str, template_database: str) -> Iterator[str]:
    """The URL of a ledger that a module's tests share, each on executions of its own."""
    with ledgers(server_url, template_database) as make:
        yield make()


@pytest.fixture
def ledger_url(make_ledger: Callable[[], str]) -> str:
    """The URL of a migrated, empty ledger of this test's own."""
    return make_ledger()


@pytest.fixture
def connection(ledger_url: str) -> Iterator[Connection]:
    """An autocommitting superuser's connection to this test's ledger."""
    with connect(ledger_url, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("LEDGER_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LEDGER_TEST_DATA (see docs/development.md)")
    return folder
