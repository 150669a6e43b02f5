"""Races of real processes: whatever they do at once, no gap, no duplicate, nothing missed, nothing out of order."""

import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ledger_pipeline.cold.consumer import deliver
from ledger_pipeline.errors import ServerUnavailable
from ledger_pipeline.events import LogRecorded, WorkflowCreated, WorkflowStarted
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.verify import verify
from ledger_pipeline_tests.hot.racing_writer import AT, messages

ROOT = Path(__file__).parents[2]
PROCESSES = 16
Place = tuple[int, int, str, int]

pytestmark = [pytest.mark.slow, pytest.mark.mission("A9"), pytest.mark.mission("A3")]


class Race:
    """Writers on some executions, and a named consumer that tails them."""

    def __init__(self, url: str, folder: Path, executions: int) -> None:
        self.url = url
        self.cold_dir = folder / "cold"
        self.ids = [uuid4() for _ in range(executions)]
        self.seen: list[Place] = []
        self.expected: list[str] = []
        self._list = folder / "executions"
        self._list.write_text("\n".join(map(str, self.ids)))
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._consumer = threading.Thread(target=self._consume)

    def __enter__(self) -> "Race":
        with connect(self.url, autocommit=True) as connection:
            created = [
                event
                for each in self.ids
                for event in (
                    WorkflowCreated(execution_id=each, occurred_at=AT),
                    WorkflowStarted(execution_id=each, occurred_at=AT),
                )
            ]
            append_many(connection, created)
        self._consumer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._consumer.join()

    def start(self, name: str, appends: int) -> subprocess.Popen[str]:
        """A writer; started again under its name it sends the same requests."""
        command = [sys.executable, "-m", "ledger_pipeline_tests.hot.racing_writer"]
        return subprocess.Popen(
            [*command, self.url, name, str(self._list), str(appends)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def expect(self, name: str, appends: int) -> None:
        """What a writer records."""
        self.expected += [text for nth in range(appends) for text in messages(name, nth)]

    def run(self, writers: int, appends: int) -> list[subprocess.Popen[str]]:
        """Starts writers at once."""
        for nth in range(writers):
            self.expect(f"writer {nth}", appends)
        return [self.start(f"writer {nth}", appends) for nth in range(writers)]

    def _consume(self) -> None:
        try:
            with connect(self.url, autocommit=True) as own:
                while True:
                    last_time = self._over.is_set()
                    with deliver(own, self.cold_dir, "tail") as delivery:
                        for batch in delivery:
                            names = ("epoch", "tx", "execution_id", "sequence")
                            self.seen += zip(*(batch.column(name).to_pylist() for name in names), strict=True)
                    if last_time:
                        return
        except BaseException as error:
            self._failures.append(error)

    def judge(self) -> None:
        """0 gaps, 0 duplicates, 0 missed, 0 out of order; rows equal their replays and everything verifies."""
        assert self._failures == []
        with connect(self.url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT epoch, tx, execution_id::text AS execution_id, sequence, recorded_at, message"
                " FROM workflow_events ORDER BY execution_id, sequence"
            ).fetchall()
            heads = connection.execute("SELECT id::text AS id, last_sequence FROM execution_heads").fetchall()
            projections, report = check_projections(connection, self.cold_dir), verify(connection, self.cold_dir)
        by_execution: dict[str, list[dict[str, object]]] = {}
        for row in rows:
            by_execution.setdefault(row["execution_id"], []).append(row)
        for history in by_execution.values():
            assert [row["sequence"] for row in history] == list(range(1, len(history) + 1))
            for name in ("tx", "recorded_at"):
                values = [row[name] for row in history]
                assert values == sorted(values)  # type: ignore[type-var]
        assert {head["id"]: head["last_sequence"] for head in heads} == {
            each: len(history) for each, history in by_execution.items()
        }
        assert sorted(row["message"] for row in rows if row["message"]) == sorted(self.expected)
        assert self.seen == sorted((row["epoch"], row["tx"], row["execution_id"], row["sequence"]) for row in rows)
        assert projections.ok, projections.first
        assert report.ok, report.problems


def finish(writers: Sequence[subprocess.Popen[str]]) -> None:
    """Waits for writers, which all succeed."""
    for writer in writers:
        _, complaint = writer.communicate(timeout=400)
        assert writer.returncode == 0, complaint


@pytest.mark.parametrize(("executions", "appends"), [(1, 12), (1000, 24)])
def test_sixteen_processes_while_a_consumer_tails(
    ledger_url: str, tmp_path: Path, executions: int, appends: int
) -> None:
    with Race(ledger_url, tmp_path, executions) as race:
        finish(race.run(PROCESSES, appends))
    race.judge()


def test_a_writer_that_is_held_open_while_others_go_on_and_a_consumer_tails(ledger_url: str, tmp_path: Path) -> None:
    # Lock stripes: whoever shares the held execution's waits for it, as it must.
    with Race(ledger_url, tmp_path, 40) as race, connect(ledger_url) as held:
        execution_id = uuid4()
        append(held, execution_id, [WorkflowCreated(occurred_at=AT)])
        writers = race.run(4, 10)
        finish(writers)
        with connect(ledger_url, autocommit=True) as other:
            stored = other.execute("SELECT count(*) AS n FROM workflow_events WHERE message IS NOT NULL").fetchone()
            tailed = other.execute("SELECT max(tx) AS tx FROM feed_cursors").fetchone()
            first = held.execute("SELECT pg_current_xact_id()::text::bigint AS tx").fetchone()
        assert stored == {"n": len(race.expected)}
        assert tailed is not None
        assert first is not None
        assert tailed["tx"] <= first["tx"]
        held.commit()
    race.judge()
    assert str(execution_id) in {place[2] for place in race.seen}


def test_writers_that_are_killed_or_cut_off_leave_nothing_half_and_nothing_twice(
    ledger_url: str, tmp_path: Path
) -> None:
    generator = random.Random(1)
    with Race(ledger_url, tmp_path, 3) as race, connect(ledger_url, autocommit=True) as killer:
        writers = {f"writer {nth}": each for nth, each in enumerate(race.run(6, 30))}
        # Three lose their process in the middle, and are started anew.
        for name in ("writer 0", "writer 1", "writer 2"):
            output = writers[name].stdout
            assert output is not None
            for _ in range(generator.randrange(3, 12)):
                output.readline()
            writers[name].kill()
            writers[name].communicate()
            writers[name] = race.start(name, 30)
        # The others lose their sessions, again and again; whatever they didn't hear of they send again.
        ended = 0
        while any(writer.poll() is None for writer in writers.values()) and ended < 40:
            row = killer.execute(
                "SELECT count(pg_terminate_backend(pid)) AS ended FROM ("
                " SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND query LIKE '%append(%' ORDER BY random() LIMIT 1) a"
            ).fetchone()
            assert row is not None
            ended += row["ended"]
            time.sleep(0.05)
        finish(list(writers.values()))
        assert ended > 0
    race.judge()


class Wire:
    """A connection to the server that passes everything on, until it is cut: then the next answer is lost."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        host, port = connection.info.host, connection.info.port
        self._server = (f"{host}/.s.PGSQL.{port}", socket.AF_UNIX) if host.startswith("/") else ((host, port), None)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / f".s.PGSQL.{port}"))
        self._listening.listen()
        parameters = conninfo_to_dict(connection.info.dsn)
        parameters.pop("hostaddr", None)  # found by the driver for the host: it would lead past the wire
        parameters |= {"host": str(folder)} | (
            {"password": connection.info.password} if connection.info.password else {}
        )
        self.url = make_conninfo(**parameters)
        self.cut = False
        self._thread = threading.Thread(target=self._pass_on)
        self._thread.start()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # nobody waits for a connection that didn't come
        self._thread.join()
        self._listening.close()

    def _pass_on(self) -> None:
        address, family = self._server
        try:
            client, _ = self._listening.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX) if family else socket.create_connection(address)  # type: ignore[arg-type]
        with client, server:
            if family:
                server.connect(address)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data or (one is server and self.cut):
                        return
                    (server if one is client else client).sendall(data)


def test_a_response_that_was_lost_after_the_commit_is_repeated_under_its_key(
    connection: Connection, tmp_path: Path
) -> None:
    execution_id = uuid4()
    append(connection, execution_id, [WorkflowCreated(occurred_at=AT), WorkflowStarted(occurred_at=AT)])
    event = LogRecorded(occurred_at=AT, log_level="info", message="once")
    for nth in range(10):
        with (
            tempfile.TemporaryDirectory(prefix="wire-") as folder,
            Wire(connection, Path(folder)) as wire,
            connect(wire.url, autocommit=True) as doomed,
        ):
            wire.cut = True
            with pytest.raises(ServerUnavailable):
                append(doomed, execution_id, [event], idempotency_key=str(nth))
        again = append(connection, execution_id, [event], idempotency_key=str(nth))
        assert (again.first_sequence, again.last_sequence, again.repeated) == (nth + 3, nth + 3, True)
    report = verify(connection, tmp_path / "cold")
    assert (report.ok, report.events) == (True, 12)
