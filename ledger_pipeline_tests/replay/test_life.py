"""The life of a ledger, in any order: appends, snapshots, rolls, crashes, dumps, restores into another cluster.

After every step each execution replays to the same bytes as its model, and each consumer has seen each event once.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.conninfo import make_conninfo

from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.consumer import deliver
from ledger_pipeline.cold.manifest import WeekState
from ledger_pipeline.cold.roll import RollProgress, roll
from ledger_pipeline.errors import EpochMismatch, ServerUnavailable
from ledger_pipeline.events import LogRecorded
from ledger_pipeline.events.fold import fold_all, initial
from ledger_pipeline.events.state_text import state_text
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.server import EmbeddedServer, binaries, client_command
from ledger_pipeline.ledger import set_up
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.snapshots import take_snapshots
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.conftest import create_database
from ledger_pipeline_tests.events.histories import Walk
from ledger_pipeline_tests.hot.commands import Row, sent
from ledger_pipeline_tests.hot.test_server import kill_server

MOST_EXECUTIONS = 3
EVERY = 3
ENDS = {"WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled", "WorkflowTimedOut", "ExecutionAborted"}
CONSUMERS = ("every step", "sometimes")


class BreaksOffError(Exception):
    """Ends a roll where it stands."""


@dataclass
class Cluster:
    """A server of its own, that can be killed."""

    home: Path
    server: EmbeddedServer

    @classmethod
    def start(cls, home: Path) -> "Cluster":
        server = EmbeddedServer(Settings(home=home, database_url=None))
        server.acquire()
        return cls(home, server)

    @property
    def url(self) -> str:
        """The maintenance database's URL; a killed server is started again."""
        return make_conninfo(self.server.ensure_running(), dbname="postgres")

    def kill(self) -> None:
        """As a power cut does, but for the page cache."""
        kill_server(self.home)


