"""Single appends beside the peers, in one run on one server: `python -m benchmarks.single [SECONDS]`.

Writers are processes, each with an execution (an aggregate, a workflow) of its own, one event (one step) a
transaction. A consumer tails them all the while and says how many events it missed: `eventsourcing` by notification
ids, ours by the feed. The peers run in `.venv-bench`, which `make bench` builds; without it ours are measured alone.
"""

import select
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.append import empty_ledger
from benchmarks.databases import copy_of, database
from benchmarks.processes import PEERS, ROOT, Worker, race, say, say_ready, work
from benchmarks.result import Result, print_table
from ledger_pipeline.cold.consumer import deliver
from ledger_pipeline.events import LogRecorded, WorkflowCreated, WorkflowStarted
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.leaves import make_leaves_ahead

SECONDS = 4.0
ROUNDS = 3
WRITERS = (1, 4, 8)
TARGET_RATIO, OF_WRITERS = 3.0, 4
NO_PEERS = "eventsourcing and dbos are not measured: `make bench` builds .venv-bench, which holds them"

OURS, DEFAULT, FUNCTIONS, DBOS = "ours", "eventsourcing", "eventsourcing, DB functions", "dbos (steps)"
Started = tuple[list[Worker], Worker | None]


def run(seconds: float = SECONDS, rounds: int = ROUNDS) -> list[Result]:
    """Medians over the rounds, with the events that each consumer missed in all of them."""
    rates: dict[tuple[int, str], list[float]] = {}
    missed: dict[tuple[int, str], list[int]] = {}
    with empty_ledger() as (server, template):
        systems: dict[str, Callable[[int], AbstractContextManager[Started]]] = {
            OURS: lambda writers: _Ours(server, template, writers, seconds)
        }
        if PEERS.exists():
            systems[DEFAULT] = lambda writers: _Eventsourcing(server, writers, seconds, functions=False)
            systems[FUNCTIONS] = lambda writers: _Eventsourcing(server, writers, seconds, functions=True)
            systems[DBOS] = lambda writers: _Dbos(server, writers, seconds)
        else:
            print(NO_PEERS, file=sys.stderr)  # noqa: T201
        for _ in range(rounds):
            for writers in WRITERS:
                for name, start in systems.items():
                    with start(writers) as (workers, tail):
                        rate, found = race(workers, tail)
                    rates.setdefault((writers, name), []).append(rate)
                    if found is not None:
                        counts = missed.setdefault((writers, name), [0, 0])
                        counts[0] += found["stored"] - found["seen"]
                        counts[1] += found["stored"]
                        assert name != OURS or counts[0] == 0, f"the feed missed {counts[0]} of {counts[1]} events"
    return [_result(rates, missed, writers, name) for writers in WRITERS for name in systems]


def _result(
    rates: Mapping[tuple[int, str], list[float]], missed: Mapping[tuple[int, str], list[int]], writers: int, name: str
) -> Result:
    baseline = rates.get((writers, DEFAULT), rates[writers, OURS])
    ratio = median(one / other for one, other in zip(rates[writers, name], baseline, strict=True))
    aimed_at = TARGET_RATIO if (name, writers) == (OURS, OF_WRITERS) and PEERS.exists() else None
    lost, of = missed.get((writers, name), (0, 0))
    note = f"{lost:,} of {of:,} events missed" if of else ""
    return Result(f"{name}, {writers} writers", median(rates[writers, name]), ratio, aimed_at, note)


class _System:
    """A system with its database, and its workers."""

    def __init__(self, opened: AbstractContextManager[Any]) -> None:
        self._opened = opened

    def start(self, opened: Any) -> Started:
        """The writers, and who tails them."""
        raise NotImplementedError

    def __enter__(self) -> Started:
        return self.start(self._opened.__enter__())

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)


