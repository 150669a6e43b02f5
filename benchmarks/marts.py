"""The marts beside DuckDB's own `CREATE TABLE AS` of the same rows: `python -m benchmarks.marts [EXECUTIONS]`.

A year is simulated and rolled, so that all of it is in Parquet. Measured are, medians of some rounds each:

- the full build, checks, reconciliation and publishing included, beside a bare DuckDB that creates the same tables with
  the same queries from the same files: no feed, no second count, no check, nothing flushed to disk;
- the build after one more day, beside the full one;
- each query of the README, with the opening of the build, beside a tenth of a second.

The ratio is the baseline's time over ours, so more is better.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median

import duckdb
from psycopg.conninfo import make_conninfo

from benchmarks.result import Result, print_table
from benchmarks.roll import NOW, simulated_ledger
from ledger_pipeline.cli.cost_report import cost_report
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.engines.duckdb.session import STORAGE_VERSION
from ledger_pipeline.engines.duckdb.tables import create_table
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.marts import staging
from ledger_pipeline.marts.build import build
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.ledger_source import LedgerSource
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.marts.sandbox import query
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.settings import Settings

DAYS = 365
EXECUTIONS = 40_000
"""About a million events: with fewer, what a build takes whatever it adds outweighs what grows with the ledger."""
ROUNDS = 3
QUERY_ROUNDS = 5
OF_CREATE_TABLE_AS, OF_FULL_BUILD, QUERY_SECONDS = 0.5, 10.0, 0.1
"""A full build takes at most twice as long, one of a day more at most a tenth, a query at most 100 ms."""

README = Path(__file__).parents[1] / "README.md"


def run(executions: int = EXECUTIONS) -> list[Result]:
    """Every line; the ledger is of a year, whatever its size."""
    with (
        simulated_ledger(executions, DAYS) as (server, name),
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
        connect(make_conninfo(server, dbname=name), autocommit=True) as connection,
    ):
        settings = Settings(home=Path(folder))
        roll(connection, settings, NOW, keep_days=0)
        return [*build_results(connection, settings, max(1, executions // DAYS)), *query_results(settings)]


def build_results(connection: Connection, settings: Settings, executions_a_day: int) -> list[Result]:
    """The builds of a ledger whose events are all cold; adds a day's executions to it for each round."""
    events = 0
    bare: list[float] = []
    full: list[float] = []
    for _ in range(ROUNDS):
        bare.append(create_table_as(connection, settings))
        os.sync()  # none pays for the writes of the one before
        began = time.perf_counter()
        events = build(connection, settings, NOW, full=True).rows["audit_log"]
        full.append(time.perf_counter() - began)
    day: list[float] = []
    added: list[int] = []
    book = load_book(connection)
    for nth in range(1, ROUNDS + 1):
        run_simulation(connection, book, executions_a_day, 1, 100 + nth, NOW + timedelta(days=nth))
        os.sync()
        began = time.perf_counter()
        built = build(connection, settings, NOW + timedelta(days=nth))
        day.append(time.perf_counter() - began)
        added.append(built.new_events)
        assert not built.whole
    whole = median(full)
    return [
        Result("CREATE TABLE AS", events / median(bare), 1.0, note=f"{median(bare):.2f} s, {events:,} events"),
        Result("full build", events / whole, median(bare) / whole, OF_CREATE_TABLE_AS, f"{whole:.2f} s"),
        Result(
            "build after one more day, × full",
            median(added) / median(day),
            whole / median(day),
            OF_FULL_BUILD,
            f"{median(day):.2f} s, {median(added):,.0f} events",
        ),
    ]


def create_table_as(connection: Connection, settings: Settings) -> float:
    """Seconds of a bare DuckDB for the same tables and views, from the same files."""
    files = [str(settings.cold_dir / file.name) for week in committed_weeks(connection) for file in week.files]
    source = LedgerSource(connection, settings)
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder, duckdb.connect() as bare:
        bare.execute("SET GLOBAL TimeZone = 'UTC'")
        bare.execute("SET preserve_insertion_order = false")
        bare.execute(f"ATTACH '{folder}/bare.duckdb' AS bare (STORAGE_VERSION '{STORAGE_VERSION}')")
        bare.execute("USE bare")
        for schema in ("staging", "marts"):
            bare.execute(f"CREATE SCHEMA {schema}")
        bare.register("prices", source.prices())
        bare.register("budgets", source.budgets())
        bare.register("totals", staging.TOTALS_SCHEMA.empty_table())
        bare.register("removed", staging.REMOVED_COSTS_SCHEMA.empty_table())
        os.sync()
        began = time.perf_counter()
        incoming = bare.read_parquet(files, hive_partitioning=False)
        bare.execute("CREATE TABLE staging.model_pricing AS FROM prices")
        bare.execute("CREATE TABLE staging.budgets AS FROM budgets")
        bare.execute("CREATE TABLE staging.event_totals AS FROM totals")
        bare.execute("CREATE TABLE staging.removed_costs AS FROM removed")
        # Where an event's proof begins is looked up in the ledger, which only our build does.
        create_table(bare, "staging.proof_positions", staging.PROOF_POSITIONS)
        for name, text in staging.queries().items():
            incoming.query("incoming", f"CREATE TABLE staging.{name} AS {text}")
        for mart in marts().values():
            bare.execute(f"CREATE {'VIEW' if mart.view else 'TABLE'} {mart.table} AS {mart.query}")
        bare.execute("CHECKPOINT bare")
        return time.perf_counter() - began


def query_results(settings: Settings) -> list[Result]:
    """Each query that the README shows, and its report."""
    results: list[Result] = []
    for sql in re.findall(r'ledger-pipeline sql "(.*?)"', README.read_text(encoding="utf-8"), re.DOTALL):
        results.append(_answered(sql, lambda sql=sql: query(settings, sql)))

    def report() -> object:
        with connect_readonly(settings) as current:
            return cost_report(current, ("month", "model"))

    return [*results, _answered("report --by month --by model", report)]


def _answered(name: str, ask: Callable[[], object]) -> Result:
    seconds: list[float] = []
    for _ in range(QUERY_ROUNDS):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    taken = median(seconds)
    short = re.sub(r"SELECT .* FROM marts\.", "… ", name)[:32]
    return Result(short, 1 / taken, QUERY_SECONDS / taken, 1.0, f"{1000 * taken:.0f} ms")


def main() -> None:
    """Prints the table."""
    print_table("marts", run(int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS), "× baseline")


if __name__ == "__main__":
    main()
