"""Bulk append beside a bare `COPY` of the same rows into the same table: `python -m benchmarks.append`.

Each round has two copies of one empty ledger, tables made ahead. Into the first goes `append_many`: it numbers, judges,
hashes and stores the events and moves heads and projections. Its stored rows are then taken out into
memory, as `COPY` writes them, and copied bare into the second.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.databases import copy_of, database
from benchmarks.result import Result, print_table
from ledger_pipeline.events.catalogue import EVENT_COLUMNS, EVENT_TYPES
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.leaves import make_leaves
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.ingest.simulate import (
    populate,
    simulate,
)
from ledger_pipeline.ledger import set_up
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.settings import Settings

NOW = datetime(2025, 6, 2, tzinfo=UTC)
DAYS = 14
EXECUTIONS = 3_000
ROUNDS = 3
TARGET_RATIO = 0.3

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, EVENT_COLUMNS))
_OUT = sql.SQL("COPY (SELECT {} FROM workflow_events) TO STDOUT").format(_COLUMNS)
_IN = sql.SQL("COPY workflow_events ({}) FROM STDIN").format(_COLUMNS)
_HEADS_OUT = "COPY execution_heads TO STDOUT"
_HEADS_IN = "COPY execution_heads FROM STDIN"


def run(executions: int = EXECUTIONS) -> list[Result]:
    """Medians over the rounds."""
    appended: list[float] = []
    copied: list[float] = []
    with empty_ledger() as (server, template):
        with connect(make_conninfo(server, dbname=template), autocommit=True) as connection:
            priced = partial(price, load_book(connection))
            rows = [event.to_row() for event in simulate(executions, DAYS, 1, NOW, priced)]
            populate(connection)
            weeks = {week_of(row["occurred_at"]) for row in rows}
            make_leaves(connection, [(event_type, week) for event_type in EVENT_TYPES for week in weeks])
        for _ in range(ROUNDS):
            with copy_of(server, template) as first, copy_of(server, template) as second:
                appended.append(len(rows) / _append(first, rows))
                copied.append(len(rows) / _copy(first, second))
    ratios = [ours / bare for ours, bare in zip(appended, copied, strict=True)]
    return [
        Result("bare COPY … FROM", statistics.median(copied), 1.0),
        Result("bulk append", statistics.median(appended), statistics.median(ratios), TARGET_RATIO),
    ]


def _append(into: Connection, rows: list[dict[str, Any]]) -> float:
    began = time.perf_counter()
    append_many(into, rows, history=True)
    return time.perf_counter() - began


def _copy(stored: Connection, into: Connection) -> float:
    """Seconds of copying what the first ledger holds into the second; the heads that events refer to come before."""
    with stored.cursor() as cursor:
        with cursor.copy(_HEADS_OUT) as copy:
            heads = b"".join(bytes(part) for part in copy)
        with cursor.copy(_OUT) as copy:
            events = b"".join(bytes(part) for part in copy)
    with into.cursor() as cursor:
        with cursor.copy(_HEADS_IN) as copy:
            copy.write(heads)
        began = time.perf_counter()
        with cursor.copy(_IN) as copy:
            copy.write(events)
        return time.perf_counter() - began


@contextmanager
def empty_ledger() -> Generator[tuple[str, str]]:
    """A server's URL and the name of a ledger on it that holds nothing."""
    with (
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
        running_server(Settings(home=Path(folder), database_url=Settings.read().database_url)) as server,
        database(server) as name,
    ):
        set_up(make_conninfo(server, dbname=name), NOW)
        yield server, name


def main() -> None:
    """Prints the table."""
    print_table("append", run(int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS))


if __name__ == "__main__":
    main()
