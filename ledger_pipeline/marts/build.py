"""Builds the marts: takes what is new since the last build, derives every mart, judges the rules, and publishes."""

# ruff: noqa: S608  names of tables and columns are our own; values are parameters

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from ledger_pipeline.durable import sync
from ledger_pipeline.engines.duckdb.session import another_session, building
from ledger_pipeline.engines.duckdb.tables import count, create_table
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.marts import coverage, publish, refresh, staging
from ledger_pipeline.marts.checks import CheckResult, require, run_checks
from ledger_pipeline.marts.definitions import fingerprint, marts
from ledger_pipeline.marts.ledger_source import LedgerSource, publish_lock
from ledger_pipeline.marts.source import Cursor, Source
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
    "price_book": "VARCHAR",
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
    with publish.unfinished(settings.marts_dir) as work, ThreadPoolExecutor(1, "beside") as beside:
        last = None if full else publish.current_or_none(settings)
        noted = _continued(last, source) if last else None
        after = noted.end if noted else None
        copied = flushed = None
        if last and noted:
            say("continuing the current build")
            # While the ledger is read; the copy reaches the disk while marts are derived, instead of at the end.
            copied, flushed = beside.submit(shutil.copyfile, last, work), beside.submit(sync, work)
        identity = source.identity()
        checkpoints = source.checkpoints()
        feed = source.read(after)
        price_book = source.price_book()
        told = {"removed_costs": source.removed_costs(), "budgets": source.budgets()}
        if noted is None or noted.price_book != price_book:
            told["model_pricing"] = source.prices()
        if copied:
            copied.result()
        with building(work) as connection:
            if after is None:
                say("building from all events")
                _create(connection)
            before = staging.row_counts(connection)
            added = staging.add_events(connection, feed.batches, lambda n: say(f"{n:,} events read"))
            say(f"{added:,} events read; deriving marts")
            staging.add_checkpoints(connection, checkpoints)
            replaced = {f"staging.{name}" for name, rows in told.items() if staging.replace(connection, name, rows)}
            source.count_events(connection, feed.end)
            delta = None if after is None else refresh.Delta(connection, before, replaced | {"staging.event_totals"})
            for mart in marts().values():
                if delta:
                    delta.refresh(mart)
                else:
                    refresh.refresh_whole(connection, mart)
            say("checking the marts")
            with ThreadPoolExecutor(1, "count") as counting:
                counted = counting.submit(_rows, connection)
                results = list(run_checks(connection, delta))
            require(results)
            # Makes room for the build, which is sound, while it is written: a large file takes long to remove.
            removed = beside.submit(publish.remove_old, settings.marts_dir, settings.marts_keep_builds - 1)
            if delta:
                delta.close()
            _note(connection, (fingerprint(), now, after is None, *identity, *feed.end, price_book))
        wait([removed])
        if flushed:
            flushed.result()  # a flush that failed is told of once: to who asked for it
        path = publish.swap_in(work, now, settings.marts_keep_builds)
        say(f"published {path.name}")
    return Build(path, counted.result(), after is None, added, feed.end, tuple(results))


def _silent(message: str) -> None:
    """Nobody wants to know."""


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    staging.create(connection)
    create_table(connection, "staging.build", _STATE_COLUMNS)
    refresh.create(connection)


def _rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of each mart, counted on a session of its own."""
    with another_session(connection) as other:
        return {name: count(other, mart.rows_of) for name, mart in marts().items()}


def _note(connection: duckdb.DuckDBPyConnection, values: tuple[object, ...]) -> None:
    connection.execute("DELETE FROM staging.build")
    connection.execute(f"INSERT INTO staging.build VALUES ({', '.join('?' * len(_STATE_COLUMNS))})", values)


def _continued(path: Path, source: Source) -> coverage.Noted | None:
    """The note of a build that can be continued, else None: then everything is built anew."""
    noted = coverage.noted(path)
    if noted is None or noted.fingerprint != fingerprint():
        return None
    return noted if source.holds(noted.identity, noted.end) else None
