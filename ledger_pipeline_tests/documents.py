"""What documents show: their blocks of code, and whether a shell runs them."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path


def blocks(text: str, language: str) -> list[str]:
    """The blocks of a document in a language, without their fences."""
    every = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for of_block, block in every if of_block == language]


def ran_in_shell(commands: str, folder: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Runs commands in a shell that stops at the first that fails; none did."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
