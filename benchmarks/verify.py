"""`verify`, hot and then cold, against the events a second that it must do: `python -m benchmarks.verify`."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.databases import copy_of
from benchmarks.result import Result, print_table
from benchmarks.roll import NOW, simulated_ledger
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings

EXECUTIONS = 16_000
ROUNDS = 3
HOT, COLD = 200_000, 500_000
"""Events a second on two cores."""


def run(executions: int = EXECUTIONS) -> list[Result]:
    """The best of several rounds."""
    with (
        simulated_ledger(executions) as (server, template),
        copy_of(server, template) as connection,
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
    ):
        settings = Settings(home=Path(folder))
        hot = _rate(connection, settings)
        roll(connection, settings, NOW, keep_days=0)
        cold = _rate(connection, settings)
    return [Result("verify, hot", hot, hot / HOT, 1.0), Result("verify, cold", cold, cold / COLD, 1.0)]


def _rate(connection: Connection, settings: Settings) -> float:
    rates: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        report = verify(connection, settings.cold_dir)
        rates.append(report.events / (time.perf_counter() - began))
        assert report.ok, report.problems
    return max(rates)


def main() -> None:
    """Prints the table."""
    print_table("verify", run(int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS), "× target")


if __name__ == "__main__":
    main()
