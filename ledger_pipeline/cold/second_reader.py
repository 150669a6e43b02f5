"""The second reader's process: it verifies files beside the one that writes the next.

Verifying holds the interpreter's lock most of the time: in one process with it, writing takes half as long again. It is
a process of our own and not one of `multiprocessing`, which would run the caller's main script a second time.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.cold.verify import verify_files
from ledger_pipeline.errors import ColdStoreDamaged, ColdStoreUnreachable, LedgerError
from ledger_pipeline.settings import Bucket, ColdStore, cold_store_at

WORTH_A_PROCESS = 24 << 20
"""Bytes of the weeks' hot rows, some 32,000 events, from which on a process verifies them. Starting it takes as long as
verifying 100,000 events, but while something is being written, and the memory that verifying takes is its own."""


_ERRORS = (ColdStoreDamaged, ColdStoreUnreachable)


class SecondReader:
    """Verifies weeks: few small ones here, else in a process that lives until the end of the `with` block."""

    def __init__(self, hot_bytes: int) -> None:
        """`hot_bytes`: what the weeks to come take in the hot store."""
        self._is_worth_a_process = hot_bytes >= WORTH_A_PROCESS
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._is_worth_a_process:
            command = [sys.executable, "-m", "ledger_pipeline.cold.second_reader"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            if error is not None:
                self._process.kill()
            self._process.communicate()  # its input ends, and so it does

    def verify(self, cold_dir: ColdStore, week: date, files: Sequence[ColdFile]) -> tuple[int, bytes]:
        """What `verify_files` answers, and its errors."""
        if self._process is None:
            return verify_files(cold_dir, week, files)
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        try:
            asked.write(
                _line(
                    {
                        "cold_dir": str(cold_dir),
                        "copies": str(cold_dir.copies) if isinstance(cold_dir, Bucket) else "",
                        "week": str(week),
                        "files": [asdict(file) for file in files],
                    }
                )
            )
            asked.flush()
            answer = json.loads(answered.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            ended = self._process.wait()
            raise LedgerError(f"the process that verifies files ended with exit code {ended}: roll again") from None
        for kind in _ERRORS:
            if kind.code in answer:
                raise kind(answer[kind.code])
        return answer["events"], bytes.fromhex(answer["root"])


def _answer(asked: IO[bytes], answered: IO[bytes]) -> None:
    """Answers a line with a line until there are no more."""
    for line in asked:
        question = json.loads(line)
        files = [ColdFile.from_json(file) for file in question["files"]]
        try:
            cold_dir = cold_store_at(question["cold_dir"], Path(question["copies"]))
            events, root = verify_files(cold_dir, date.fromisoformat(question["week"]), files)
        except _ERRORS as error:
            answered.write(_line({error.code: str(error)}))
        else:
            answered.write(_line({"events": events, "root": root.hex()}))
        answered.flush()


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    # Whoever interrupts the roll from the terminal interrupts this process too: its end is up to the roll.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _answer(sys.stdin.buffer, sys.stdout.buffer)
