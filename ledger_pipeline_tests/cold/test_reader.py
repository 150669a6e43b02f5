"""The reader of hot ∪ cold: each event once, at every instant, and never a silent hole."""

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.reader import EventsMissing, execution_events, open_read, scan_events
from ledger_pipeline.cold.roll import roll, roll_week
from ledger_pipeline.errors import ColdStoreDamaged, ColdStoreUnreachable, InvalidInput, NotFound
from ledger_pipeline.events.schema import leaf_of
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill, hot_events


def some_execution(connection: Connection) -> UUID:
    row = connection.execute("SELECT id FROM execution_heads ORDER BY id LIMIT 1").fetchone()
    assert row is not None
    return row["id"]


@pytest.mark.mission("A15")
def test_an_execution_reads_the_same_hot_across_both_and_cold(connection: Connection, settings: Settings) -> None:
    fill(connection)
    execution_id = some_execution(connection)
    hot = list(execution_events(connection, settings.cold_dir, execution_id))
    assert [row["sequence"] for row in hot] == list(range(1, 10))
    assert all(leaf_of(row) == row["leaf"] for row in hot)
    roll_week(connection, settings, MONDAY, NOW)
    assert list(execution_events(connection, settings.cold_dir, execution_id)) == hot
    roll(connection, settings, NOW)
    cold = list(execution_events(connection, settings.cold_dir, execution_id))
    assert cold == hot
    assert [{name: type(value) for name, value in row.items()} for row in cold] == [
        {name: type(value) for name, value in row.items()} for row in hot
    ]


def test_reading_goes_on_after_a_sequence(connection: Connection, settings: Settings) -> None:
    fill(connection)
    execution_id = some_execution(connection)
    roll_week(connection, settings, MONDAY, NOW)
    for after in range(10):
        rows = execution_events(connection, settings.cold_dir, execution_id, after)
        assert [row["sequence"] for row in rows] == list(range(after + 1, 10))


def test_an_unknown_execution_is_an_error(connection: Connection, settings: Settings) -> None:
    with pytest.raises(NotFound):
        execution_events(connection, settings.cold_dir, uuid4())


def test_a_read_needs_a_transaction_of_its_own(ledger_url: str) -> None:
    with connect(ledger_url) as connection:
        connection.execute("SELECT 1")
        with pytest.raises(InvalidInput, match="outside of one"), open_read(connection):
            pass
        connection.rollback()
        with open_read(connection), open_read(connection), pytest.raises(Exception, match="read-only transaction"):
            connection.execute("DELETE FROM feed_cursors")


@pytest.mark.mission("A5")
def test_readers_during_a_roll_see_each_event_exactly_once(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    events = fill(connection, 60, weeks=6)
    execution_id = some_execution(connection)
    counts: list[tuple[int, int]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def poll(read: Callable[[Connection], None]) -> None:
        try:
            with connect(ledger_url) as own:
                while not done.is_set():
                    read(own)
        except BaseException as error:
            failures.append(error)

    def scan(own: Connection) -> None:
        found = [
            key
            for batch in scan_events(own, settings.cold_dir)
            for key in zip(batch["execution_id"].to_pylist(), batch["sequence"].to_pylist(), strict=True)
        ]
        counts.append((len(found), len(set(found))))

    def follow(own: Connection) -> None:
        assert len(list(execution_events(own, settings.cold_dir, execution_id))) == 9

    threads = [threading.Thread(target=poll, args=(read,)) for read in (scan, scan, follow)]
    for thread in threads:
        thread.start()
    roll(connection, settings, NOW)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(counts) == {(events, events)}
    assert not hot_events(connection)


def test_a_reader_that_began_before_the_commit_still_sees_everything(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    events = fill(connection)
    with connect(ledger_url) as reader, open_read(reader):
        rolling = threading.Thread(target=lambda: roll(connection, settings, NOW))
        rolling.start()
        rolling.join(1.5)
        assert rolling.is_alive()
        assert sum(batch.num_rows for batch in scan_events(reader, settings.cold_dir)) == events
    rolling.join()
    assert not hot_events(connection)


def cold_file(connection: Connection, settings: Settings) -> Path:
    return settings.cold_dir / committed_weeks(connection)[0].files[0].name


def damage_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def swap_for_another(path: Path) -> None:
    other = next(other for other in path.parents[1].rglob("*.parquet") if other != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [Path.unlink, damage_a_byte, truncate, swap_for_another])
def test_a_damaged_file_is_named_and_never_an_empty_answer(
    connection: Connection, settings: Settings, damage: Callable[[Path], None]
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    path = cold_file(connection, settings)
    execution_id = some_execution(connection)
    list(execution_events(connection, settings.cold_dir, execution_id))
    damage(path)
    with pytest.raises(ColdStoreDamaged, match=path.name):
        list(execution_events(connection, settings.cold_dir, execution_id))
    with pytest.raises(ColdStoreDamaged, match=path.name):
        list(scan_events(connection, settings.cold_dir))


def test_a_folder_that_is_elsewhere_is_no_damage(connection: Connection, settings: Settings, tmp_path: Path) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    execution_id = some_execution(connection)
    for elsewhere in (tmp_path / "elsewhere", cold_file(connection, settings)):
        with pytest.raises(ColdStoreUnreachable, match=rf"{elsewhere} is not there.*: set LEDGER_COLD_URL"):
            list(execution_events(connection, elsewhere, execution_id))


def test_a_folder_that_may_not_be_read_is_no_damage(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    execution_id = some_execution(connection)
    settings.cold_dir.chmod(0)
    before = os.geteuid()
    if before == 0:  # root may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(ColdStoreUnreachable, match=r"may not be read by this program.*: let its user read"):
            list(execution_events(connection, settings.cold_dir, execution_id))
    finally:
        os.seteuid(before)
        settings.cold_dir.chmod(0o700)


def test_a_foreign_file_in_the_folder_is_not_read(connection: Connection, settings: Settings) -> None:
    events = fill(connection)
    roll(connection, settings, NOW)
    path = cold_file(connection, settings)
    path.with_name("foreign.parquet").write_bytes(path.read_bytes())
    assert sum(batch.num_rows for batch in scan_events(connection, settings.cold_dir)) == events


def test_a_hole_in_an_execution_is_an_error(connection: Connection, settings: Settings) -> None:
    fill(connection)
    execution_id = some_execution(connection)
    roll_week(connection, settings, MONDAY, NOW)
    connection.execute(
        "UPDATE archive_manifest SET week = week - 700 WHERE week = %s", (MONDAY,)
    )  # as if the row had been lost
    with pytest.raises(EventsMissing, match=f"{execution_id}.*events 1 to"):
        list(execution_events(connection, settings.cold_dir, execution_id))


def test_a_scan_is_ordered_within_each_execution(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY + timedelta(weeks=1), NOW)
    last: dict[str, int] = {}
    for batch in scan_events(connection, settings.cold_dir):
        for execution_id, sequence in zip(
            batch["execution_id"].to_pylist(), batch["sequence"].to_pylist(), strict=True
        ):
            assert sequence == last.get(execution_id, 0) + 1
            last[execution_id] = sequence
    assert set(last.values()) == {9}
