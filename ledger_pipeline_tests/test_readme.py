"""What the documents promise: every command of the README runs, and what they derive from the code is current."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ledger_pipeline_tests.documents import blocks, ran_in_shell
from ledger_pipeline_tests.settings_table import BEGIN, END, settings_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def environment(tmp_path: Path, ledger_url: str) -> dict[str, str]:
    """The environment of a shell in which `ledger-pipeline` works on a ledger of the test's own."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LEDGER_HOME": str(tmp_path / "home"),
        "LEDGER_DATABASE_URL": ledger_url,
    }


@pytest.mark.slow
def test_every_command_of_the_readme_runs(environment: dict[str, str], tmp_path: Path) -> None:
    commands = "\n".join(blocks(README, "sh"))
    assert commands.count("ledger-pipeline ") > 15
    done = ran_in_shell(commands, tmp_path, environment)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", blocks(README, "python"))
def test_every_python_example_of_the_readme_runs(program: str, environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "0.003800000000\n"), done.stderr


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        name
        for document in documents
        for name in re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"demo", "test", "ui"} <= named <= targets


def test_every_file_that_a_document_links_to_exists() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_tree_of_the_readme_names_every_package() -> None:
    tree = next(block for block in blocks(README, "") if block.startswith("ledger_pipeline/"))
    packages = {path.parent.name for path in (ROOT / "ledger_pipeline").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"^  ([a-z]+)/", tree, re.MULTILINE))


def test_the_table_of_settings_is_current() -> None:
    table = README.partition(BEGIN)[2].partition(END)[0].strip()
    assert table == settings_table(), "run: python -m ledger_pipeline_tests.settings_table"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    apart = [
        requirement
        for folder in ("benchmarks", "ledger_pipeline_tests/spark")
        for requirement in (ROOT / folder / "requirements.in").read_text(encoding="utf-8").split()
    ]
    needed = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"], *apart]
    names = {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in needed}
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([a-z0-9-]+) \| \S", page, re.MULTILINE)) - {"package"} == names