def client(program: str, url: str, *arguments: str, given: bytes | None = None) -> bytes:
    """What a program of PostgreSQL's prints."""
    command, environment = client_command(program, url)
    done = subprocess.run(
        [*command, *arguments],
        env=os.environ | environment,
        input=given,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


class Life(RuleBasedStateMachine):
    """A few executions of a real ledger beside the model of each."""

    clusters: tuple[Cluster, Cluster]
    template: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.walks: list[Walk] = []
        self.dump: tuple[Path, dict[UUID, int]] | None = None
        self.restored = False
        self.settings = Settings(home=self.folder / uuid4().hex)
        self.settings.home.mkdir()
        self.cluster = self.clusters[0]
        self.name = f"life_{uuid4().hex[:12]}"
        create_database(self.cluster.url, self.name, self.template)
        self.open()
        self.connection.execute("SELECT adopt('test', true)")
        self.connection.execute(
            "CREATE TABLE public.seen (nth bigserial, consumer text, execution_id uuid, sequence bigint,"
            " PRIMARY KEY (consumer, execution_id, sequence))"
        )

    @property
    def url(self) -> str:
        return make_conninfo(self.cluster.url, dbname=self.name)

    def open(self) -> None:
        self.connection: Connection = connect(self.url, autocommit=True)

    def go_on(self, walk: Walk, data: st.DataObject, most: int = 5) -> list[Row]:
        """Takes the model some legal steps further, up to a week later; answers their rows."""
        walk.draw = data.draw
        walk._time += timedelta(days=data.draw(st.integers(0, 9)))
        start = len(walk.rows)
        for _ in range(data.draw(st.integers(1, most))):
            event_type = data.draw(st.sampled_from(walk.legal()))
            if event_type in ENDS and data.draw(st.integers(0, 5)):
                continue
            walk.append(event_type, **walk.fields(event_type))
        return [sent(row) for row in walk.rows[start:]]

    def latest(self) -> datetime:
        return max(walk._time for walk in self.walks)

    def consume(self, name: str, batches: int | None = None) -> None:
        """Stores what a consumer is given together with its cursor, in the ledger's own database."""
        with connect(self.url) as own, deliver(self.connection, self.settings.cold_dir, name, batch_rows=4) as given:
            for nth, batch in enumerate(given, 1):
                rows = batch.select(["execution_id", "sequence"]).to_pylist()
                own.cursor().executemany(
                    "INSERT INTO public.seen (consumer, execution_id, sequence) VALUES (%s, %s, %s)",
                    [(name, row["execution_id"], row["sequence"]) for row in rows],
                )
                given.commit(own)
                own.commit()
                if nth == batches:
                    return

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """There is an execution."""
        self.create(data)

    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        """A new execution."""
        if len(self.walks) == MOST_EXECUTIONS:
            return
        walk = Walk(data.draw, uuid4())
        walk.append("WorkflowCreated", plan=walk.plan(None, data.draw(st.integers(0, 3))), execution_kind="workflow")
        walk.append("WorkflowStarted")
        append_many(self.connection, [sent(row) for row in walk.rows], history=True)
        self.walks.append(walk)

    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        """Legal events, of one execution or of all."""
        chosen = data.draw(st.sampled_from([self.walks, [data.draw(st.sampled_from(self.walks))]]))
        rows = [row for walk in chosen for row in self.go_on(walk, data)]
        assert append_many(self.connection, rows, history=True) == len(rows)

    @rule()
    def snapshot(self) -> None:
        """Snapshots that are due."""
        take_snapshots(self.connection, self.settings.cold_dir, EVERY, self.latest())

    @rule(days=st.integers(0, 20))
    def roll(self, days: int) -> None:
        """What is old by some day."""
        roll(self.connection, self.settings, self.latest() + timedelta(days=days - 5), keep_days=1)

    @rule(state=st.sampled_from([WeekState.SEALED, WeekState.WRITTEN, WeekState.VERIFIED]))
    def break_off_a_roll(self, state: WeekState) -> None:
        """A roll that ends in the middle; whoever rolls next takes over."""

        def watch(progress: RollProgress) -> None:
            if progress.state is state:
                raise BreaksOffError

        with suppress(BreaksOffError):
            roll(self.connection, self.settings, self.latest() + timedelta(days=30), keep_days=1, progress=watch)

    @rule(batches=st.none() | st.integers(1, 2))
    def consume_some(self, batches: int | None) -> None:
        """The second consumer reads on, perhaps not to the end."""
        self.consume("sometimes", batches)

    @rule()
    def checkpoint(self) -> None:
        """The feed is closed up to now."""
        close_checkpoint(self.connection)

    @rule(data=st.data())
    def lose_a_session_in_an_append(self, data: st.DataObject) -> None:
        """A session ends before its commit: nothing of it is there."""
        walk = data.draw(st.sampled_from(self.walks))
        with connect(self.url) as doomed:
            lost = LogRecorded(occurred_at=self.latest(), log_level="info", message="lost")
            append(doomed, walk.execution_id, [lost])
            self.connection.execute("SELECT pg_terminate_backend(%s, 5000)", (doomed.info.backend_pid,))
            with suppress(psycopg.OperationalError, ServerUnavailable):
                doomed.commit()
            doomed.close()

    @rule()
    def crash(self) -> None:
        """The server is killed and recovers."""
        self.cluster.kill()
        self.connection.close()
        self.open()

    @rule(reason=st.sampled_from(["failed over", "restored"]))
    def adopt(self, reason: str) -> None:
        """A new epoch, as after a failover."""
        self.connection.execute("SELECT adopt(%s)", (reason,))

    @precondition(lambda self: self.dump is None)
    @rule()
    def take_a_dump(self) -> None:
        """The database as it is now, to be restored later."""
        path = self.settings.home / "dump"
        path.write_bytes(client("pg_dump", self.url, "--format=custom", "--compress=0"))
        self.dump = path, {walk.execution_id: len(walk.rows) for walk in self.walks}

    @precondition(lambda self: self.dump is not None and not self.restored)
    @rule()
    def restore_into_the_other_cluster(self) -> None:
        """What was appended since the dump is gone; until the ledger is adopted it takes and gives nothing."""
        assert self.dump is not None
        path, lengths = self.dump
        self.connection.close()
        other = self.clusters[self.cluster is self.clusters[0]]
        client("psql", other.url, "-qX", given=client("pg_dumpall", self.cluster.url, "--roles-only"))
        self.cluster, self.name = other, f"life_{uuid4().hex[:12]}"
        create_database(other.url, self.name)
        client("pg_restore", self.url, "--exit-on-error", "--dbname", self.name, given=path.read_bytes())
        self.open()
        self.walks = [walk for walk in self.walks if walk.execution_id in lengths]
        for walk in self.walks:
            del walk.rows[lengths[walk.execution_id] :]
            walk.state = fold_all(initial(), walk.rows)
        with pytest.raises(EpochMismatch, match="adopt"):
            append_many(self.connection, [sent(self.walks[0].rows[0])], history=True)
        with pytest.raises(EpochMismatch, match="adopt"):
            self.consume("every step")
        self.connection.execute("SELECT adopt('restored')")
        self.restored = True

    @invariant()
    def each_execution_replays_to_the_bytes_of_its_model(self) -> None:
        """Latest, and as of half of its events."""
        for walk in self.walks:
            for upto in (len(walk.rows), len(walk.rows) // 2):
                expected = state_text(fold_all(initial(), walk.rows[:upto]))
                found = replay(self.connection, self.settings.cold_dir, walk.execution_id, as_of=upto)
                assert state_text(found) == expected

    @invariant()
    def each_event_is_seen_once_and_in_its_executions_order(self) -> None:
        """By the consumer that reads after every step."""
        if self.walks:
            self.consume("every step")
            self.judge("every step")

    def judge(self, consumer: str) -> None:
        seen: dict[UUID, list[int]] = {walk.execution_id: [] for walk in self.walks}
        for row in self.connection.execute("SELECT * FROM public.seen WHERE consumer = %s ORDER BY nth", (consumer,)):
            seen[row["execution_id"]].append(row["sequence"])
        assert seen == {walk.execution_id: list(range(1, len(walk.rows) + 1)) for walk in self.walks}

    def teardown(self) -> None:
        """The other consumer catches up; everything is as it was recorded, and rows equal their replays."""
        try:
            if self.walks:
                self.consume("sometimes")
                self.judge("sometimes")
                report = verify(self.connection, self.settings.cold_dir)
                assert report.ok, report.problems
                projections = check_projections(self.connection, self.settings.cold_dir)
                assert projections.ok, projections.first
        finally:
            self.connection.close()


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """Two servers of this test's own."""
    first, second = Cluster.start(tmp_path / "first"), Cluster.start(tmp_path / "second")
    yield first, second
    for cluster in (first, second):
        cluster.server.release()


@pytest.mark.slow
@pytest.mark.mission("A15")
@pytest.mark.mission("A7")
@pytest.mark.mission("A5")
def test_through_a_whole_life_replays_keep_their_bytes_and_consumers_see_each_event_once(
    clusters: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    assert (binaries() / "pg_dump").exists()
    create_database(clusters[0].url, "life_template")
    set_up(make_conninfo(clusters[0].url, dbname="life_template"), datetime.now(UTC))
    attributes: dict[str, Any] = {"clusters": clusters, "template": "life_template", "folder": tmp_path}
    run_state_machine_as_test(
        type("LifeOfALedger", (Life,), attributes),
        settings=settings(
            max_examples=4,
            stateful_step_count=18,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
