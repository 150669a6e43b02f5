"""The demonstration, on less traffic: what it shows, and that a second one adds nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = """
import sys
from ledger_pipeline.cli import demo, run
demo.EXECUTIONS, demo.DAYS = 40, 150
sys.exit(run(["demo", *sys.argv[1:]]))
"""


def demonstrated(ledger_url: str, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A process of its own: Dagster's imports warn, and warnings are errors here."""
    environment = os.environ | {"LEDGER_HOME": str(home), "LEDGER_DATABASE_URL": ledger_url}
    return subprocess.run(
        [sys.executable, "-c", SMALL, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.mission("A15")
def test_the_demo_shows_costs_cold_storage_a_replay_and_the_verification(ledger_url: str, tmp_path: Path) -> None:
    first = demonstrated(ledger_url, tmp_path / "home")
    assert first.returncode == 0, first.stderr
    shown = first.stdout
    for part in (
        "Cost by month and model, USD",
        "Cold storage in",
        "One execution replayed from cold storage",
        " events re-hashed, 0 problems",
        "make ui",
        "ledger-pipeline sql",
    ):
        assert part in shown
    parquet, postgres, recorded = (
        int(count.replace(",", ""))
        for count in re.search(r"([\d,]+) events in Parquet and ([\d,]+) in Postgres, of ([\d,]+) that", shown).groups()  # type: ignore[union-attr]
    )
    assert parquet > 0
    assert parquet + postgres == recorded

    second = demonstrated(ledger_url, tmp_path / "home")
    assert second.returncode == 0, second.stderr
    assert ", 0 new events" in second.stderr
    assert f"of {recorded:,} that were recorded" in second.stdout


@pytest.mark.slow
def test_the_demo_takes_an_aider_log(ledger_url: str, tmp_path: Path) -> None:
    log = tmp_path / "analytics.jsonl"
    log.write_text(
        '{"event": "launched", "properties": {}, "user_id": "u", "time": 1723552800}\n'
        '{"event": "message_send", "properties": {"main_model": "gpt-4o", "edit_format": "diff", '
        '"prompt_tokens": 1200, "completion_tokens": 80, "total_tokens": 1280, "cost": 0.0038, "total_cost": 0.0038}, '
        '"user_id": "u", "time": 1723552801}\n'
        '{"event": "exit", "properties": {}, "user_id": "u", "time": 1723552802}\n'
    )
    done = demonstrated(ledger_url, tmp_path / "home", "--input", str(log))
    assert done.returncode == 0, done.stderr
    assert "gpt-4o" in done.stdout
    assert "0 in Postgres" in done.stdout
