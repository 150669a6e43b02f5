"""Replays from a real store: hot events, snapshots, and prefixes by sequence and by time."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import set_json_loads
from rich.console import Console

from ledger_pipeline.cold.consumer import forget
from ledger_pipeline.cold.horizon import feed_status
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import InvalidInput, LedgerError, NotFound
from ledger_pipeline.events import (
    ContextUpdated,
    Event,
    LogRecorded,
    StepCompleted,
    StepDispatched,
    WorkflowCreated,
    WorkflowStarted,
)
from ledger_pipeline.events.catalogue import CLIENT_COLUMNS, PlanStep
from ledger_pipeline.events.fold import REDUCER_VERSION, parse_json
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.events.state_text import state_text
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect_like
from ledger_pipeline.replay.difference import difference
from ledger_pipeline.replay.render import render_difference, render_state
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.snapshots import kept_sequences, take_snapshots
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.events.histories import legal_histories

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(minute: int) -> datetime:
    """A minute of the execution."""
    return START + timedelta(minutes=minute)


def long_execution(connection: Connection, events: int) -> UUID:
    """An execution whose context counts its events; the sixth occurred out of order."""
    execution_id, step, call = uuid4(), uuid4(), uuid4()
    history: list[Event] = [
        WorkflowCreated(occurred_at=at(1), plan=(PlanStep(step_id=step, path="0", step_order=0, step_name="s"),)),
        WorkflowStarted(occurred_at=at(2)),
        StepDispatched(occurred_at=at(3), step_id=step, call_id=call),
        StepCompleted(occurred_at=at(4), step_id=step, call_id=call, output={"n": 1}),
    ]
    for n in range(5, events + 1):
        history.append(ContextUpdated(occurred_at=at(90) if n == 6 else at(n), patch={"events": n}))
    append(connection, execution_id, history[:events])
    return execution_id


@pytest.fixture
def cold_dir(tmp_path: Path) -> Path:
    """An empty cold store."""
    return tmp_path / "cold"


def rows_of(connection: Connection, table: str, execution_id: UUID) -> list[dict[str, Any]]:
    """A projection's rows, without what a replay leaves out."""
    key = "id" if table == "workflow_executions" else "execution_id"
    rows = connection.execute(f"SELECT * FROM {table} WHERE {key} = %s", (execution_id,)).fetchall()  # type: ignore[arg-type]
    return [{name: value for name, value in row.items() if name not in ("created_at", "updated_at")} for row in rows]


