"""The table of the mission's rows: every row, what was skipped, and no row that there is not."""

import pytest

from ledger_pipeline_tests.mission_report import ROWS

PLUGIN = ("-p", "ledger_pipeline_tests.mission_report", "-p", "no:cacheprovider", "--strict-markers")
TESTS = """
    import pytest

    @pytest.mark.mission("A2")
    @pytest.mark.parametrize("n", range(12))
    def test_passes(n): pass

    @pytest.mark.mission("A2")
    @pytest.mark.mission("A10")
    def test_has_no_data(): pytest.skip("no data")

    @pytest.fixture
    def broken(): raise OSError

    @pytest.mark.mission("B1", "B2")
    def test_breaks(broken): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with tests of a few rows, run by the plugin."""
    pytester.makeini("[pytest]\ntestpaths = tests\nmarkers = mission(row): a row")
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "test_rows.py").write_text(TESTS.replace("\n    ", "\n"))
    return pytester


def table(result: pytest.RunResult) -> dict[str, str]:
    """The rows that were printed, and what was said of each."""
    return dict(line.split(maxsplit=1) for line in result.outlines if line.split(" ")[0] in ROWS)


def test_there_are_all_rows_of_the_mission() -> None:
    assert len(ROWS) == 15 + 7 + 5 + 5 + 6
    assert {"A1", "A15", "B7", "C4", "D5", "E6"} < set(ROWS)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_every_row_is_printed_with_what_was_skipped_and_what_has_no_test(suite: pytest.Pytester, workers: str) -> None:
    said = table(suite.runpytest_subprocess(*PLUGIN, "-n", workers))

    assert list(said) == list(ROWS)
    assert said.pop("A2") == "12 passed, 1 skipped"
    assert said.pop("A10") == "1 skipped"
    assert (said.pop("B1"), said.pop("B2")) == ("1 failed", "1 failed")
    assert set(said.values()) == {"no test"}


@pytest.mark.parametrize("selection", [("-k", "passes"), ("tests/test_rows.py::test_passes",), ("-x", "-k", "passes")])
def test_a_part_of_the_tests_says_nothing_of_other_rows(suite: pytest.Pytester, selection: tuple[str, ...]) -> None:
    result = suite.runpytest_subprocess(*PLUGIN, *selection)

    assert table(result) == {"A2": "12 passed"}
    others = ", ".join(row for row in ROWS if row != "A2")
    result.stdout.fnmatch_lines([f"not run, of a part of the tests: {others}"])


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_row_that_there_is_not_fails_the_collection(suite: pytest.Pytester, workers: str) -> None:
    wrong = suite.path / "tests" / "test_wrong.py"
    wrong.write_text("import pytest\n\n@pytest.mark.mission('A99')\ndef test_nothing(): pass\n")

    result = suite.runpytest_subprocess(*PLUGIN, "-n", workers)

    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED)
    result.stdout.fnmatch_lines(["test_nothing: mission('A99'): no such row; rows: A1, A2, *, E6"])
