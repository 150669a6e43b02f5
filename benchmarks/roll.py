"""The roll to cold storage beside a bare binary `COPY … TO` of the same rows: `python -m benchmarks.roll`.

One ledger of eight weeks is simulated. Each round takes a copy of it, copies the rows of each week out bare, three
times, and then rolls all of them, as the daily job does. The ratio is that of the sum of the weeks' medians to the
whole call. The steps' times are summed over the weeks: while a week is verified the next is written, so they overlap. A
last round rolls while a writer appends, one event after the other: no append is to take longer than the longest commit
of a week, waiting included.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from uuid import uuid4

from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.databases import copy_of, database
from benchmarks.result import Result, print_table
from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.roll import due_weeks, roll
from ledger_pipeline.events import LogRecorded, WorkflowCreated
from ledger_pipeline.events.enums import LogLevel
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect, connect_like
from ledger_pipeline.hot.leaves import make_leaves_ahead
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.ledger import set_up
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.settings import Settings

NOW = datetime(2025, 6, 2, tzinfo=UTC)
DAYS = 56
EXECUTIONS = 32_000
ROUNDS = 3
TARGET_RATIO = 0.2

_COPY = "bare binary COPY … TO"
_ROLL = "roll, all steps"


def run(executions: int = EXECUTIONS) -> list[Result]:
    """Medians over the rounds."""
    rates: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    with simulated_ledger(executions) as (server, template):
        for _ in range(ROUNDS):
            with (
                tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
                copy_of(server, template) as connection,
            ):
                bare = sum(
                    median(_copy_out(connection, week) for _ in range(3)) for week in due_weeks(connection, NOW, 0)
                )
                events, seconds = _roll(connection, Settings(home=Path(folder)))
                for name, taken in {_COPY: bare, **seconds}.items():
                    rates.setdefault(name, []).append(events / taken)
                    ratios.setdefault(name, []).append(bare / taken)
        delay = _append_delay(server, template)
    return [
        *(
            Result(name, median(rates[name]), median(ratios[name]), TARGET_RATIO if name == _ROLL else None)
            for name in rates
        ),
        delay,
    ]


def _copy_out(connection: Connection, week: date) -> float:
    query = sql.SQL("COPY (SELECT * FROM workflow_events WHERE week = {}) TO STDOUT (FORMAT binary)").format(
        sql.Literal(week)
    )
    began = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass
    return time.perf_counter() - began


def _roll(connection: Connection, settings: Settings) -> tuple[int, dict[str, float]]:
    """The events, and the seconds of the steps and of the whole call."""
    began = time.perf_counter()
    rolled = roll(connection, settings, NOW, keep_days=0)
    whole = time.perf_counter() - began
    return sum(week.events for week in rolled), {
        "roll: write": sum(week.write_seconds for week in rolled),
        "roll: verify": sum(week.verify_seconds for week in rolled),
        "roll: commit": sum(week.commit_seconds for week in rolled),
        _ROLL: whole,
    }


def _append_delay(server: str, template: str) -> Result:
    """The longest append while all weeks are rolled; the ratio is that of the longest commit of a week to it."""
    over = threading.Event()
    execution_id = uuid4()

    def write(own: Connection) -> list[float]:
        append(own, execution_id, [WorkflowCreated(occurred_at=datetime.now(UTC), workflow_name="meanwhile")])
        seconds: list[float] = []
        while not over.is_set():
            event = LogRecorded(occurred_at=datetime.now(UTC), log_level=LogLevel.INFO, message="meanwhile")
            began = time.perf_counter()
            append(own, execution_id, [event])
            seconds.append(time.perf_counter() - began)
        return seconds

    with (
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
        copy_of(server, template) as connection,
        connect_like(connection) as own,
        ThreadPoolExecutor(1, "writer") as pool,
    ):
        make_leaves_ahead(connection, datetime.now(UTC))
        writer = pool.submit(write, own)
        began = time.perf_counter()
        try:
            rolled = roll(connection, Settings(home=Path(folder)), NOW, keep_days=0)
        finally:
            over.set()
        whole = time.perf_counter() - began
        seconds = writer.result()
    longest, commit = max(seconds), max(week.commit_seconds for week in rolled)
    note = f"{1000 * longest:.0f} ms, median {1000 * median(seconds):.0f} ms; longest commit {1000 * commit:.0f} ms"
    return Result("longest append meanwhile", len(seconds) / whole, commit / longest, 1.0, note)


@contextmanager
def simulated_ledger(executions: int, days: int = DAYS) -> Generator[tuple[str, str]]:
    """A server's URL and the name of a ledger on it, all of whose events lie below a checkpoint."""
    with (
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
        running_server(Settings(home=Path(folder), database_url=Settings.read().database_url)) as server,
        database(server) as name,
    ):
        url = make_conninfo(server, dbname=name)
        set_up(url, NOW)
        with connect(url, autocommit=True) as connection:
            run_simulation(connection, load_book(connection), executions, days, 1, NOW)
            connection.execute("VACUUM (ANALYZE) workflow_events")
            close_checkpoint(connection)
        yield server, name


def main() -> None:
    """Prints the table."""
    print_table("roll", run(int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS))


if __name__ == "__main__":
    main()
