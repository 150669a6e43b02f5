"""Named consumers of the feed: each event once, whatever breaks off; and who holds the feed back."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.cold import horizon
from ledger_pipeline.cold.consumer import deliver, forget
from ledger_pipeline.cold.feed import Position
from ledger_pipeline.cold.horizon import feed_status
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.errors import EpochMismatch, InvalidInput, PermissionDenied
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import NOW, fill, history
from ledger_pipeline_tests.documents import blocks
from ledger_pipeline_tests.replay.noted_ledger import unprotect

PAGE = (Path(__file__).parents[2] / "docs" / "feed.md").read_text(encoding="utf-8")
Place = tuple[int, int, str, int]


def places(batch: pa.RecordBatch) -> list[Place]:
    columns = (batch.column(name).to_pylist() for name in ("epoch", "tx", "execution_id", "sequence"))
    return list(zip(*columns, strict=True))


def consumed(connection: Connection, settings: Settings, name: str, most_batches: int | None = None) -> list[Place]:
    """What a consumer is given, in batches of ten; it may stop early, having committed what it got."""
    found: list[Place] = []
    with deliver(connection, settings.cold_dir, name, batch_rows=10) as delivery:
        for nth, batch in enumerate(delivery, 1):
            assert batch.schema.equals(ARROW_SCHEMA)
            found += places(batch)
            if nth == most_batches:
                delivery.commit()
                break
    return found


def test_each_consumer_gets_every_event_once_in_one_order_across_a_roll_and_an_epoch(
    connection: Connection, settings: Settings
) -> None:
    fill(connection, 3, seed=1)
    first, second = consumed(connection, settings, "first"), list[Place]()
    fill(connection, 3, seed=2)
    second += consumed(connection, settings, "second", most_batches=2)
    roll(connection, settings, NOW)
    first += consumed(connection, settings, "first")
    connection.execute("SELECT adopt('restored')")
    fill(connection, 2, seed=3)
    second += consumed(connection, settings, "second", most_batches=1)
    roll(connection, settings, NOW)
    first += consumed(connection, settings, "first")
    second += consumed(connection, settings, "second")
    assert first == second == sorted(set(first))
    assert len(first) == 8 * 9
    assert consumed(connection, settings, "first") == []


def test_what_was_not_read_to_its_end_or_failed_comes_again(connection: Connection, settings: Settings) -> None:
    fill(connection, 3)
    with deliver(connection, settings.cold_dir, "index", batch_rows=10) as delivery:
        next(iter(delivery))

    def fail() -> None:
        with deliver(connection, settings.cold_dir, "index") as delivery:
            assert sum(batch.num_rows for batch in delivery) == 27
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(consumed(connection, settings, "index")) == 27


def test_a_result_in_the_same_database_is_stored_with_the_cursor_or_not_at_all(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    fill(connection, 3)
    connection.execute("CREATE TABLE public.seen (sequence bigint)")

    def index(*, fails: bool) -> None:
        with connect(ledger_url) as own, deliver(connection, settings.cold_dir, "index", batch_rows=10) as delivery:
            for nth, batch in enumerate(delivery):
                for row in batch.to_pylist():
                    own.execute("INSERT INTO public.seen VALUES (%s)", (row["sequence"],))
                delivery.commit(own)
                if fails and nth == 1:
                    raise ZeroDivisionError
                own.commit()
            delivery.commit(own)

    with pytest.raises(ZeroDivisionError):
        index(fails=True)
    assert connection.execute("SELECT count(*) AS n FROM public.seen").fetchone() == {"n": 10}
    index(fails=False)
    index(fails=False)
    assert connection.execute("SELECT count(*) AS n FROM public.seen").fetchone() == {"n": 27}


def test_a_consumer_may_keep_its_own_place(connection: Connection, settings: Settings) -> None:
    fill(connection, 3)
    with deliver(connection, settings.cold_dir, batch_rows=10) as delivery:
        first = places(next(iter(delivery)))
        place = delivery.position
        with pytest.raises(InvalidInput, match="no cursor to move"):
            delivery.commit()
    assert place == Position(first[-1][0], first[-1][1], UUID(first[-1][2]), first[-1][3])
    with deliver(connection, settings.cold_dir, after=place, event_types=["StepCompleted"]) as delivery:
        rest = [row["event_type"] for batch in delivery for row in batch.to_pylist()]
    assert delivery.complete
    assert set(rest) == {"StepCompleted"}
    assert feed_status(connection).consumers == ()


def test_one_process_at_a_time_consumes_under_a_name(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    with connect(ledger_url, autocommit=True) as other, deliver(connection, settings.cold_dir, "index"):
        with (
            pytest.raises(Held, match=f"consumed as index by session {connection.info.backend_pid} "),
            deliver(other, settings.cold_dir, "index"),
        ):
            raise AssertionError("unreachable: another one consumes")
        assert consumed(other, settings, "cache") == []


def test_a_consumer_that_is_forgotten_begins_anew(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    assert len(consumed(connection, settings, "index")) == 9
    assert forget(connection, "index")
    assert not forget(connection, "index")
    assert len(consumed(connection, settings, "index")) == 9


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"consumer": ""}, "consumer: is empty"),
        ({"consumer": 5}, "consumer: is 5; allowed: text"),
        ({"consumer": "budgets"}, "consumer: 'budgets' is the ledger's own"),
        ({"consumer": "a", "after": Position(1, 1)}, "after: a named consumer goes on from its own cursor"),
        ({"after": (1, 1)}, r"after: is \(1, 1\); allowed: the position"),
        ({"event_types": ["LogWritten"]}, "event_types: is 'LogWritten'; allowed: some of WorkflowCreated"),
        ({"event_types": "LogRecorded"}, "event_types: is 'LogRecorded'; allowed"),
        ({"event_types": []}, r"event_types: is \[\]; allowed"),
        ({"batch_rows": 0}, "batch_rows: is 0; allowed: a whole number, 1 or more"),
    ],
)
def test_what_is_no_consumer_is_refused(
    connection: Connection, settings: Settings, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message), deliver(connection, settings.cold_dir, **wrong):  # type: ignore[arg-type]
        raise AssertionError("unreachable: it is refused")


def test_a_reader_of_one_drive_may_not_consume(connection: Connection, ledger_url: str, settings: Settings) -> None:
    with connect(ledger_url, autocommit=True) as other:
        other.execute("SET SESSION AUTHORIZATION ledger_reader")
        with pytest.raises(PermissionDenied), deliver(other, settings.cold_dir, "index"):
            raise AssertionError("unreachable: it is refused")


def test_an_idle_transaction_that_holds_the_feed_back_is_named_and_warned_of(
    connection: Connection,
    ledger_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    late = list(history(1, seed=9))
    assert late[0].execution_id is not None
    fill(connection, 1, seed=1)
    consumed(connection, settings, "index")
    with connect(ledger_url) as idle:
        append(idle, late[0].execution_id, late, history=True)
        fill(connection, 2, seed=2)
        status = feed_status(connection)
        (holder,) = status.holders
        assert (holder.pid, holder.application) == (idle.info.backend_pid, "ledger-pipeline")
        assert (holder.database, holder.state) == (idle.info.dbname, "idle in transaction")
        assert status.waiting == 18
        assert status.warning is None  # it is open for less than minutes
        monkeypatch.setattr(horizon, "PATIENCE_SECONDS", 0)
        warning = feed_status(connection).warning
        assert warning is not None
        assert f"session {idle.info.backend_pid} (ledger-pipeline)" in warning
        assert "since 20" in warning
        assert "18 events that are recorded reach no consumer" in warning
        assert f"pg_terminate_backend({idle.info.backend_pid})" in warning
        with caplog.at_level(logging.WARNING, "ledger_pipeline.cold.consumer"):
            assert consumed(connection, settings, "index") == []
        assert str(idle.info.backend_pid) in caplog.text
        idle.rollback()
    status = feed_status(connection)
    assert (status.holders, status.waiting, status.warning) == ((), 0, None)
    (index,) = status.consumers
    assert (index.name, index.behind) == ("index", 18)
    assert len(consumed(connection, settings, "index")) == 18
    assert feed_status(connection).consumers[0].behind == 0


def test_the_command_says_who_holds_the_feed_back_and_exits_with_1(
    connection: Connection, ledger_url: str, tmp_path: Path
) -> None:
    fill(connection, 1, seed=1)  # makes the weeks' tables
    late = list(history(1, seed=9))
    assert late[0].execution_id is not None
    program = (
        "import sys; from ledger_pipeline.cold import horizon; horizon.PATIENCE_SECONDS = int(sys.argv.pop(1));"
        "from ledger_pipeline.cli import run; sys.exit(run(sys.argv[1:]))"
    )

    def status(patience: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, str(patience), "feed", "status"],
            env={**os.environ, "LEDGER_HOME": str(tmp_path), "LEDGER_DATABASE_URL": ledger_url},
            capture_output=True,
            text=True,
            check=False,
        )

    with connect(ledger_url) as idle:
        append(idle, late[0].execution_id, late, history=True)
        held = status(0)
        assert held.returncode == 1, held.stderr
        assert f"held back by session {idle.info.backend_pid}" in held.stdout
        assert "warning: the feed is held back by session" in held.stderr
        assert status(300).returncode == 0


def test_the_pages_program_runs(ledger_url: str, tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "LEDGER_HOME": str(tmp_path / "home"), "LEDGER_DATABASE_URL": ledger_url},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "2 ['WorkflowCreated', 'WorkflowStarted']\nand then 0\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_the_ledger_feeds_and_tells_the_status(ledger_url: str, tmp_path: Path, connection: Connection) -> None:
    fill(connection, 2)
    with Ledger.open(Settings(home=tmp_path, database_url=SecretStr(ledger_url))) as ledger:
        with ledger.feed("index") as delivery:
            assert sum(batch.num_rows for batch in delivery) == 18
        assert [(each.name, each.behind) for each in ledger.feed_status().consumers] == [("index", 0)]


def place_behind_all(connection: Connection, settings: Settings) -> Position:
    """Where a consumer stands that has read every event and keeps its place by itself."""
    with deliver(connection, settings.cold_dir) as delivery:
        for _ in delivery:
            pass
    return delivery.position


def test_a_place_outside_goes_on_across_an_epoch_when_nothing_was_lost(
    connection: Connection, settings: Settings
) -> None:
    fill(connection, 2)
    place = place_behind_all(connection, settings)
    connection.execute("SELECT adopt('failed over')")
    fill(connection, 1, seed=2)
    with deliver(connection, settings.cold_dir, after=place) as delivery:
        rows = [row for batch in delivery for row in batch.to_pylist()]
    assert {row["epoch"] for row in rows} == {place.epoch + 1}
    assert (len(rows), rows[0]["sequence"]) == (9, 1)


def test_a_place_that_a_restored_copy_has_never_reached_is_refused(connection: Connection, settings: Settings) -> None:
    fill(connection, 2)
    kept = place_behind_all(connection, settings)
    fill(connection, 1, seed=2)
    lost = place_behind_all(connection, settings)
    # As a copy from before the last execution has it.
    unprotect(connection)
    connection.execute("DELETE FROM workflow_events WHERE tx = %s", (lost.tx,))
    connection.execute("SELECT adopt('restored')")
    fill(connection, 1, seed=3)
    with deliver(connection, settings.cold_dir, after=kept) as delivery:
        assert sum(batch.num_rows for batch in delivery) == 9
    with (
        pytest.raises(EpochMismatch, match="lies beyond the end of that epoch here"),
        deliver(connection, settings.cold_dir, after=lost),
    ):
        pass
    # The same when what is left of the epoch is cold.
    roll(connection, settings, NOW)
    with pytest.raises(EpochMismatch), deliver(connection, settings.cold_dir, after=lost):
        pass
    with deliver(connection, settings.cold_dir, after=kept) as delivery:
        assert sum(batch.num_rows for batch in delivery) == 9
