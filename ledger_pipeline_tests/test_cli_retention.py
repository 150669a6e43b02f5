"""Retention, legal holds, and the recovery from a cold folder, on the command line."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger_pipeline import Ledger
from ledger_pipeline_tests.cli import CommandLine
from ledger_pipeline_tests.cold.histories import fill

NOW = "2025-06-02T00:00:00Z"
BY = ("--operator", "ann", "--reason", "records schedule, 4")


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ledger_url: str
) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    with Ledger.open() as ledger:
        fill(ledger.connection, 4)
        ledger.roll(datetime(2025, 6, 2, tzinfo=UTC))
    return CommandLine(capfd)


@pytest.mark.slow
@pytest.mark.mission("C5")
def test_weeks_are_held_and_removed(cli: CommandLine) -> None:
    with Ledger.open() as ledger:
        ledger.build_marts(datetime(2025, 6, 2, tzinfo=UTC))
        ledger.prune(datetime(2025, 6, 2, tzinfo=UTC), 1)
    assert "retention is off" in cli("retention", "list").out
    assert "retention is off" in cli("retention", "remove", *BY).err
    held = cli("retention", "hold", "--ledger", *BY, "--json").data
    assert cli("retention", "holds", "--json").data[0]["placed_by"] == "ann"
    listed = cli("retention", "list", "--now", NOW, "--days", 100).out
    assert "week 2025-01-06: " in listed
    assert "stays: a legal hold on the whole ledger, placed by ann" in listed
    assert cli("retention", "remove", "--now", NOW, "--days", 100, *BY, "--dry-run").out == "0 weeks would be removed\n"
    assert cli("retention", "lift", held["id"], *BY).out == f"hold {held['id']} is lifted\n"
    assert "3 weeks would be removed" in cli("retention", "remove", "--now", NOW, "--days", 100, *BY, "--dry-run").out
    assert "3 weeks removed" in cli("retention", "remove", "--now", NOW, "--days", 100, *BY).out
    assert "by ann: records schedule, 4" in cli("retention", "list").out
    assert "week 2025-01-06: " in cli("verify").out
    assert cli("verify", "--json").data["ok"]
    refused = cli("export", "jsonl")
    assert (refused.code, refused.out) == (2, "")
    assert "were removed under retention" in refused.err
    assert cli("export", "jsonl", "--but-removed").code == 0


def test_what_a_hold_and_a_removal_need(cli: CommandLine) -> None:
    assert "a hold is on one of --ledger, --execution" in cli("retention", "hold", *BY).err
    assert "'--reason'" in cli("retention", "hold", "--ledger").err
    assert "'--reason'" in cli("retention", "remove").err
    assert cli("retention", "remove", "--days", 0, *BY).code == 2


@pytest.mark.slow
def test_a_ledger_is_recovered_from_its_folder(
    cli: CommandLine, make_ledger: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "into an empty database" in cli("recover").err
    monkeypatch.setenv("LEDGER_COLD_URL", str(tmp_path / "home" / "cold"))
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", make_ledger())
    recovered = cli("recover").out
    assert "36 events of 4 executions in 3 weeks are back" in recovered
    assert "lost: templates" in recovered
    assert cli("verify").code == 0


def test_adopting_a_database_with_a_foreign_folder_warns(
    cli: CommandLine, make_ledger: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEDGER_COLD_URL", str(tmp_path / "empty"))
    adopted = cli("adopt")
    assert adopted.code == 0
    assert "warning: the cold folder" in adopted.err
    assert "lacks files of the weeks 2025-01-06, 2025-01-13, 2025-01-20" in adopted.err
