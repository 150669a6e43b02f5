"""Adds what the ledger does not have yet: the way that every importer of a file stores its events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ledger_pipeline.errors import AppendRefused, InvalidInput
from ledger_pipeline.events.columns import ALLOWED_AHEAD
from ledger_pipeline.hot.append import append_many, last_sequences
from ledger_pipeline.hot.database import Connection, translated

Row = Mapping[str, Any]

BATCH_EVENTS = 20_000
"""Events of one transaction; the append allows 50,000."""

_LAST_EVENTS = """
SELECT h.id, h.last_sequence, e.event_id
FROM execution_heads AS h
JOIN workflow_events AS e ON e.execution_id = h.id AND e.sequence = h.last_sequence AND e.week = h.last_week
WHERE h.id = ANY(%(ids)s) AND e.week BETWEEN %(first)s AND %(last)s
"""

_HEAD_WEEKS = "SELECT min(last_week) AS first, max(last_week) AS last FROM execution_heads WHERE id = ANY(%(ids)s)"


def latest_time(conn: Connection) -> datetime:
    """The latest time that an event may have, by the server's clock, which is the one that judges."""
    with translated(), conn.transaction():
        row = conn.execute("SELECT clock_timestamp() AS now").fetchone()
    if row is None:
        raise RuntimeError("clock_timestamp() gave no row")
    now: datetime = row["now"]
    return now + ALLOWED_AHEAD


class Incoming(NamedTuple):
    """An event on its way in: what tells whether the ledger has it, and how its row is made when it hasn't."""

    execution_id: UUID
    sequence: int
    event_id: UUID
    event_type: str
    row: Callable[[], Row]


class Intake:
    """Collects events and appends those that the ledger lacks, in batches; `new_events` counts them.

    The sequence makes a repeated import add nothing and two imports at once share the work; an execution's events come
    in that order. Raises InvalidInput when the ledger holds another event where the file's continues, and what
    `append_many` raises; batches before that stay, and the import can be repeated.
    """

    def __init__(self, conn: Connection, source: object, *, batch_events: int = BATCH_EVENTS) -> None:
        self._conn = conn
        self._source = source
        self._batch_events = batch_events
        self._last: dict[UUID, int] = {}
        self._last_ids: dict[UUID, UUID] = {}
        self._waiting: list[Incoming] = []
        self._held = 0
        self.new_events = 0

    def add(self, events: Iterable[Incoming]) -> None:
        """Takes events; stores a batch whenever there are enough."""
        self._waiting.extend(events)
        if len(self._waiting) >= self._held + self._batch_events:
            self._store(self._take_batch())

    def finish(self) -> None:
        """Stores what is left."""
        batch, self._waiting = self._waiting, []
        self._store(batch)

    def _take_batch(self) -> list[Incoming]:
        """All but each execution's trailing usage: a BudgetExceeded that directly follows must be in the same batch."""
        last_of = {event.execution_id: index for index, event in enumerate(self._waiting)}
        trailing = [index for index in last_of.values() if self._waiting[index].event_type == "TokensUpdated"]
        # Bounded, newest first, so that batches stay below what an append takes.
        held = set(sorted(trailing)[-self._batch_events :])
        batch = [event for index, event in enumerate(self._waiting) if index not in held]
        self._waiting = [self._waiting[index] for index in sorted(held)]
        self._held = len(held)
        return batch

    def _store(self, batch: Sequence[Incoming]) -> None:
        ids = {event.execution_id for event in batch}
        self._look_up(ids - self._last.keys())
        while new := [event.row() for event in batch if self._is_new(event)]:
            try:
                self.new_events += append_many(self._conn, new, history=True)
                return
            except AppendRefused:
                # Another import of the same file may have been quicker: then go on after what it stored.
                before = {execution_id: self._last[execution_id] for execution_id in ids}
                self._look_up(ids)
                if before == {execution_id: self._last[execution_id] for execution_id in ids}:
                    raise

    def _look_up(self, ids: set[UUID]) -> None:
        if not ids:
            return
        wanted = list(ids)
        with translated(), self._conn.transaction():
            known = last_sequences(self._conn, wanted)
            self._last |= {execution_id: known.get(execution_id, 0) for execution_id in ids}
            weeks = self._conn.execute(_HEAD_WEEKS, {"ids": wanted}).fetchone()
            if known and weeks:
                for row in self._conn.execute(_LAST_EVENTS, {"ids": wanted, **weeks}):
                    self._last_ids[row["id"]] = row["event_id"]

    def _is_new(self, event: Incoming) -> bool:
        last = self._last[event.execution_id]
        if event.sequence == last and self._last_ids.get(event.execution_id, event.event_id) != event.event_id:
            raise InvalidInput(
                f"{self._source}: execution {event.execution_id} has another event at sequence {last} in the ledger "
                "than in the file: it is not the file imported before, grown; nothing of this batch was stored"
            )
        return event.sequence > last
