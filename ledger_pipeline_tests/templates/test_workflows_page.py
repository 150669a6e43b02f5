"""What docs/workflows.md shows can be saved and run as it stands."""

import os
import re
import sys
from pathlib import Path

import pytest

from ledger_pipeline.templates import read_definition
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.steps import STEP_CLASSES
from ledger_pipeline_tests.documents import blocks, ran_in_shell
from ledger_pipeline_tests.templates.printed import VM_DEPLOYMENT

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", blocks(PAGE, "json"))
def test_every_definition_of_the_page_is_accepted(document: str) -> None:
    allowed = ["steps"] if '"steps"' not in document else []
    assert [warning.where for warning in read_definition(document).warnings] == allowed


def test_the_page_names_every_field_and_every_type_of_step() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE)) | set(re.findall(r'"([a-z_]+)":', PAGE))
    assert set(Definition.model_fields) <= named
    for kind, model in STEP_CLASSES.items():
        assert f'"{kind}"' in PAGE
        # Ids and orders are what a database gives back, not what an author writes.
        assert set(model.model_fields) - {"step_order", "workflow_template_id"} <= named


def test_every_command_and_program_of_the_page_runs(ledger_url: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LEDGER_HOME": str(tmp_path / "home"),
        "LEDGER_DATABASE_URL": ledger_url,
    }
    (tmp_path / "vm_deployment.json").write_text(blocks(PAGE, "json")[0], encoding="utf-8")
    program = "".join(blocks(PAGE, "python"))
    commands = "\n".join(blocks(PAGE, "sh")) + '\npython -c "$PROGRAM"'
    done = ran_in_shell(commands, tmp_path, environment | {"PROGRAM": program})
    assert done.stdout.endswith("2.0.0 ubuntu-22.04\n"), done.stdout
    assert VM_DEPLOYMENT["name"] in done.stdout
