"""Appends: the client side of the database's one write path."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import CLIENT_COLUMNS, Event
from ledger_pipeline.hot.database import Connection, connect_like, translated
from ledger_pipeline.hot.leaves import make_leaves

MAX_BATCH = 50_000
TWO_LANES_FROM = 5_000
"""Events from which a batch is stored as two: below, one transaction is quick enough."""
ORDINAL_STEP = 4
"""Distance of two events' ordinals: the database puts budget breaches between them."""


@dataclass(frozen=True)
class Appended:
    """What an append stored: the sequence numbers, and whether it was a repetition answered from its key."""

    execution_id: UUID
    first_sequence: int
    last_sequence: int
    repeated: bool


def _rows(events: Iterable[Event | Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for event in events:
        yield event.to_row() if isinstance(event, Event) else event


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
    given = [
        {name: value for name, value in row.items() if value is not None}
        | {"execution_id": row.get("execution_id") or execution_id, "ordinal": nth * ORDINAL_STEP}
        for nth, row in enumerate(_rows(events))
    ]
    with translated():
        row = connection.execute(
            "SELECT * FROM append(%s, %s::json, %s, %s, %s, %s)",
            (execution_id, json.dumps(given, default=str), expected_sequence, idempotency_key, history, request_hash),
        ).fetchone()
    assert row is not None
    return Appended(execution_id, row["first_sequence"], row["last_sequence"], row["repeated"])


def _batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    """Batches of about `size` rows; never cut between a usage and the budget breaches that follow it."""
    batch: list[Mapping[str, Any]] = []
    for row in rows:
        if len(batch) >= size and row["event_type"] != "BudgetExceeded":
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


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


def _store(connection: Connection, rows: Sequence[Mapping[str, Any]], history: bool) -> int:
    """Stages one batch, makes the leaves it needs when it is history, and appends it, all or none."""
    if not rows:
        # A lane that has nothing: its executions are all of the other one.
        return 0
    with translated():
        batch = _stage(connection, rows)
        try:
            if history:
                missing = connection.execute("SELECT event_type, week FROM staged_weeks(%s, true)", (batch,)).fetchall()
                make_leaves(connection, [(row["event_type"], row["week"]) for row in missing])
            row = connection.execute(
                "SELECT append_staged(%s, %s, %s) AS stored", (batch, history, len(rows))
            ).fetchone()
        except BaseException:
            if not connection.broken:
                connection.execute("SELECT discard_staged(%s)", (batch,))
            raise
    return row["stored"] if row else 0


def _lane_of(row: Mapping[str, Any]) -> int:
    """Which of the two lanes takes an execution: lock stripes of one parity each, so that they never wait."""
    execution_id = row["execution_id"]
    return (execution_id if isinstance(execution_id, UUID) else UUID(str(execution_id))).bytes[15] & 1


def append_many(
    connection: Connection,
    events: Iterable[Event | Mapping[str, Any]],
    *,
    history: bool = False,
    batch_size: int = MAX_BATCH,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Stores events of any number of executions in batches, each all or none; answers how many were stored.

    The connection must not be in a transaction. An execution's events keep the order given. `history` puts each event
    into the week it occurred in and makes the tables it needs; only importers of the past set it. A large batch is
    stored as two, side by side on two connections. To resume a broken series, give the events after each execution's
    `last_sequences`.
    """
    if not 1 <= batch_size <= MAX_BATCH:
        raise InvalidInput(f"batch_size: must be between 1 and {MAX_BATCH}, got {batch_size}")
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise InvalidInput("append_many commits by itself: give it a connection outside a transaction")
    autocommit, connection.autocommit = connection.autocommit, True
    stored = 0
    try:
        with ExitStack() as resources:
            second: Connection | None = None
            pool = resources.enter_context(ThreadPoolExecutor(max_workers=1))
            for rows in _batches(_rows(events), batch_size):
                if any(row.get("execution_id") is None for row in rows):
                    raise InvalidInput("execution_id: is missing; each event of a bulk append names its execution")
                if len(rows) < TWO_LANES_FROM:
                    stored += _store(connection, rows, history)
                else:
                    second = second or resources.enter_context(connect_like(connection))
                    lanes: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]] = ([], [])
                    for row in rows:
                        lanes[_lane_of(row)].append(row)
                    beside = pool.submit(_store, second, lanes[1], history)
                    try:
                        stored += _store(connection, lanes[0], history)
                    finally:
                        # Wait for the other lane in any case: nothing may still be written when this call has ended.
                        beside.exception()
                    stored += beside.result()
                if progress:
                    progress(stored)
    finally:
        if not connection.closed:
            connection.autocommit = autocommit
    return stored


def last_sequences(connection: Connection, execution_ids: Collection[UUID]) -> dict[UUID, int]:
    """The last sequence of each execution that the ledger knows."""
    rows = connection.execute(
        "SELECT id, last_sequence FROM execution_heads WHERE id = ANY(%s)", (list(execution_ids),)
    ).fetchall()
    return {row["id"]: row["last_sequence"] for row in rows}
