"""A pytest plugin: ends the run with a table of the mission's rows, the tests that prove each, and how they went."""

from collections import Counter

import pytest

ROWS = tuple(
    f"{letter}{number}"
    for letter, last in (("A", 15), ("B", 7), ("C", 5), ("D", 5), ("E", 6))
    for number in range(1, last + 1)
)
_PROPERTY = "mission"
_RESULTS = pytest.StashKey[dict[str, Counter[str]]]()
_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow", "no test": "yellow"}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for mark in metafunc.definition.iter_markers("mission"):
        for row in mark.args:
            if row not in ROWS:
                # Here, so that it is an error of the module's collection in every worker.
                name = metafunc.definition.name
                pytest.fail(f"{name}: mission({row!r}): no such row; rows: {', '.join(ROWS)}", pytrace=False)


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


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int | pytest.ExitCode, config: pytest.Config
) -> None:
    results = config.stash[_RESULTS]
    complete = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and _is_of_everything(config)
    if not results and not complete:
        return
    terminalreporter.write_sep("=", "the mission, row by row")
    for row in ROWS if complete else (row for row in ROWS if row in results):
        count = results.get(row, Counter[str]())
        verdict = next((each for each in ("failed", "passed", "skipped") if count[each]), "no test")
        # What was skipped proves nothing: a row says so even where its other tests passed.
        colour = "skipped" if verdict == "passed" and count["skipped"] else verdict
        tests = ", ".join(
            f"{count[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if count[outcome]
        )
        terminalreporter.write_line(f"{row:<5} {tests or verdict}", **{_COLOURS[colour]: True})
    if not complete and (others := [row for row in ROWS if row not in results]):
        terminalreporter.write_line(f"not run, of a part of the tests: {', '.join(others)}")


def _is_of_everything(config: pytest.Config) -> bool:
    """Whether the run is of every test: none was chosen by path, name or mark, and it was not cut short."""
    chosen = ("keyword", "markexpr", "deselect", "maxfail", "lf", "collectonly")
    return config.args_source is not config.ArgsSource.ARGS and not any(config.getoption(each, None) for each in chosen)
