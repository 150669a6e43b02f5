"""A line of a benchmark, and the table of them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One line of the table; `ratio` is to the baseline of the same rows in the same run."""

    name: str
    rows_per_second: float
    ratio: float
    target: float | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether the ratio is below its target."""
        return self.target is not None and self.ratio < self.target


def print_table(title: str, results: Iterable[Result], baseline: str = "× COPY") -> None:
    """Prints the lines under a title."""
    print(f"{title:34}{'rows/s':>12}{baseline:>16}{'target':>10}")  # noqa: T201
    for result in results:
        target = "" if result.target is None else f"≥ {result.target}"
        missed = "  missed" if result.missed else ""
        note = f"  {result.note}" if result.note else ""
        print(  # noqa: T201
            f"  {result.name:32}{result.rows_per_second:12,.0f}{result.ratio:16.2f}{target:>10}{missed}{note}"
        )
