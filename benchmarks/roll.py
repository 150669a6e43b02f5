"""The roll to cold storage beside a bare binary `COPY … TO` of the same rows: `python -m benchmarks.roll`."""

import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.roll import due_weeks, roll_week
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.migrate import migrate
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.settings import Settings

NOW = datetime(2025, 6, 2, tzinfo=UTC)
WEEKS = 2
EXECUTIONS = 10_000
TARGET_RATIO = 0.2


@dataclass(frozen=True)
class Result:
    """One line of the table; `ratio` is to the baseline of the same rows in the same run."""

    name: str
    rows_per_second: float
    ratio: float
    target: float | None = None


def run(executions: int = EXECUTIONS, weeks: int = WEEKS) -> list[Result]:
    """Medians over the weeks of one simulated ledger; each week is copied out bare, then rolled."""
    shares: dict[str, list[float]] = {name: [] for name in ("copy", "write", "verify", "commit", "roll")}
    ratios: dict[str, list[float]] = {name: [] for name in shares}
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder:
        settings = Settings(home=Path(folder))
        with _ledger(Settings(home=Path(folder), database_url=Settings.read().database_url)) as connection:
            run_simulation(connection, load_book(connection), executions, 7 * weeks, 1, NOW)
            connection.execute("VACUUM (ANALYZE) workflow_events")
            close_checkpoint(connection)
            for week in due_weeks(connection, NOW, 0):
                baseline, rows = _copy_out(connection, week)
                rolled = roll_week(connection, settings, week, NOW, keep_days=0)
                if rows < executions:  # a first or last week that is cut short
                    continue
                seconds = {
                    "copy": baseline,
                    "write": rolled.write_seconds,
                    "verify": rolled.verify_seconds,
                    "commit": rolled.commit_seconds,
                    "roll": rolled.seconds,
                }
                for name, taken in seconds.items():
                    shares[name].append(rows / taken)
                    ratios[name].append(baseline / taken)
    labels = {"copy": "bare binary COPY … TO", "roll": "roll, all steps"}
    return [
        Result(
            labels.get(name, f"roll: {name}"),
            statistics.median(shares[name]),
            statistics.median(ratios[name]),
            TARGET_RATIO if name == "roll" else None,
        )
        for name in shares
    ]


def _copy_out(connection: Connection, week: date) -> tuple[float, int]:
    """Median seconds of three, and the rows."""
    query = sql.SQL("COPY (SELECT * FROM workflow_events WHERE week = {}) TO STDOUT (FORMAT binary)").format(
        sql.Literal(week)
    )
    taken: list[float] = []
    rows = 0
    for _ in range(3):
        began = time.perf_counter()
        with connection.cursor() as cursor:
            with cursor.copy(query) as copy:
                for _ in copy:
                    pass
            rows = cursor.rowcount
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), rows


@contextmanager
def _ledger(settings: Settings) -> Generator[Connection]:
    name = f"ledger_bench_{uuid.uuid4().hex[:12]}"
    with running_server(settings) as server:
        url = make_conninfo(server, dbname=name)
        with psycopg.connect(server, autocommit=True) as maintenance:
            maintenance.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            try:
                migrate(url, NOW)
                with connect(url, autocommit=True) as connection:
                    yield connection
            finally:
                maintenance.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def main() -> None:
    """Prints the table."""
    executions = int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS
    print(f"{'':28}{'rows/s':>12}{'× COPY':>10}{'target':>10}")  # noqa: T201
    for result in run(executions):
        target = "" if result.target is None else f"≥ {result.target}"
        print(f"{result.name:28}{result.rows_per_second:12,.0f}{result.ratio:10.2f}{target:>10}")  # noqa: T201


if __name__ == "__main__":
    main()