def exact_json(text: str | bytes) -> Any:
    """The value of a JSON column with exact numbers."""
    return parse_json(text if isinstance(text, str) else text.decode())


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order of their own."""
    return sorted(rows, key=lambda row: str(row.get("sequence") or row["id"]))


@pytest.mark.mission("A9")
@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_row_of_a_projection_equals_the_replay(
    connection: Connection, cold_dir: Path, data: st.DataObject
) -> None:
    set_json_loads(exact_json, connection)
    execution_id = uuid4()
    history = data.draw(legal_histories(execution_id=execution_id))
    given_rows = [{name: row[name] for name in CLIENT_COLUMNS} for row in history]
    cut = data.draw(st.integers(0, len(history)))
    append_many(connection, given_rows[:cut])
    append_many(connection, given_rows[cut:])
    events = connection.execute(
        "SELECT *, payload::text AS payload FROM workflow_events WHERE execution_id = %s ORDER BY sequence",
        (execution_id,),
    ).fetchall()
    state = replay(connection, cold_dir, execution_id)
    assert state.problems == ()
    for table, expected in state_as_rows(state, events).items():
        assert ordered(rows_of(connection, table, execution_id)) == ordered(expected), table


@pytest.mark.mission("A15")
def test_a_replay_stops_at_the_sequence_asked_for(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 12)
    assert replay(connection, cold_dir, execution_id).accumulated_context["events"] == 12
    assert replay(connection, cold_dir, execution_id, as_of=7).accumulated_context["events"] == 7
    assert replay(connection, cold_dir, execution_id, as_of=0).id is None
    assert replay(connection, cold_dir, execution_id, as_of=99).last_sequence == 12


@pytest.mark.mission("A15")
def test_a_replay_as_of_an_instant_is_the_longest_prefix_that_had_occurred(
    connection: Connection, cold_dir: Path
) -> None:
    execution_id = long_execution(connection, 12)
    assert replay(connection, cold_dir, execution_id, as_of=at(3)).last_sequence == 3
    # The sixth event occurred after its successors, so nothing behind it belongs to the prefix.
    assert replay(connection, cold_dir, execution_id, as_of=at(50)).last_sequence == 5
    assert replay(connection, cold_dir, execution_id, as_of=at(90)).last_sequence == 12


@pytest.mark.mission("A15")
def test_a_replay_as_known_at_an_instant_sees_what_was_recorded_by_then(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 4)
    known = connection.execute("SELECT clock_timestamp() AS now").fetchone()
    assert known is not None
    append(connection, execution_id, [LogRecorded(occurred_at=at(1), log_level="info", message="late")])
    take_snapshots(connection, cold_dir, 1, NOW)
    assert replay(connection, cold_dir, execution_id, known_at=known["now"]).last_sequence == 4
    assert replay(connection, cold_dir, execution_id, known_at=START).last_sequence == 0
    assert replay(connection, cold_dir, execution_id).last_sequence == 5


@pytest.mark.mission("A7")
def test_snapshots_change_no_replay(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 57)
    points: list[Any] = [None, *range(1, 58), at(3), at(50), at(90)]
    before = [state_text(replay(connection, cold_dir, execution_id, as_of=point)) for point in points]
    result = take_snapshots(connection, cold_dir, 5, NOW)
    assert (result.executions, result.snapshots) == (1, len(kept_sequences(55, 5)))
    assert [state_text(replay(connection, cold_dir, execution_id, as_of=point)) for point in points] == before


@pytest.mark.mission("A7")
def test_a_replay_begins_at_the_newest_snapshot(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 23)
    take_snapshots(connection, cold_dir, 10, NOW)
    expected = state_text(replay(connection, cold_dir, execution_id))
    # What lies below the snapshot is not read: without those events the replay is the same.
    disable_triggers(connection)
    connection.execute("DELETE FROM workflow_events WHERE execution_id = %s AND sequence <= 20", (execution_id,))
    assert state_text(replay(connection, cold_dir, execution_id)) == expected
    connection.execute("DELETE FROM execution_snapshots")
    with pytest.raises(LedgerError, match="1 to 20 are neither hot nor in the cold store"):
        replay(connection, cold_dir, execution_id)


def disable_triggers(connection: Connection) -> None:
    """Lets a superuser change events, which nobody else can."""
    leaves = connection.execute(
        "SELECT relid::text AS leaf FROM pg_partition_tree('workflow_events') WHERE isleaf"
    ).fetchall()
    for row in leaves:
        connection.execute(f"ALTER TABLE {row['leaf']} DISABLE TRIGGER USER")  # type: ignore[arg-type]


@pytest.mark.mission("A7")
def test_a_snapshot_that_does_not_match_is_ignored(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 25)
    expected = state_text(replay(connection, cold_dir, execution_id))
    for damage in (
        "UPDATE execution_snapshots SET state = replace(state, 'running', 'failed')",
        "UPDATE execution_snapshots SET state = 'no state'",
        "UPDATE execution_snapshots SET state_hash = sha256('')",
        "UPDATE execution_snapshots SET state = 'é', state_hash = sha256('é')",
        "UPDATE execution_snapshots SET reducer_version = reducer_version + 1, state = '{}', state_hash = sha256('{}')",
    ):
        connection.execute("DELETE FROM execution_snapshots")
        take_snapshots(connection, cold_dir, 10, NOW, everything=True)
        connection.execute(damage)  # type: ignore[arg-type]
        assert state_text(replay(connection, cold_dir, execution_id)) == expected, damage
        # A run that looks at everything takes anew what none can use.
        assert take_snapshots(connection, cold_dir, 10, NOW).snapshots == 0
        assert take_snapshots(connection, cold_dir, 10, NOW, everything=True).snapshots == 2, damage
        assert take_snapshots(connection, cold_dir, 10, NOW, everything=True).snapshots == 0


@pytest.mark.mission("A7")
def test_snapshots_taken_on_the_way_are_those_taken_at_once(connection: Connection, cold_dir: Path) -> None:
    slowly, at_once = long_execution(connection, 4), long_execution(connection, 4)
    for n in range(5, 42):
        append(connection, slowly, [ContextUpdated(occurred_at=at(n), patch={"events": n})])
        take_snapshots(connection, cold_dir, 2, NOW)
    append(connection, at_once, [ContextUpdated(occurred_at=at(n), patch={"events": n}) for n in range(5, 42)])
    result = take_snapshots(connection, cold_dir, 2, NOW)
    assert result.executions == 1
    stored = {
        execution_id: [
            (row["sequence"], parse_json(row["state"])["accumulated_context"])
            for row in connection.execute(
                "SELECT sequence, state FROM execution_snapshots WHERE execution_id = %s ORDER BY sequence DESC",
                (execution_id,),
            ).fetchall()
        ]
        for execution_id in (slowly, at_once)
    }
    assert stored[slowly] == stored[at_once]
    assert [sequence for sequence, _ in stored[slowly]] == kept_sequences(40, 2)
    assert take_snapshots(connection, cold_dir, 2, NOW).snapshots == 0


@pytest.mark.mission("A6")
def test_only_executions_that_moved_are_folded_again_in_the_next_epoch_too(
    connection: Connection, cold_dir: Path
) -> None:
    rests, moves = long_execution(connection, 10), long_execution(connection, 10)
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 2
    for nth in range(2):
        first = 11 + 5 * nth
        append(
            connection,
            moves,
            [ContextUpdated(occurred_at=at(n), patch={"events": n}) for n in range(first, first + 5)],
        )
        taken = take_snapshots(connection, cold_dir, 5, NOW)
        assert (taken.executions, taken.snapshots, taken.events) == (1, 1, 5)
        connection.execute("SELECT adopt('failed over')")
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 0
    # One that was deleted is taken again by a run that looks at everything, though no event has come.
    connection.execute("DELETE FROM execution_snapshots WHERE execution_id = %s", (rests,))
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 0
    assert take_snapshots(connection, cold_dir, 5, NOW, everything=True).executions == 1


@pytest.mark.mission("A7")
def test_snapshots_follow_the_feed(connection: Connection, cold_dir: Path) -> None:
    first = long_execution(connection, 10)
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 1
    (consumer,) = feed_status(connection).consumers
    assert (consumer.name, consumer.behind) == (f"snapshots: every 5, reducer {REDUCER_VERSION}", 0)
    # What is committed beyond the horizon of a run is the next one's.
    with connect_like(connection) as older, older.transaction():
        older.execute("SELECT pg_current_xact_id()")
        append(connection, first, [ContextUpdated(occurred_at=at(n), patch={"events": n}) for n in range(11, 16)])
        assert take_snapshots(connection, cold_dir, 5, NOW).executions == 0
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 1
    # One process that broke off is followed by one that begins where it began.
    second = long_execution(connection, 12)

    def breaks_off(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        take_snapshots(connection, cold_dir, 5, NOW, breaks_off)
    connection.execute("DELETE FROM execution_snapshots WHERE execution_id = %s", (second,))
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 1
    # Until one has looked at everything, the next ones do.
    connection.execute("DELETE FROM execution_snapshots")
    with pytest.raises(InterruptedError):
        take_snapshots(connection, cold_dir, 5, NOW, breaks_off, everything=True)
    connection.execute("DELETE FROM execution_snapshots")
    assert take_snapshots(connection, cold_dir, 5, NOW).executions == 2
    # By another N every execution is looked at, and the old place is forgotten.
    assert take_snapshots(connection, cold_dir, 3, NOW).executions == 1
    assert [each.name for each in feed_status(connection).consumers] == [
        f"snapshots: every 3, reducer {REDUCER_VERSION}"
    ]
    with pytest.raises(InvalidInput, match="'snapshots: every 3, reducer 1' is the ledger's own"):
        forget(connection, "snapshots: every 3, reducer 1")
    assert not forget(connection, "snapshots: mine")


@pytest.mark.mission("A7")
def test_snapshots_are_taken_of_events_that_were_rolled_before(connection: Connection, tmp_path: Path) -> None:
    home = Settings(home=tmp_path)
    execution_id = long_execution(connection, 10)
    take_snapshots(connection, home.cold_dir, 5, NOW)
    append(connection, execution_id, [ContextUpdated(occurred_at=at(n), patch={"events": n}) for n in range(11, 16)])
    rolled = roll(connection, home, datetime.now(UTC) + timedelta(days=30), keep_days=0)
    assert sum(week.events for week in rolled) == 15
    taken = take_snapshots(connection, home.cold_dir, 5, NOW)
    assert (taken.executions, taken.events) == (1, 5)
    assert take_snapshots(connection, home.cold_dir, 5, NOW).executions == 0


@given(st.integers(1, 2000), st.integers(1, 50))
def test_few_snapshots_are_kept_and_none_returns(last: int, every: int) -> None:
    newest = last * every
    kept = kept_sequences(newest, every)
    assert kept[0] == newest
    assert len(kept) <= last.bit_length() + 1
    assert all(n % every == 0 and n > 0 for n in kept)
    assert {*kept} <= {newest, *kept_sequences(newest - every, every)}


def test_an_unknown_execution_is_not_found(connection: Connection, cold_dir: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        replay(connection, cold_dir, uuid4())


def test_a_point_that_is_none_is_refused(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 1)
    with pytest.raises(InvalidInput, match="as_of: a sequence is 0 or more, got -1"):
        replay(connection, cold_dir, execution_id, as_of=-1)
    with pytest.raises(InvalidInput, match=r"as_of: .* has no time zone"):
        replay(connection, cold_dir, execution_id, as_of=datetime(2026, 1, 1))
    with pytest.raises(InvalidInput, match=r"known_at: .* has no time zone"):
        replay(connection, cold_dir, execution_id, known_at=datetime(2026, 1, 1))


def test_the_difference_of_two_points_names_each_value(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 12)
    before, after = (replay(connection, cold_dir, execution_id, as_of=n) for n in (3, 5))
    changes = {item.path: (item.before, item.after) for item in difference(before, after)}
    assert changes["steps[0].status"] == ("running", "completed")
    assert changes["accumulated_context.events"] == (None, 5)
    assert changes["progress_percentage"] == ("0.00", "100.00")
    assert difference(after, after) == []


def test_a_state_is_rendered_for_the_terminal(connection: Connection, cold_dir: Path) -> None:
    execution_id = long_execution(connection, 12)
    states = [replay(connection, cold_dir, execution_id, as_of=n) for n in (0, 12)]
    console = Console(record=True, width=120, file=StringIO())
    console.print(render_state(states[0]), render_state(states[1]), render_difference(difference(*states)))
    text = console.export_text()
    assert "nothing has happened yet" in text
    assert str(execution_id) in text
    assert "100.00 % (1 of 1 steps)" in text
