"""A pytest plugin: ends the run with a table of the mission's rows, the tests that prove each, and how they went."""

import re
from collections import Counter

import pytest

_PROPERTY = "mission"
_RESULTS = pytest.StashKey[dict[str, Counter[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("mission"):
            # A property travels with the report from the worker that runs the test to the process that counts.
            item.user_properties += [(_PROPERTY, row) for row in mark.args]


class _Counting:
    """Counts reports; a plugin of its own because `pytest_runtest_logreport` is not given the configuration."""

    def __init__(self, results: dict[str, Counter[str]]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test counts once: by its call, or by the set-up or clean-up that failed or skipped it.
        if report.when == "call" or not report.passed:
            for name, row in report.user_properties:
                if name == _PROPERTY:
                    self._results.setdefault(str(row), Counter())[report.outcome] += 1


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Counting(session.config.stash[_RESULTS]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[_RESULTS]
    if not results:
        return
    terminalreporter.write_sep("=", "the mission, row by row")
    for row in sorted(results, key=_place):
        count = results[row]
        verdict = "failed" if count["failed"] else "skipped" if count["skipped"] and not count["passed"] else "passed"
        tests = ", ".join(
            f"{count[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if count[outcome]
        )
        colour = {"passed": "green", "failed": "red", "skipped": "yellow"}[verdict]
        terminalreporter.write_line(f"{row:<5} {verdict:<8} {tests}", **{colour: True})


def _place(row: str) -> tuple[str, int, str]:
    """A2 before A10."""
    letter, number = re.fullmatch(r"(\D*)(\d*).*", row, re.DOTALL).groups()  # type: ignore[union-attr]
    return letter, int(number or 0), row
