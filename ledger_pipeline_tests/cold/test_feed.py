"""The feed gives every event exactly once, in one order, whatever is appended or rolled meanwhile."""

import threading
from datetime import timedelta
from uuid import UUID

import pytest

from ledger_pipeline.cold.feed import Position, Wanted, load_cursor, read_feed, store_cursor
from ledger_pipeline.cold.reader import scan_events
from ledger_pipeline.cold.roll import roll, roll_week
from ledger_pipeline.errors import ColdStoreDamaged, EpochMismatch
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill, history

Place = tuple[int, int, str, int]


def read(
    connection: Connection, settings: Settings, after: Position | None = None, *, ordered: bool = True
) -> tuple[list[Place], Position]:
    feed = read_feed(connection, settings.cold_dir, after, ordered=ordered)
    places: list[Place] = []
    for batch in feed.batches:
        assert batch.schema.equals(ARROW_SCHEMA)
        columns = (batch[name].to_pylist() for name in ("epoch", "tx", "execution_id", "sequence"))
        places.extend(zip(*columns, strict=True))
    return places, feed.end


def test_feed_is_in_one_order_hot_across_both_and_cold(connection: Connection, settings: Settings) -> None:
    events = fill(connection, batch_size=30)
    hot, _ = read(connection, settings)
    assert len(set(hot)) == events
    assert hot == sorted(hot)
    roll_week(connection, settings, MONDAY, NOW)
    assert read(connection, settings)[0] == hot
    assert sorted(read(connection, settings, ordered=False)[0]) == hot
    roll(connection, settings, NOW)
    assert read(connection, settings)[0] == hot
    assert sorted(read(connection, settings, ordered=False)[0]) == hot


def test_a_consumer_goes_on_from_where_it_stands(connection: Connection, settings: Settings) -> None:
    fill(connection, 3, seed=1)
    first, cursor = read(connection, settings)
    assert read(connection, settings, cursor)[0] == []
    fill(connection, 4, seed=2)
    second, cursor = read(connection, settings, cursor)
    assert (len(first), len(second)) == (27, 36)
    roll(connection, settings, NOW)
    assert read(connection, settings, cursor)[0] == []


def test_a_consumer_may_stop_within_a_transaction(connection: Connection, settings: Settings) -> None:
    fill(connection, 3)
    places, _ = read(connection, settings)
    for stop in (0, 10, 26):
        epoch, tx, execution_id, sequence = places[stop]
        cursor = Position(epoch, tx, UUID(execution_id), sequence)
        assert read(connection, settings, cursor)[0] == places[stop + 1 :]
        roll(connection, settings, NOW)
        assert read(connection, settings, cursor)[0] == places[stop + 1 :]


def test_a_consumer_may_want_some_types_and_weeks_up_to_where_another_stands(
    connection: Connection, settings: Settings
) -> None:
    fill(connection, 3, seed=1)
    _, cursor = read(connection, settings)
    wanted = Wanted(("TokensUpdated",), MONDAY + timedelta(weeks=1))

    def usage(until: Position | None) -> tuple[list[tuple[int, str]], set[str]]:
        batches = list(read_feed(connection, settings.cold_dir, wanted=wanted, until=until).batches)
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert all(row["week"] >= wanted.first_week for row in rows)
        return [(row["tx"], row["event_id"]) for row in rows], {row["event_type"] for row in rows}

    hot, types = usage(None)
    assert (len(hot), types) == (3, {"TokensUpdated"})
    fill(connection, 4, seed=2)
    assert usage(cursor) == (hot, types)
    assert len(usage(None)[0]) == 7
    roll_week(connection, settings, MONDAY, NOW)
    assert usage(cursor) == (hot, types)
    roll(connection, settings, NOW)
    assert usage(cursor) == (hot, types)
    assert len(usage(None)[0]) == 7


