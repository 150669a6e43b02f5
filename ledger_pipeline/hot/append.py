"""Appends: the client side of the database's one write path."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from ledger_pipeline.arguments import id_of, shown, text_or_none, whole_or_none
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import CLIENT_COLUMNS, Event, EventRow
from ledger_pipeline.events.row_faults import judged
from ledger_pipeline.hot.database import Connection, connect_like, translated
from ledger_pipeline.hot.leaves import make_leaves

MAX_BATCH = 50_000
BATCH = 5_000
"""Events a transaction, unless a caller says otherwise: more make it hold its locks longer, and no quicker."""
_NO_EXECUTION = "execution_id: is missing; each event of a bulk append names its execution"
ORDINAL_STEP = 4
"""Distance of two events' ordinals: the database puts budget breaches between them."""


@dataclass(frozen=True)
class Appended:
    """What an append stored: the sequence numbers, and whether it was a repetition answered from its key."""

    execution_id: UUID
    first_sequence: int
    last_sequence: int
    repeated: bool


def _rows(events: Iterable[Event | Mapping[str, Any]]) -> Iterator[EventRow]:
    for nth, event in enumerate(events):
        yield event.to_row() if isinstance(event, Event) else _judged(nth, event)


def _judged(nth: int, row: object) -> EventRow:
    if not isinstance(row, Mapping):
        raise InvalidInput(f"events[{nth}]: is {shown(row)}; allowed: an event or its row")
    return judged(f"events[{nth}]", cast("Mapping[str, Any]", row))


def checked_events(events: Sequence[Event | Mapping[str, Any]]) -> list[Event | EventRow]:
    """Events of one request; raises InvalidInput for what is none, and for a row's value that its column can't take."""
    if isinstance(events, (str, bytes, Mapping)) or not isinstance(events, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"events: is {shown(events)}; allowed: a list of events")
    return [event if isinstance(event, Event) else _judged(nth, event) for nth, event in enumerate(events)]


def hash_of_request(events: Iterable[Event | Mapping[str, Any]]) -> bytes:
    """SHA-256 of events as a client gave them."""
    return hashlib.sha256(json.dumps([dict(row) for row in _rows(events)], default=str).encode()).digest()


def append(
    connection: Connection,
    execution_id: UUID,
    events: Sequence[Event | Mapping[str, Any]],
    *,
    expected_sequence: int | None = None,
    idempotency_key: str | None = None,
    request_hash: bytes | None = None,
    history: bool = False,
) -> Appended:
    """Stores events of one execution, all or none, in the caller's transaction, of which it must be the first write.

    `expected_sequence` is the execution's last sequence before the call, 0 for a new one. Raises SequenceConflict when
    it is another, AppendRefused for what the state machine or the schema forbids. `request_hash` tells a repetition of
    `idempotency_key` from another request; without it the events given here do.
    """
    execution_id = id_of("execution_id", execution_id)
    whole_or_none("expected_sequence", expected_sequence)
    text_or_none("idempotency_key", idempotency_key)
    given = [
        {name: value for name, value in row.items() if value is not None}
        | {"execution_id": row.get("execution_id") or execution_id, "ordinal": nth * ORDINAL_STEP}
        for nth, row in enumerate(_rows(checked_events(events)))
    ]
    with translated():
        row = connection.execute(
            "SELECT * FROM append(%s, %s::json, %s, %s, %s, %s)",
            (execution_id, json.dumps(given, default=str), expected_sequence, idempotency_key, history, request_hash),
        ).fetchone()
    assert row is not None
    return Appended(execution_id, row["first_sequence"], row["last_sequence"], row["repeated"])


