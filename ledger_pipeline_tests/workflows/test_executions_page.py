"""What docs/executions.md shows runs as it stands, and what it lists is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger_pipeline import errors
from ledger_pipeline.templates.conditions import parse_condition
from ledger_pipeline.workflows.workflows import Workflows
from ledger_pipeline_tests.documents import blocks

PAGE = (Path(__file__).parents[2] / "docs" / "executions.md").read_text(encoding="utf-8")


@pytest.mark.mission("E4")
def test_the_pages_program_runs(ledger_url: str, tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "LEDGER_HOME": str(tmp_path / "home"), "LEDGER_DATABASE_URL": ledger_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "completed ['review', 'judge', 'mend', 'document'] 0.009000000000\n",
    ), done.stderr


def test_the_page_names_every_command() -> None:
    commands = {name for name in dir(Workflows) if not name.startswith("_")} - {"state"}
    assert commands <= set(re.findall(r"`(?:Ledger\.workflows\.)?(\w+)(?:\(now\))?`", PAGE))


def test_the_pages_error_codes_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(rows) > 8
    assert [(getattr(errors, name).code, name) for _, name in rows] == rows


def test_the_pages_conditions_are_understood() -> None:
    table = PAGE.partition("### Conditions")[2].partition("The braces")[0]
    for text in re.findall(r"`([^`]*(?:==|\{\{)[^`]*)`", table):
        parse_condition(text)
