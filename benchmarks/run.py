"""Every benchmark, as tables; exits with 1 when a ratio is below its target: `make bench`."""

import sys

from benchmarks import append, cold, marts, pricing, replay, roll, single, verify
from benchmarks.result import print_table


def main() -> int:
    """Prints the tables; the exit code."""
    missed = False
    for title, measure, baseline in (
        ("append", append.run, "× COPY"),
        ("single appends", single.run, "× eventsourcing"),
        ("replay", replay.run, "× baseline"),
        ("roll", roll.run, "× COPY"),
        ("cold", cold.run, "× baseline"),
        ("verify", verify.run, "× aim"),
        ("costing", pricing.run, "× loop"),
        ("marts", marts.run, "× baseline"),
    ):
        results = measure()
        print_table(title, results, baseline)
        missed = missed or any(result.missed for result in results)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