def test_epochs_follow_each_other(connection: Connection, settings: Settings) -> None:
    fill(connection, 2, seed=1)
    first, cursor = read(connection, settings)
    fill(connection, 2, seed=2)
    connection.execute("SELECT adopt('restored')")
    fill(connection, 2, seed=3)
    rest, _ = read(connection, settings, cursor)
    assert len(rest) == 36
    assert {place[0] for place in rest} == {first[0][0], first[0][0] + 1}
    roll(connection, settings, NOW)
    assert read(connection, settings)[0] == first + rest


def test_no_event_is_missed_while_an_older_transaction_is_open_and_weeks_are_rolled(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    fill(connection, 4, seed=1)
    seen: list[Place] = []
    late = list(history(1, seed=9))
    execution_id = late[0].execution_id
    assert execution_id is not None
    with connect(ledger_url) as slow:
        append(slow, execution_id, late, history=True)
        places, cursor = read(connection, settings)
        seen += places
        fill(connection, 4, seed=2)
        places, cursor = read(connection, settings, cursor)
        assert places == []  # they come after the open transaction, whose events nobody can see yet
        slow.commit()
    roll(connection, settings, NOW)
    places, cursor = read(connection, settings, cursor)
    seen += places
    assert len(seen) == len(set(seen)) == 81
    assert seen == sorted(seen)


@pytest.mark.slow
def test_consumers_during_appends_and_rolls_see_each_event_once_and_in_order(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    done = threading.Event()
    seen: list[Place] = []
    failures: list[BaseException] = []

    def consume() -> None:
        cursor = None
        try:
            with connect(ledger_url) as own:
                while True:
                    last_time = done.is_set()
                    places, cursor = read(own, settings, cursor)
                    seen.extend(places)
                    if last_time:
                        return
        except BaseException as error:
            failures.append(error)

    def append_more(seed: int) -> None:
        try:
            with connect(ledger_url) as own:
                for nth in range(5):
                    fill(own, 5, seed=seed * 100 + nth, batch_size=20)
        except BaseException as error:
            failures.append(error)

    consumer = threading.Thread(target=consume)
    writers = [threading.Thread(target=append_more, args=(seed,)) for seed in (1, 2)]
    for thread in (consumer, *writers):
        thread.start()
    while any(writer.is_alive() for writer in writers):
        roll(connection, settings, NOW)
    roll(connection, settings, NOW)
    done.set()
    consumer.join()
    assert failures == []
    assert len(seen) == len(set(seen)) == 2 * 5 * 5 * 9
    assert seen == sorted(seen)
    assert sum(batch.num_rows for batch in scan_events(connection, settings.cold_dir)) == len(seen)


def test_a_cursor_is_stored_with_the_result_or_not_at_all(ledger_url: str) -> None:
    position = Position(2, 77, UUID(int=5), 3)
    with connect(ledger_url) as connection:
        assert load_cursor(connection, "marts") is None
        store_cursor(connection, "marts", Position(1, 1))
        store_cursor(connection, "marts", position)
        connection.commit()
        store_cursor(connection, "marts", Position(3, 1))
        connection.rollback()
        assert load_cursor(connection, "marts") == position


def test_a_cursor_beyond_the_ledgers_end_is_refused(connection: Connection, settings: Settings) -> None:
    fill(connection, 1)
    _, end = read(connection, settings)
    with pytest.raises(EpochMismatch, match="beyond this ledger's end"):
        read_feed(connection, settings.cold_dir, Position(end.epoch, end.tx + 1000))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_damaged_file_is_named_and_no_event_is_given(
    connection: Connection, settings: Settings, ordered: bool
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    path = sorted(settings.cold_dir.rglob("*.parquet"))[-1]
    path.write_bytes(path.read_bytes()[:-1])
    feed = read_feed(connection, settings.cold_dir, ordered=ordered)
    with pytest.raises(ColdStoreDamaged, match=f"cold file {path} has"):
        next(feed.batches)
