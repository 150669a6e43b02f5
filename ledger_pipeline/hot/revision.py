"""Which schema a database has, and whether it is the one that this code works with."""

import psycopg

from ledger_pipeline.errors import PermissionDenied, SchemaMismatch
from ledger_pipeline.hot.database import connect

REVISION = "0007"
"""The newest migration's revision; a test compares it with the migrations."""
MIN_LOCKS_PER_TRANSACTION = 1024
MIN_SERVER_VERSION = 150_000


def current_revision(url: str) -> str | None:
    """The database's revision; None when it holds no ledger.

    Raises SchemaMismatch when it is half migrated, PermissionDenied for a login that programs can't work with.
    """
    with connect(url) as connection:
        row = connection.execute(
            "SELECT to_regnamespace('ledger') IS NOT NULL AS present,"
            " to_regclass('public.ledger_schema_version') IS NOT NULL AS versioned"
        ).fetchone()
        assert row is not None
        try:
            version = (
                connection.execute("SELECT version_num FROM public.ledger_schema_version").fetchone()
                if row["versioned"]
                else None
            )
        except psycopg.errors.InsufficientPrivilege:
            raise PermissionDenied(
                "database: this login is not a program's, which is a member of ledger_service, ledger_archiver, "
                "ledger_application or ledger_reader; a member of ledger_member reads the views of schema "
                "ledger_member, by any SQL client"
            ) from None
    revision: str | None = version["version_num"] if version else None
    if row["present"] != (revision is not None):
        found = "a schema `ledger` without its version" if row["present"] else f"version {revision} without a schema"
        raise SchemaMismatch(
            f"the database is half migrated: it has {found}; restore a backup, or use an empty database"
        )
    return revision


def check(url: str) -> None:
    """Raises SchemaMismatch, saying what to do, unless the database is at this code's schema and set up for it."""
    check_server(url)
    current = current_revision(url)
    if current is None:
        raise SchemaMismatch("the database holds no ledger yet: run `ledger-pipeline migrate`")
    refuse_newer(current)
    if current != REVISION:
        raise SchemaMismatch(
            f"the database's schema is {current}, this version needs {REVISION}: run `ledger-pipeline migrate`"
        )


def refuse_newer(revision: str) -> None:
    """Raises SchemaMismatch for a revision that this code does not know: revisions are numbered, the newest last."""
    if revision > REVISION:
        raise SchemaMismatch(
            f"the database's schema {revision} is newer than this version of ledger-pipeline, which knows {REVISION}: "
            "upgrade ledger-pipeline"
        )


def check_server(url: str) -> None:
    """Raises SchemaMismatch for a server that is too old or has too small a lock table."""
    with connect(url) as connection:
        version = connection.info.server_version
        row = connection.execute("SELECT current_setting('max_locks_per_transaction')::int AS locks").fetchone()
    if version < MIN_SERVER_VERSION:
        raise SchemaMismatch(f"the server is PostgreSQL {version // 10_000}; 15 or newer is needed")
    if row is not None and row["locks"] < MIN_LOCKS_PER_TRANSACTION:
        raise SchemaMismatch(
            f"max_locks_per_transaction is {row['locks']}; {MIN_LOCKS_PER_TRANSACTION} or more is needed: "
            "set it in postgresql.conf and restart the server"
        )
