"""`verify` of hot and of cold events, and the auditor's program over the latter: `python -m benchmarks.verify`.

The ledger is that of the benchmark of the roll. It is verified whole while all of it is hot, then rolled, and verified
again. The ratio is to the rate that is aimed at on two cores that do nothing else; it is of this machine, and so no
target that a run could miss.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import verify_ledger
from benchmarks.databases import copy_of
from benchmarks.result import Result, print_table
from benchmarks.roll import EXECUTIONS, NOW, simulated_ledger
from ledger_pipeline.cold.notes import sign_tree
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.replay.note_check import KeptNotes
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings

ROUNDS = 3
HOT, COLD = 200_000, 500_000
"""Events a second that are aimed at."""


def run(executions: int = EXECUTIONS) -> list[Result]:
    """Medians over the rounds."""
    with (
        simulated_ledger(executions) as (server, template),
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
        copy_of(server, template) as connection,
    ):
        settings = Settings(home=Path(folder))
        sign_tree(connection, settings)

        def verified() -> int:
            kept = KeptNotes.read(connection, settings, settings.notes_folder)
            report = verify(connection, settings.cold_dir, notes=kept)
            assert report.ok, report.problems
            return report.events

        hot = _rate(verified)
        roll(connection, settings, NOW, keep_days=0)
        sign_tree(connection, settings)
        cold = _rate(verified)
        (key,) = settings.notes_folder.rglob("*.vkey")
        keys = [verify_ledger.parse_key(key.read_text())]

        def audited() -> int:
            found = verify_ledger.audit(settings.cold_dir, settings.notes_folder, keys)
            assert not found.problems, found.problems
            return found.events

        auditors = _rate(audited)
    return [
        Result("verify --notes, hot", hot, hot / HOT),
        Result("verify --notes, cold", cold, cold / COLD),
        Result("verify_ledger.py", auditors, auditors / COLD),
    ]


def _rate(measured: Callable[[], Any]) -> float:
    """Events a second."""
    rates: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        events = measured()
        rates.append(events / (time.perf_counter() - began))
    return median(rates)


def main() -> None:
    """Prints the table."""
    print_table("verify", run(int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS), "× aim")


if __name__ == "__main__":
    main()
