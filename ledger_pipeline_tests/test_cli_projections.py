"""`seed` and `projections` as a user runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline_tests.cli import CommandLine


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ledger_url: str
) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return CommandLine(capfd)


@pytest.fixture
def connection(ledger_url: str) -> Iterator[Connection]:
    with connect(ledger_url, autocommit=True) as opened:
        yield opened


@pytest.mark.mission("B6")
@pytest.mark.mission("A9")
def test_seeded_rows_are_checked_a_changed_one_is_named_and_rebuilt(cli: CommandLine, connection: Connection) -> None:
    seeded = cli("seed", "--json").data
    assert seeded["new_events"] == seeded["events"] > 60
    assert cli("seed").out.splitlines()[-1].endswith("events of 3 executions, 0 new events")

    assert cli("projections", "check").code == 0
    running = seeded["executions"]["performance_tuning"]
    connection.execute("UPDATE workflow_executions SET total_cost = total_cost + 1 WHERE id = %s", (running,))
    wrong = cli("projections", "check")
    assert wrong.code == 1
    assert wrong.out.startswith(f"workflow_executions {running}: total_cost is ")
    answer = cli("projections", "check", "--json")
    assert answer.code == 1
    assert (answer.data["ok"], answer.data["differing"]) == (False, {"workflow_executions": 1})
    assert answer.data["differences"][0]["columns"] == ["total_cost"]
    others = [name for name in seeded["executions"].values() if name != running]
    assert cli("projections", "check", *others).code == 0

    assert cli("projections", "rebuild", running, "--json").data["executions"] == 1
    assert cli("projections", "check", "--json").data["ok"]
    assert cli("projections", "rebuild").out.endswith(" rows of 3 executions made anew from their events\n")


def test_an_unknown_execution_is_wrong_use(cli: CommandLine) -> None:
    answer = cli("projections", "check", "00000000-0000-7000-8000-000000000009")
    assert answer.code == 2
    assert "does not exist" in answer.err
