"""Brings a database to the newest schema, and says whether it is there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.rows import tuple_row

from ledger_pipeline.errors import SchemaMismatch
from ledger_pipeline.hot.database import connect, translated
from ledger_pipeline.hot.leaves import make_leaves_ahead

MIN_LOCKS_PER_TRANSACTION = 1024
MIN_SERVER_VERSION = 150_000
_FOLDER = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _engine(url: str) -> sqlalchemy.Engine:
    def creator() -> psycopg.Connection[Any]:
        connection = connect(url)
        connection.row_factory = tuple_row  # pyright: ignore[reportAttributeAccessIssue]  SQLAlchemy reads tuples
        return connection

    return sqlalchemy.create_engine("postgresql+psycopg://", creator=creator, poolclass=sqlalchemy.pool.NullPool)


def newest_revision() -> str:
    """The revision that this version of the code works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current_revision(url: str) -> str | None:
    """The database's revision; None when it holds no ledger. Raises SchemaMismatch when it is half migrated."""
    with _engine(url).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "ledger_schema_version", "version_table_schema": "public"}
        )
        revision = context.get_current_revision()
        present = connection.exec_driver_sql("SELECT to_regnamespace('ledger') IS NOT NULL").scalar()
    if bool(present) != (revision is not None):
        found = "a schema `ledger` without its version" if present else f"version {revision} without a schema `ledger`"
        raise SchemaMismatch(
            f"the database is half migrated: it has {found}; restore a backup, or use an empty database"
        )
    return revision


def migrate(url: str, to: str = "head") -> str | None:
    """Upgrades or downgrades to a revision in one transaction and makes the coming weeks' tables; answers the revision.

    Raises SchemaMismatch for a database newer than this code and for a downgrade that would drop events.
    """
    check_server(url)
    scripts = ScriptDirectory.from_config(_config())
    known = [script.revision for script in scripts.walk_revisions()]
    current = current_revision(url)
    if current is not None and current not in known:
        raise SchemaMismatch(f"the database's schema {current} is newer than this version of ledger-pipeline: upgrade it")
    if to not in ("head", "base", *known):
        raise SchemaMismatch(f"--to: revision {to!r} is not known; allowed: head, base, {', '.join(reversed(known))}")
    target = known[0] if to == "head" else to
    downgrade = current is not None and (target == "base" or known.index(target) > known.index(current))
    with _engine(url).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        try:
            with translated():
                (command.downgrade if downgrade else command.upgrade)(config, target)
        except RuntimeError as error:
            raise SchemaMismatch(str(error)) from None
    if target != "base":
        with connect(url, autocommit=True) as plain:
            make_leaves_ahead(plain, datetime.now(UTC))
    return current_revision(url)


def check(url: str) -> None:
    """Raises SchemaMismatch, saying what to do, unless the database is at this code's schema and set up for it."""
    check_server(url)
    current = current_revision(url)
    if current is None:
        raise SchemaMismatch("the database holds no ledger yet: run `ledger-pipeline migrate`")
    if current != newest_revision():
        raise SchemaMismatch(
            f"the database's schema is {current}, this version needs {newest_revision()}: run `ledger-pipeline migrate`"
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
