"""Processes that begin at once: each says `ready`, waits for a line, works, and answers with a line of JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
"""The Python of the environment that holds the peers; `make bench` builds it from `benchmarks/requirements.lock`."""


class Worker:
    """One process; `answer` waits for what it found."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._ready = False

    def wait_until_ready(self) -> None:
        """Waits once; raises RuntimeError with the process's last words when it ended instead."""
        assert self._process.stdout is not None
        if self._ready:
            return
        while (line := self._process.stdout.readline()) != "ready\n":
            if not line:
                _, complaint = self._process.communicate()
                raise RuntimeError(f"{self._process.args!r} ended: {complaint[-2000:]}")
        self._ready = True

    def tell(self, word: str) -> None:
        """Sends a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The last line that the process printed, as JSON."""
        output, complaint = self._process.communicate(timeout=600)
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args!r} failed: {complaint[-2000:]}")
        return json.loads(output.splitlines()[-1])


def race(writers: Sequence[Worker], tail: Worker | None) -> tuple[float, dict[str, Any] | None]:
    """Rows a second that the writers stored together, and what a tailing consumer found when all were done."""
    everybody = [*writers, *([tail] if tail else [])]
    for worker in everybody:
        worker.wait_until_ready()
    for worker in everybody:
        worker.tell("go")
    answers = [writer.answer() for writer in writers]
    rate = sum(answer["count"] / answer["seconds"] for answer in answers)
    if tail is None:
        return rate, None
    tail.tell("stop")
    return rate, tail.answer()


# What a worker says -------------------------------------------------------------------------------------------------


def work(step: Callable[[int], None], seconds: float) -> None:
    """Repeats a step for some seconds, from when it is told to go, and answers how often."""
    say_ready()
    began = time.perf_counter()
    count = 0
    while (passed := time.perf_counter() - began) < seconds:
        step(count)
        count += 1
    say({"count": count, "seconds": passed})


def say_ready() -> None:
    """Waits for the word to go."""
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()


def say(answer: Mapping[str, Any]) -> None:
    """Gives the answer."""
    print(json.dumps(answer), flush=True)  # noqa: T201