def _batches_of_lanes(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """Lanes and batches of about `size` rows; never cut between a usage and the budget breaches that follow it."""
    batches: list[list[Mapping[str, Any]]] = [[], []]
    for row in rows:
        lane = _lane_of(row)
        batch = batches[lane]
        if len(batch) >= size and row.get("event_type") != "BudgetExceeded":
            yield lane, batch
            batch = batches[lane] = []
        batch.append(row)
    yield from ((lane, batch) for lane, batch in enumerate(batches) if batch)


def _stage(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> UUID:
    """Copies the rows into the staging table, in a transaction of its own, and answers their batch."""
    batch = uuid4()
    # Only the columns that some row names: formatting NULLs would be most of the work.
    used: set[str] = set().union(*(row.keys() for row in rows))
    names = [name for name in CLIENT_COLUMNS if name in used]
    statement = sql.SQL("COPY append_staging (batch, ordinal, {}) FROM STDIN").format(
        sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        for nth, row in enumerate(rows):
            copy.write_row((batch, nth * ORDINAL_STEP, *map(row.get, names)))
    return batch


def _make_leaves(connection: Connection, batch: UUID) -> None:
    """Makes the tables that a staged batch of history needs."""
    missing = connection.execute("SELECT event_type, week FROM staged_weeks(%s, true)", (batch,)).fetchall()
    make_leaves(connection, [(row["event_type"], row["week"]) for row in missing])


class _Staged:
    """Batches that were staged by a call; those that were not appended are discarded at its end."""

    def __init__(self, connection: Connection, history: bool) -> None:
        self._connection = connection
        self._history = history
        self._waiting: set[UUID] = set()

    def stage(self, rows: Sequence[Mapping[str, Any]]) -> UUID:
        """Stages one batch and makes the tables that it needs when it is history."""
        with translated():
            batch = _stage(self._connection, rows)
            self._waiting.add(batch)
            if self._history:
                _make_leaves(self._connection, batch)
        return batch

    def append(self, connection: Connection, batch: UUID, events: int) -> int:
        """Appends a staged batch on any connection, all or none; answers how many events were stored."""
        with translated():
            row = connection.execute(
                "SELECT append_staged(%s, %s, %s) AS stored", (batch, self._history, events)
            ).fetchone()
        self._waiting.discard(batch)
        return row["stored"] if row else 0

    def discard(self) -> None:
        """Discards what is left over; what even this can't reach is cleared daily."""
        if self._waiting and not self._connection.broken:
            self._connection.execute("SELECT discard_staged(b) FROM unnest(%s::uuid[]) b", (list(self._waiting),))


class _Lane:
    """Appends staged batches one after the other, on a connection of its own; one may wait while one is appended."""

    def __init__(self, connection: Connection, staged: _Staged, resources: ExitStack) -> None:
        self._connection = resources.enter_context(connect_like(connection))
        # Left before the connection closes: nothing may still be written when the call has ended.
        self._worker = resources.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="append"))
        self._staged = staged
        self._failed = False
        self._under_way: deque[Future[int]] = deque()

    def give(self, batch: UUID, events: int) -> int:
        """Takes a staged batch; answers how many events were stored since the last call."""
        self._under_way.append(self._worker.submit(self._append, batch, events))
        return self._stored(at_most=1)

    def finish(self) -> int:
        """Waits for the last batch; raises what an append raised."""
        return self._stored(at_most=0)

    def _append(self, batch: UUID, events: int) -> int:
        if self._failed:  # what follows on a failed batch may build on it
            return 0
        try:
            return self._staged.append(self._connection, batch, events)
        except BaseException:
            self._failed = True
            raise

    def _stored(self, at_most: int) -> int:
        stored = 0
        while len(self._under_way) > at_most or (self._under_way and self._under_way[0].done()):
            stored += self._under_way.popleft().result()
        return stored


def _lane_of(row: Mapping[str, Any]) -> int:
    """Which of the two lanes takes an execution: lock stripes of one parity each, so that they never wait."""
    execution_id = row.get("execution_id")
    if execution_id is None:
        raise InvalidInput(_NO_EXECUTION)
    return id_of("execution_id", execution_id).bytes[15] & 1


def append_many(
    connection: Connection,
    events: Iterable[Event | Mapping[str, Any]],
    *,
    history: bool = False,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Stores events of any number of executions in batches, each all or none; answers how many were stored.

    The connection must not be in a transaction. An execution's events keep the order given. `history` puts each event
    into the week it occurred in and makes the tables it needs; only importers of the past set it. While the connection
    stages a batch, two others append the ones before it, each its half of the executions; a single batch is appended
    by the connection itself. After a refusal, what was stored is a prefix of each execution: to resume, give the events
    after each execution's `last_sequences`.
    """
    if not 1 <= batch_size <= MAX_BATCH:
        raise InvalidInput(f"batch_size: must be between 1 and {MAX_BATCH}, got {batch_size}")
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise InvalidInput("append_many commits by itself: give it a connection outside a transaction")
    autocommit, connection.autocommit = connection.autocommit, True
    staged = _Staged(connection, history)
    try:
        rows = _rows(events)
        first = list(islice(rows, batch_size + 1))
        if len(first) > batch_size:
            with ExitStack() as resources:
                lanes = [_Lane(connection, staged, resources) for _ in range(2)]
                return _append_in_lanes(_batches_of_lanes(chain(first, rows), batch_size), staged, lanes, progress)
        stored = 0
        if first:
            for row in first:
                _lane_of(row)  # names an execution
            stored = staged.append(connection, staged.stage(first), len(first))
        if progress:
            progress(stored)
        return stored
    finally:
        if not connection.closed:
            staged.discard()
            connection.autocommit = autocommit


def _append_in_lanes(
    batches: Iterable[tuple[int, Sequence[Mapping[str, Any]]]],
    staged: _Staged,
    lanes: Sequence[_Lane],
    progress: Callable[[int], None] | None,
) -> int:
    stored = 0
    for lane, batch in batches:
        stored += lanes[lane].give(staged.stage(batch), len(batch))
        if progress:
            progress(stored)
    for lane in lanes:
        stored += lane.finish()
    if progress:
        progress(stored)
    return stored


def last_sequences(connection: Connection, execution_ids: Collection[UUID]) -> dict[UUID, int]:
    """The last sequence of each execution that the ledger knows."""
    rows = connection.execute(
        "SELECT id, last_sequence FROM execution_heads WHERE id = ANY(%s)", (list(execution_ids),)
    ).fetchall()
    return {row["id"]: row["last_sequence"] for row in rows}
