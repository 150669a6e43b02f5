"""Runs the command line as a user would, against a ledger of the test's own: in this process, or in one of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger_pipeline.cli import run


@dataclass(frozen=True)
class Ran:
    """What one command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its standard output, read as JSON."""
        return json.loads(self.out)


@contextmanager
def running(
    arguments: Sequence[str], environment: Mapping[str, str], says: str, folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs until it is ended, in a process of its own; its first line has what it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger_pipeline", *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell, SIGINT is ignored, and children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert says in line, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


class CommandLine:
    """Runs commands; what they write is captured at the file descriptors, so that psql's output counts too."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: object) -> Ran:
        self._captured.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self._captured.readouterr()
        return Ran(code, out, err)
