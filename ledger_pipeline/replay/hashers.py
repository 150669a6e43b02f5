"""The processes that hash for `verify`: one for each processor, since hashing holds the interpreter's lock.

They are processes of our own and not those of `multiprocessing`, which would run the caller's main script again.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any, Self

from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.errors import ColdStoreUnreachable, LedgerError
from ledger_pipeline.replay.sound_events import SoundWeek, fold_nodes, read_hot_rows, read_weeks
from ledger_pipeline.settings import Bucket, ColdStore, cold_store_at

WORTH_PROCESSES = 65_536
"""Events from which on starting the processes, which takes as long as hashing 100,000 events, is worth it."""


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Hashers:
    """Answers in processes that live until the end of the `with` block; a small ledger's questions at once, here."""

    def __init__(self, events: int) -> None:
        self._count = _processors() if events >= WORTH_PROCESSES else 0
        self._threads = ThreadPoolExecutor(self._count, "hashers") if self._count else None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def __enter__(self) -> Self:
        for _ in range(self._count):
            command = [sys.executable, "-m", "ledger_pipeline.replay.hashers"]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._processes.append(process)
            self._idle.put(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            for process in self._processes:
                process.kill()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.communicate()  # its input ends, and so it does

    @property
    def are_processes(self) -> bool:
        """Whether answers come from beside the caller."""
        return self._threads is not None

    def read_weeks(self, cold_dir: ColdStore, weeks: list[SoundWeek], name: Path) -> Future[bool]:
        """What `sound_events.read_weeks` answers."""
        described = [
            {
                "week": week.week.isoformat(),
                "events": week.events,
                "root": week.root.hex(),
                "files": [asdict(file) for file in week.files],
            }
            for week in weeks
        ]
        copies = str(cold_dir.copies) if isinstance(cold_dir, Bucket) else ""
        return self._ask(
            {"ask": "weeks", "cold_dir": str(cold_dir), "copies": copies, "weeks": described, "name": str(name)}
        )

    def read_hot_rows(self, rows_file: Path, week: date, name: Path) -> Future[bool]:
        """What `sound_events.read_hot_rows` answers."""
        return self._ask({"ask": "hot rows", "file": str(rows_file), "week": week.isoformat(), "name": str(name)})

    def fold_nodes(self, nodes_file: Path, start: int, end: int) -> Future[str]:
        """What `sound_events.fold_nodes` answers, in hex."""
        return self._ask({"ask": "nodes", "file": str(nodes_file), "start": start, "end": end})

    def _ask(self, question: dict[str, Any]) -> Future[Any]:
        if self._threads is not None:
            return self._threads.submit(self._answered, question)
        done: Future[Any] = Future()
        done.set_result(_answer(question))
        return done

    def _answered(self, question: dict[str, Any]) -> Any:
        process = self._idle.get()
        asked, answered = process.stdin, process.stdout
        assert asked is not None
        assert answered is not None
        try:
            asked.write(_line(question))
            asked.flush()
            answer = json.loads(answered.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            ended = process.wait()
            raise LedgerError(f"a process that hashes events ended with exit code {ended}: verify again") from None
        finally:
            self._idle.put(process)
        if "unreachable" in answer:
            raise ColdStoreUnreachable(answer["unreachable"])
        return answer["found"]


def _answer(question: dict[str, Any]) -> bool | str:
    def path(name: str) -> Path:
        return Path(question[name])

    match question["ask"]:
        case "weeks":
            weeks = [
                SoundWeek(
                    date.fromisoformat(week["week"]),
                    week["events"],
                    bytes.fromhex(week["root"]),
                    [ColdFile.from_json(file) for file in week["files"]],
                )
                for week in question["weeks"]
            ]
            return read_weeks(cold_store_at(question["cold_dir"], path("copies")), weeks, path("name"))
        case "hot rows":
            return read_hot_rows(path("file"), date.fromisoformat(question["week"]), path("name"))
        case _:
            return fold_nodes(path("file"), question["start"], question["end"]).hex()


def _serve(asked: IO[bytes], answered: IO[bytes]) -> None:
    """Answers a line with a line until there are no more."""
    for line in asked:
        try:
            answer = {"found": _answer(json.loads(line))}
        except ColdStoreUnreachable as error:
            answer = {"unreachable": str(error)}
        answered.write(_line(answer))
        answered.flush()


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    # Whoever interrupts the verification from the terminal interrupts this process too: its end is up to the other.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # taking the interpreter down takes a quarter of a second, for which the verification would wait
