"""Snapshots of executions' states every N events, so that a replay need not begin at the first event.

The feed says which executions have moved since the last run; of these the heads say what is due against the newest
usable snapshot. Without a cursor, as on the first run and with another N or reducer, every execution is looked at.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any, LiteralString, cast
from uuid import UUID

from ledger_pipeline.cold.consumer import SNAPSHOTS, warn_when_held_back
from ledger_pipeline.cold.feed import Position, feed_end, load_cursor, moved_executions, store_cursor
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.sessions import own_transactions
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.draft import EventRow
from ledger_pipeline.events.fold import REDUCER_VERSION, ExecutionState, fold_all, initial
from ledger_pipeline.events.state_text import state_from_text, state_hash, state_text
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.many_events import Stretch, events_of
from ledger_pipeline.settings import ColdStore

_SQL = Path(__file__).parent / "sql"
_BATCH_EXECUTIONS = 2_000
_BATCH_EVENTS = 20_000
_DUE_ROWS = 10_000


@dataclass(frozen=True)
class SnapshotResult:
    """What a run stored: executions that got a snapshot, snapshots stored, events folded for them."""

    executions: int
    snapshots: int
    events: int


def _sql(name: str) -> LiteralString:
    return cast("LiteralString", (_SQL / name).read_text())


def kept_sequences(last: int, every: int) -> list[int]:
    """Sequences that keep a snapshot when the newest is at `last`, a multiple of `every`: O(log n), newest first.

    One at each distance from 2^k to 2^(k+1) - 1 multiples back. A sequence that is not kept now is never kept later, so
    thinning on the way gives the same set as thinning once.
    """
    newest = last // every
    kept = {newest} | {((newest >> k) - 1) << k for k in range(newest.bit_length())}
    return sorted((n * every for n in kept if n > 0), reverse=True)


def _state_of(row: dict[str, Any]) -> ExecutionState | None:
    """The state of a stored snapshot; None when it is not the text that was hashed."""
    text: str = row["state"]
    if not text.isascii() or state_hash(text) != row["state_hash"]:
        return None
    return state_from_text(text)


def usable_snapshot(
    connection: Connection, execution_id: UUID, as_of: int | datetime | None = None
) -> ExecutionState | None:
    """The state of the newest snapshot that does not reach beyond `as_of`; None when there is none."""
    limit: int | None = as_of if isinstance(as_of, int) else None
    while True:
        with translated():
            row = connection.execute(
                """
                SELECT sequence, state_hash, state FROM execution_snapshots
                WHERE execution_id = %s AND reducer_version = %s AND sequence <= coalesce(%s::bigint, sequence)
                ORDER BY sequence DESC LIMIT 1
                """,
                (execution_id, REDUCER_VERSION, limit),
            ).fetchone()
        if row is None:
            return None
        state = _state_of(row)
        if state is not None and not _reaches_beyond(state, as_of):
            return state
        limit = row["sequence"] - 1


def _reaches_beyond(state: ExecutionState, as_of: int | datetime | None) -> bool:
    latest = state.latest_occurred_at
    return isinstance(as_of, datetime) and latest is not None and latest > as_of


def _batches(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    batch: list[Stretch] = []
    events = 0
    for stretch in stretches:
        batch.append(stretch)
        events += stretch.due - stretch.start
        if len(batch) >= _BATCH_EXECUTIONS or events >= _BATCH_EVENTS:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


def _starts(connection: Connection, batch: Sequence[Stretch]) -> dict[UUID, ExecutionState]:
    """The states that folding begins with, of executions that have a usable snapshot at the stretch's start."""
    rows = connection.execute(
        """
        SELECT s.execution_id, s.state_hash, s.state
        FROM execution_snapshots s
        JOIN unnest(%s::uuid[], %s::bigint[]) AS wanted (id, sequence)
            ON s.execution_id = wanted.id AND s.sequence = wanted.sequence
        """,
        ([stretch.execution_id for stretch in batch], [stretch.start for stretch in batch]),
    ).fetchall()
    return {row["execution_id"]: state for row in rows if (state := _state_of(row)) is not None}


def _states(
    events: Iterator[EventRow], batch: Sequence[Stretch], starts: dict[UUID, ExecutionState], every: int
) -> Iterator[tuple[Stretch, ExecutionState]]:
    """The state of each execution at each sequence that keeps a snapshot."""
    by_id = {str(stretch.execution_id): stretch for stretch in batch}
    for execution_id, group in groupby(events, key=lambda row: row["execution_id"]):
        stretch, rows = by_id[execution_id], iter(group)
        state = starts.get(stretch.execution_id) or initial()
        for sequence in reversed(kept_sequences(stretch.due, every)):
            if sequence > state.last_sequence:
                state = fold_all(state, islice(rows, sequence - state.last_sequence))
                if state.last_sequence == sequence:
                    yield stretch, state


