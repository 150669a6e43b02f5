"""Builds the marts: takes what is new since the last build, derives every mart, judges the rules, and publishes."""

# ruff: noqa: S608  names of tables and columns are our own; values are parameters

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from ledger_pipeline.engines.duckdb.session import building
from ledger_pipeline.engines.duckdb.tables import count, create_table
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.marts import coverage, publish, refresh, staging
from ledger_pipeline.marts.checks import CheckResult, require, run_checks
from ledger_pipeline.marts.definitions import fingerprint, marts
from ledger_pipeline.marts.ledger_source import LedgerSource, publish_lock
from ledger_pipeline.marts.source import Cursor, Identity, Source
from ledger_pipeline.settings import Settings

Progress = Callable[[str], None]

_STATE_COLUMNS = {
    "fingerprint": "VARCHAR",
    "built_at": "TIMESTAMP WITH TIME ZONE",
    "built_whole": "BOOLEAN",
    "instance_id": "VARCHAR",
    "epoch": "INTEGER",
    "checkpoint": "BIGINT",
    "checkpoint_root": "VARCHAR",
    "removed_weeks": "BIGINT",
    "cursor_epoch": "INTEGER",
    "cursor_tx": "BIGINT",
    "cursor_execution_id": "UUID",
    "cursor_sequence": "BIGINT",
}
"""`staging.build`: one row that says what the build holds, stored with it so that the two can't part."""


@dataclass(frozen=True)
class Build:
    """A published build: its file, rows of each mart, how many events it took in, and the rules that were judged.

    `whole`: built from all events rather than continued from the build before.
    """

    path: Path
    rows: dict[str, int]
    whole: bool
    new_events: int
    end: Cursor
    checks: tuple[CheckResult, ...]


def build(
    connection: Connection, settings: Settings, now: datetime, progress: Progress | None = None, *, full: bool = False
) -> Build:
    """Builds and publishes the marts of the ledger; the connection must be outside a transaction.

    Continues the current build unless `full`, or unless it is of another ledger, epoch or version. Raises
    ReconciliationFailed, and leaves the current build, when a rule is broken.
    """
    with publish_lock(connection):
        return build_from(LedgerSource(connection, settings), settings, now, progress, full=full)


def build_from(
    source: Source, settings: Settings, now: datetime, progress: Progress | None = None, *, full: bool = False
) -> Build:
    """As `build`, from any source; the caller makes sure that nobody else publishes at the same time."""
    say = progress or _silent
    with publish.unfinished(settings.marts_dir) as work:
        last = None if full else publish.current_or_none(settings)
        after = _continued(last, source) if last else None
        if last and after:
            say("continuing the current build")
            shutil.copyfile(last, work)
        with building(work) as connection:
            identity = source.identity()
            checkpoints = source.checkpoints()
            feed = source.read(after)
            if after is None:
                say("building from all events")
                _create(connection)
            before = staging.row_counts(connection)
            added = staging.add_events(connection, feed.batches, lambda n: say(f"{n:,} events read"))
            say(f"{added:,} events read; deriving marts")
            staging.add_checkpoints(connection, checkpoints)
            staging.replace(connection, "model_pricing", source.prices())
            staging.replace(connection, "removed_costs", source.removed_costs())
            staging.replace(connection, "budgets", source.budgets())
            source.count_events(connection, feed.end)
            delta = _derive(connection, None if after is None else before)
            say("checking the marts")
            results = list(run_checks(connection, delta))
            require(results)
            if delta:
                delta.close()
            rows = {name: count(connection, mart.table) for name, mart in marts().items()}
            _note(connection, now, identity, feed.end, whole=after is None)
        path = publish.swap_in(work, now, settings.marts_keep_builds)
        say(f"published {path.name}")
    return Build(path, rows, after is None, added, feed.end, tuple(results))


def _silent(message: str) -> None:
    """Nobody wants to know."""


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    staging.create(connection)
    create_table(connection, "staging.build", _STATE_COLUMNS)
    refresh.create(connection)


def _derive(connection: duckdb.DuckDBPyConnection, rows_before: dict[str, int] | None) -> refresh.Delta | None:
    if rows_before is None:
        for mart in marts().values():
            refresh.refresh_whole(connection, mart)
        return None
    delta = refresh.Delta(connection, rows_before)
    for mart in marts().values():
        delta.refresh(mart)
    return delta


def _note(
    connection: duckdb.DuckDBPyConnection, now: datetime, identity: Identity, end: Cursor, *, whole: bool
) -> None:
    connection.execute("DELETE FROM staging.build")
    values = (fingerprint(), now, whole, *identity, *end)
    connection.execute(f"INSERT INTO staging.build VALUES ({', '.join('?' * len(values))})", values)


def _continued(path: Path, source: Source) -> Cursor | None:
    """The cursor of a build that can be continued, else None: then everything is built anew."""
    noted = coverage.noted(path)
    if noted is None or noted.fingerprint != fingerprint():
        return None
    return noted.end if source.holds(noted.identity, noted.end) else None
