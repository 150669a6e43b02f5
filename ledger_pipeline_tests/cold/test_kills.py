"""The roll or its server is killed, the disk is full: each event is there once, to every reader at every time."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import pytest

from ledger_pipeline.cold import roll as roll_module
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.reader import execution_events, open_read, scan_events
from ledger_pipeline.cold.roll import orphans, roll
from ledger_pipeline.errors import ServerUnavailable
from ledger_pipeline.events.catalogue import Event
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.server import EmbeddedServer
from ledger_pipeline.ledger import set_up
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.doomed_roller import STEPS, UNWRITABLE
from ledger_pipeline_tests.cold.histories import MONDAY, execution, history, hot_events
from ledger_pipeline_tests.hot.test_races import Wire
from ledger_pipeline_tests.hot.test_server import kill_server

REPOSITORY = Path(__file__).parents[2]
NOW = datetime(2026, 6, 1, tzinfo=UTC)
KILLS = 200


def story(weeks: int, seed: int) -> Iterator[Event]:
    """An execution of every week, and some that go on through all of them."""
    generator = random.Random(-seed - 1)  # other ids than those of the histories
    yield from history(4, weeks, seed)
    for week in range(weeks):
        identity = UUID(int=generator.getrandbits(128), version=4)
        for event in execution(identity, week, 1, generator):
            yield event.model_copy(update={"occurred_at": event.occurred_at + timedelta(weeks=week)})


def roots(connection: Connection) -> dict[date, bytes]:
    """The root of each hot week."""
    rows = connection.execute("SELECT w AS week, (week_root(w)).root FROM hot_weeks('infinity') w").fetchall()
    return {row["week"]: row["root"] for row in rows}


def contents(connection: Connection, cold_dir: Path) -> list[dict[str, Any]]:
    return [row for batch in scan_events(connection, cold_dir) for row in batch.to_pylist()]


class Roller:
    """Rolls of one ledger, each in a process of its own."""

    def __init__(self, url: str, settings: Settings) -> None:
        command = [sys.executable, "-m", "ledger_pipeline_tests.cold.doomed_roller"]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed at the end
        self._process = subprocess.Popen(
            [*command, url, str(settings.home), str(settings.cold_dir), NOW.isoformat()],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked, self._answered = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asked.close()
        self._process.wait(60)
        self._answered.close()
        self._said.seek(0)
        if error is not None:
            error.add_note(self._said.read())
        self._said.close()

    def roll(self, how: str = "-", kill_after: float | None = None) -> int:
        """Rolls; its exit code, -9 when it was killed, by itself or after so many seconds."""
        self._asked.write(f"{how}\n")
        self._asked.flush()
        pid = int(self._answered.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._answered.readline())


class Readers:
    """Poll all the while: in short transactions by execution and by scan, and in one that stays open for a while."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._url, self._cold_dir = url, settings.cold_dir
        with connect(url, autocommit=True) as connection:
            rows = connection.execute("SELECT id, last_sequence FROM execution_heads ORDER BY id").fetchall()
        self._heads = {row["id"]: row["last_sequence"] for row in rows}
        self._over = threading.Event()
        self.answers: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        reads = (self._one, self._all, self._long)
        self._threads = [threading.Thread(target=self._poll, args=(read,)) for read in reads]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert self.failures == []
        assert set(self.answers) == {"_one", "_all", "_long"}

    def _poll(self, read: Callable[[Connection], None]) -> None:
        while not self._over.is_set():
            try:
                with connect(self._url, autocommit=True) as own:
                    while not self._over.is_set():
                        read(own)
                        self.answers[read.__name__] += 1
                        time.sleep(0.3)  # a roll needs a gap between readers; see LOCK_WAIT_SECONDS
            except BaseException as error:
                self.failures.append(error)
                return

    def _one(self, own: Connection) -> None:
        identity = random.choice(list(self._heads))
        rows = [row["sequence"] for row in execution_events(own, self._cold_dir, identity)]
        assert rows == list(range(1, self._heads[identity] + 1))

    def _all(self, own: Connection) -> None:
        self._judge(own)

    def _long(self, own: Connection) -> None:
        with open_read(own):
            self._judge(own)
            time.sleep(0.1)
            self._judge(own)

    def _judge(self, own: Connection) -> None:
        found: Counter[str] = Counter()
        keys: set[tuple[str, int]] = set()
        for batch in scan_events(own, self._cold_dir):
            ids, sequences = batch.column("execution_id").to_pylist(), batch.column("sequence").to_pylist()
            found.update(ids)
            keys.update(zip(ids, sequences, strict=True))
        assert {UUID(identity): count for identity, count in found.items()} == self._heads
        assert len(keys) == found.total()