def take_snapshots(
    connection: Connection,
    cold_dir: ColdStore,
    every: int,
    now: datetime,
    progress: Callable[[int], None] | None = None,
    *,
    everything: bool = False,
) -> SnapshotResult:
    """Snapshots each execution that passed a multiple of `every` events since its newest one, and thins older ones.

    Those are looked at that the feed names since the last run, or with `everything` all: an execution's newest snapshot
    is then taken anew where it was deleted or damaged. The connection is outside a transaction and sees every drive.
    Each batch commits by itself, the cursor at the end, so a broken run is resumed by the next. `progress` is told how
    many executions are done.
    """
    if every < 1:
        raise InvalidInput(f"snapshots every N events: N must be 1 or more, got {every}")
    consumer = f"snapshots: every {every}, reducer {REDUCER_VERSION}"
    executions = snapshots = events = 0
    with own_transactions(connection), translated():
        if everything:
            _begin_anew(connection)
        cursor = load_cursor(connection, consumer)
        moved, end = _moved(connection, cold_dir, cursor)
        with closing(_due(connection, every, moved)) as due:
            for batch in _batches(due):
                snapshots += _take_batch(connection, cold_dir, every, now, batch)
                executions += len(batch)
                events += sum(stretch.due - stretch.start for stretch in batch)
                if progress is not None:
                    progress(executions)
        with connection.transaction():
            # One that counted by another N or reducer would begin at its old place, should that return.
            _forget_places(connection)
            store_cursor(connection, consumer, end)
    return SnapshotResult(executions, snapshots, events)


def _begin_anew(connection: Connection) -> None:
    """Until a run has looked at everything, each run does; what no replay would use is not in its way."""
    with connection.transaction():
        _forget_places(connection)
        connection.execute(_sql("delete_unusable_snapshots.sql"), {"reducer_version": REDUCER_VERSION})


def _forget_places(connection: Connection) -> None:
    connection.execute("DELETE FROM feed_cursors WHERE consumer ~ %s", (f"^({SNAPSHOTS})$",))


def _moved(connection: Connection, cold_dir: ColdStore, cursor: Position | None) -> tuple[list[UUID] | None, Position]:
    """The executions with events behind the cursor, None for all of them; and where the feed ends."""
    warn_when_held_back(connection)
    if cursor is None:
        return None, feed_end(connection)
    moved, end = moved_executions(connection, cold_dir, cursor)
    return list(moved), end


def _due(connection: Connection, every: int, moved: list[UUID] | None) -> Generator[Stretch]:
    # Held by the server across the batches' commits: on a first run every execution is due.
    with connection.cursor("due_snapshots", withhold=True) as due:
        due.itersize = _DUE_ROWS
        due.execute(_sql("due_snapshots.sql"), {"every": every, "reducer_version": REDUCER_VERSION, "moved": moved})
        for row in due:
            yield Stretch(**row)


def _take_batch(connection: Connection, cold_dir: ColdStore, every: int, now: datetime, batch: list[Stretch]) -> int:
    starts = _starts(connection, batch)
    # A snapshot that is not usable does not shorten the way.
    reading = [
        s if s.execution_id in starts else Stretch(s.execution_id, 0, s.due, s.first_week, s.last_week) for s in batch
    ]
    with open_read(connection):
        rows = [
            _snapshot_row(stretch, state, now)
            for stretch, state in _states(events_of(connection, cold_dir, reading), reading, starts, every)
        ]
    kept = [(stretch.execution_id, n) for stretch in batch for n in kept_sequences(stretch.due, every)]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_sql("store_snapshots.sql"), rows)
        cursor.execute(
            _sql("thin_snapshots.sql"),
            {
                "ids": [stretch.execution_id for stretch in batch],
                "kept_ids": [execution_id for execution_id, _ in kept],
                "kept_sequences": [sequence for _, sequence in kept],
            },
        )
    return len(rows)


def _snapshot_row(stretch: Stretch, state: ExecutionState, now: datetime) -> dict[str, Any]:
    text = state_text(state)
    return {
        "execution_id": stretch.execution_id,
        "sequence": state.last_sequence,
        "reducer_version": REDUCER_VERSION,
        "state_hash": state_hash(text),
        "state": text,
        "taken_at": now,
    }