class _Ours(_System):
    def __init__(self, server: str, template: str, writers: int, seconds: float) -> None:
        super().__init__(copy_of(server, template))
        self._server, self._writers, self._seconds = server, writers, seconds

    def start(self, opened: Connection) -> Started:
        make_leaves_ahead(opened, datetime.now(UTC))
        url = make_conninfo(self._server, dbname=opened.info.dbname)
        command = [sys.executable, "-m", "benchmarks.single"]
        writers = [Worker([*command, "append", url, str(self._seconds)]) for _ in range(self._writers)]
        return writers, Worker([*command, "tail", url])


class _Eventsourcing(_System):
    def __init__(self, server: str, writers: int, seconds: float, *, functions: bool) -> None:
        super().__init__(database(server))
        self._server, self._writers, self._seconds, self._functions = server, writers, seconds, functions

    def start(self, opened: str) -> Started:
        environment = environment_of(self._server, opened, functions=self._functions)
        command = [PEERS, ROOT / "benchmarks" / "peer_eventsourcing.py"]
        tail = Worker([*command, "tail"], environment)
        tail.wait_until_ready()
        environment["CREATE_TABLE"] = "n"  # it has made them, and two at once would fail
        writers = [Worker([*command, "append", str(self._seconds)], environment) for _ in range(self._writers)]
        return writers, tail


class _Dbos(_System):
    def __init__(self, server: str, writers: int, seconds: float) -> None:
        super().__init__(database(server))
        self._server, self._writers, self._seconds = server, writers, seconds

    def start(self, opened: str) -> Started:
        at = conninfo_to_dict(self._server)
        login = f"{at.get('user', 'postgres')}{':' if at.get('password') else ''}{at.get('password') or ''}"
        url = f"postgresql://{login}@/{opened}?host={at['host']}&port={at.get('port', 5432)}"
        command = [PEERS, ROOT / "benchmarks" / "peer_dbos.py", url]
        writers: list[Worker] = []
        for nth in range(self._writers):
            writers.append(Worker([*command, f"writer-{nth}", str(self._seconds)]))
            if nth == 0:  # the first one makes the tables
                writers[0].wait_until_ready()
        return writers, None


def environment_of(server: str, name: str, *, functions: bool) -> dict[str, str]:
    """The settings by which `eventsourcing` finds its database."""
    at = conninfo_to_dict(server)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": name,
        "POSTGRES_HOST": str(at["host"]),
        "POSTGRES_PORT": str(at.get("port", 5432)),
        "POSTGRES_USER": str(at.get("user", "postgres")),
        "POSTGRES_PASSWORD": str(at.get("password", "")),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if functions else "n",
    }


# What our own workers do --------------------------------------------------------------------------------------------


def _append(url: str, seconds: float) -> None:
    with connect(url, autocommit=True) as connection:
        execution_id, at = uuid4(), datetime.now(UTC)
        append(connection, execution_id, [WorkflowCreated(occurred_at=at), WorkflowStarted(occurred_at=at)])

        def step(nth: int) -> None:
            message = f"note {nth} of {execution_id}"
            note = LogRecorded(occurred_at=datetime.now(UTC), log_level="info", message=message, details={"n": nth})
            append(connection, execution_id, [note], expected_sequence=nth + 2)

        work(step, seconds)


def _tail(url: str) -> None:
    seen = 0
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder, connect(url, autocommit=True) as connection:
        say_ready()
        while True:
            stop = bool(select.select([sys.stdin], [], [], 0)[0])
            with deliver(connection, Path(folder), "tail") as delivery:
                seen += sum(batch.num_rows for batch in delivery)
            if stop:
                break
            time.sleep(0.2)
        row = connection.execute("SELECT count(*) AS stored FROM workflow_events").fetchone()
        say({"seen": seen, "stored": row["stored"] if row else 0})


def main() -> None:
    """Prints the table; as a worker, does what the first argument says."""
    match sys.argv[1:]:
        case ["append", url, seconds]:
            _append(url, float(seconds))
        case ["tail", url]:
            _tail(url)
        case [seconds]:
            print_table("single appends", run(float(seconds)), "× eventsourcing")
        case _:
            print_table("single appends", run(), "× eventsourcing")


if __name__ == "__main__":
    main()
