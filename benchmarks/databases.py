"""Databases of a benchmark: made on its server, dropped when it is done."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ledger_pipeline.hot.database import Connection, connect


@contextmanager
def database(server: str, template: str = "template0") -> Generator[str]:
    """The name of a new database, a copy of the template; sessions that are still on it are ended at the end."""
    name = f"ledger_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as maintenance:
        maintenance.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield name
        finally:
            maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def copy_of(server: str, template: str) -> Generator[Connection]:
    """A connection to a copy of a ledger that may be written to."""
    with (
        database(server, template) as name,
        connect(make_conninfo(server, dbname=name), autocommit=True) as connection,
    ):
        connection.execute("SELECT adopt('benchmark', true)")
        connection.execute("CHECKPOINT")  # no round pays for the writes of the one before
        yield connection
