"""Brings a database to a revision of the schema."""

from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.rows import tuple_row
from sqlalchemy.exc import DBAPIError

from ledger_pipeline.errors import SchemaMismatch
from ledger_pipeline.hot.database import connect, translate, translated
from ledger_pipeline.hot.leaves import make_leaves_ahead
from ledger_pipeline.hot.revision import check_server, current_revision, refuse_newer

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


def _record(connection: sqlalchemy.Connection, before: str | None, after: str) -> None:
    """Puts a migration on record, where there is a record: the first revision has none, a downgrade leaves it."""
    if connection.exec_driver_sql("SELECT to_regclass('ledger.admin_log') IS NOT NULL").scalar():
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO ledger.admin_log (action, object_kind, object_id, before, after)"
                " VALUES ('migrate', 'schema', 'ledger', jsonb_build_object('revision', CAST(:before AS text)),"
                " jsonb_build_object('revision', CAST(:after AS text)))"
            ),
            {"before": before, "after": after},
        )


def migrate(url: str, now: datetime, to: str = "head") -> str | None:
    """Upgrades or downgrades to a revision in one transaction and makes the coming weeks' tables; answers the revision.

    Raises SchemaMismatch for a database newer than this code and for a downgrade that would drop events.
    """
    check_server(url)
    scripts = ScriptDirectory.from_config(_config())
    known = [script.revision for script in scripts.walk_revisions()]
    current = current_revision(url)
    if current is not None:
        refuse_newer(current)
    if to not in ("head", "base", *known):
        raise SchemaMismatch(f"--to: revision {to!r} is not known; allowed: head, base, {', '.join(reversed(known))}")
    target = known[0] if to == "head" else to
    downgrade = current is not None and (target == "base" or known.index(target) > known.index(current))
    if current == target or (current is None and target == "base"):
        return current
    with _engine(url).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        try:
            with translated():
                (command.downgrade if downgrade else command.upgrade)(config, target)
                if target != "base":
                    _record(connection, current, target)
        except RuntimeError as error:
            raise SchemaMismatch(str(error)) from None
        except DBAPIError as error:
            own = translate(error.orig) if isinstance(error.orig, psycopg.Error) else None
            raise own or error from error
    if target != "base":
        with connect(url, autocommit=True) as plain:
            make_leaves_ahead(plain, now)
    return current_revision(url)