class Judged:
    """What must be the same in the end as in the beginning."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._settings = settings
        self._roots = roots(connection)
        self._contents = contents(connection, settings.cold_dir)

    def judge(self, connection: Connection) -> None:
        """Everything is cold, once, and as it was."""
        assert not hot_events(connection)
        assert {week.week: week.root for week in committed_weeks(connection)} == self._roots
        assert contents(connection, self._settings.cold_dir) == self._contents
        orphans(connection, self._settings, remove=True)
        assert verify(connection, self._settings.cold_dir).problems == []


@pytest.mark.slow
@pytest.mark.mission("A5")
def test_killed_before_and_after_every_step(connection: Connection, ledger_url: str, settings: Settings) -> None:
    append_many(connection, story(14, 1), history=True)
    judged = Judged(connection, settings)
    with Roller(ledger_url, settings) as roller, Readers(ledger_url, settings):
        for step in STEPS:
            for when in ("before", "after"):
                assert roller.roll(f"{step} {when}") == -signal.SIGKILL, (step, when)
        assert roller.roll() == 0
    judged.judge(connection)


@pytest.mark.slow
@pytest.mark.mission("A5")
def test_killed_at_random_moments(make_ledger: Callable[[], str], tmp_path: Path) -> None:
    generator = random.Random(20261129)
    kills = ledgers = 0
    longest = 0.5
    while kills < KILLS:
        url, settings = make_ledger(), Settings(home=tmp_path / "home", cold_url=str(tmp_path / f"cold{ledgers}"))
        ledgers += 1
        with connect(url, autocommit=True) as connection:
            append_many(connection, story(12, ledgers), history=True)
            judged = Judged(connection, settings)
            with Roller(url, settings) as roller, Readers(url, settings):
                began = time.monotonic()
                while kills < KILLS and (code := roller.roll(kill_after=generator.uniform(0, longest))) != 0:
                    assert code == -signal.SIGKILL
                    kills += 1
                    if time.monotonic() - began > 20:
                        longest += 0.05  # a busy machine: no roll gets far enough
                        began = time.monotonic()
                assert roller.roll() == 0
            judged.judge(connection)


@pytest.mark.slow
def test_its_server_is_killed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", cold_url=str(tmp_path / "cold"), database_url=None)
    server = EmbeddedServer(settings)
    url = server.acquire()
    try:
        set_up(url, NOW)
        with connect(url, autocommit=True) as connection:
            append_many(connection, story(20, 4), history=True)
            judged = Judged(connection, settings)
        generator = random.Random(4)
        for _ in range(5):
            with Roller(url, settings) as roller:
                killer = threading.Timer(generator.uniform(0.1, 1.0), kill_server, (settings.home,))
                killer.start()
                code = roller.roll()
                killer.join()
                assert code in (0, 1)
            again = EmbeddedServer(settings)
            url = again.acquire()
            again.release()
        with connect(url, autocommit=True) as connection:
            roll(connection, settings, NOW)
            judged.judge(connection)
    finally:
        server.release()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of that size in the folder's place; skips where this user may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_stops_a_roll_and_loses_nothing(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    append_many(connection, story(4, 5), history=True)
    judged = Judged(connection, settings)
    with small_disk(settings.cold_dir, "48k"):
        with Roller(ledger_url, settings) as roller, Readers(ledger_url, settings):
            assert roller.roll() == UNWRITABLE
            assert hot_events(connection)
            assert [path for path in settings.cold_dir.rglob("*") if path.suffix == ".part"] == []
            subprocess.run(["mount", "-o", "remount,size=16m", str(settings.cold_dir)], check=True)
            assert roller.roll() == 0
        judged.judge(connection)


def test_a_file_that_may_not_grow_stops_a_roll_and_loses_nothing(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    append_many(connection, story(4, 5), history=True)
    judged = Judged(connection, settings)
    with Roller(ledger_url, settings) as roller, Readers(ledger_url, settings):
        assert roller.roll("limit 4096") == UNWRITABLE
        assert hot_events(connection)
        assert not [path for path in settings.cold_dir.rglob("*") if path.is_file()]
        assert roller.roll() == 0
    judged.judge(connection)


def test_the_answer_to_a_commit_that_was_done_is_lost(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    append_many(connection, story(3, 6), history=True)
    judged = Judged(connection, settings)
    committed = roll_module._committed  # pyright: ignore[reportPrivateUsage]
    with (
        Readers(ledger_url, settings),
        tempfile.TemporaryDirectory(prefix="wire-") as folder,
        Wire(connection, Path(folder)) as wire,
    ):

        def unheard(_: Connection, row: Any) -> Any:
            with connect(wire.url, autocommit=True) as own:
                wire.cut = True
                return committed(own, row)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(roll_module, "_committed", unheard)
            with pytest.raises(ServerUnavailable):
                roll(connection, settings, NOW)
        assert len(committed_weeks(connection)) == 1
        roll(connection, settings, NOW)
    judged.judge(connection)


@pytest.mark.slow
@pytest.mark.mission("A5")
def test_late_and_concurrent_appends_are_neither_lost_nor_held_up(
    connection: Connection, ledger_url: str, settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    append_many(connection, story(12, 7), history=True)
    sealed = roots(connection)
    over = threading.Event()
    delays: list[float] = []
    recorded: list[int] = []
    failures: list[BaseException] = []

    def append_history(seed: int) -> None:
        """Imports history into the very weeks that are being sealed."""
        try:
            with connect(ledger_url, autocommit=True) as own:
                nth = 0
                while not over.is_set():
                    nth += 1
                    began = time.monotonic()
                    recorded.append(append_many(own, history(1, 12, 1000 * seed + nth), history=True))
                    delays.append(time.monotonic() - began)
        except BaseException as error:
            failures.append(error)

    before = len(contents(connection, settings.cold_dir))
    threads = [threading.Thread(target=append_history, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    alone = sorted(delays)[len(delays) // 2]
    rolled = roll(connection, settings, NOW)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    slowest_commit = max(week.commit_seconds for week in rolled)
    record_property("longest append, seconds", max(delays))
    record_property("median append before the roll, seconds", alone)
    record_property("longest commit, seconds", slowest_commit)
    assert len(contents(connection, settings.cold_dir)) == before + sum(recorded)
    weeks = committed_weeks(connection)
    assert {week.week for week in weeks} >= {MONDAY + timedelta(weeks=nth) for nth in range(12)}
    assert sealed.keys() <= {week.week for week in weeks}
    # No append waited longer than the commits of the weeks that it met, and the machine's own unrest.
    assert max(delays) < slowest_commit + 20 * alone + 2
    frozen = {week.week: (week.root, week.named_files) for week in weeks}
    roll(connection, settings, NOW)
    assert {week.week: (week.root, week.named_files) for week in committed_weeks(connection)}.items() >= frozen.items()
    assert verify(connection, settings.cold_dir).problems == []
