"""Runs the command line in this process, as a user would, against a ledger of the test's own."""

import json
from dataclasses import dataclass
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


class CommandLine:
    """Runs commands; what they write is captured at the file descriptors, so that psql's output counts too."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: object) -> Ran:
        self._captured.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self._captured.readouterr()
        return Ran(code, out, err)
