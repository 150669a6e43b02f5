"""What `make` does before any Python of ours runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with a space in its name and the files that `make` looks at."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment | variables, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_the_targets(clone: Path) -> None:
    listed = make(clone)
    assert listed.returncode == 0
    for target in ("setup", "demo", "test", "lint", "ui", "bench", "spark", "clean"):
        assert f"make {target} " in listed.stdout


def test_a_python_that_is_none_is_said_plainly(clone: Path) -> None:
    done = make(clone, "setup", "PYTHON=/nowhere/python3")
    assert done.returncode == 2
    assert "no usable Python" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_that_is_too_old_is_not_taken(clone: Path, tmp_path: Path) -> None:
    old = tmp_path / "old python"
    old.write_text("#!/bin/sh\nexit 1\n")  # what the version test answers on 3.10
    old.chmod(0o755)
    done = make(clone, "setup", f"PYTHON={old}")
    assert done.returncode == 2
    assert "Python 3.11 or newer" in done.stderr


def test_a_useless_python_of_the_environment_is_passed_over(clone: Path) -> None:
    planned = make(clone, "--dry-run", "setup", PYTHON="/nowhere/python3")
    assert planned.returncode == 0
    assert '"/nowhere/python3" python3 ' in planned.stdout


def test_an_environment_that_was_moved_is_built_anew(clone: Path) -> None:
    (clone / ".venv").mkdir()
    for name in (".place", ".requirements", ".project"):
        (clone / ".venv" / name).write_text("/somewhere/else\n")
    assert "-m venv --clear" in make(clone, "--dry-run", "setup").stdout


def test_clean_keeps_the_ledger(clone: Path) -> None:
    for name in ("data", ".venv", "ledger_pipeline", "ledger_pipeline_tests", "benchmarks"):
        (clone / name).mkdir()
    (clone / "data" / "ledger").touch()
    assert make(clone, "clean").returncode == 0
    assert (clone / "data" / "ledger").exists()
    assert not (clone / ".venv").exists()


def test_no_registry_and_no_machine_is_named() -> None:
    for name in ("Makefile", ".ci/run", "requirements.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text, name
        assert "/home/" not in text, name
        assert "/root/" not in text, name
