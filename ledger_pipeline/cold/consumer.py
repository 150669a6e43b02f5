"""A named consumer of the feed: what it is given, and how its cursor moves."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false

import logging
import re
import zlib
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from uuid import UUID

import pyarrow as pa

from ledger_pipeline.arguments import shown, text_of, whole_or_none
from ledger_pipeline.cold.feed import (
    PLACE,
    Feed,
    Position,
    Wanted,
    load_cursor,
    read_feed,
    refuse_beyond_epoch,
    store_cursor,
)
from ledger_pipeline.cold.horizon import feed_status, holding_back
from ledger_pipeline.cold.sessions import sole
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import EVENT_TYPES
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore

logger = logging.getLogger(__name__)
_FIRST_LOCK = 1 << 20
SNAPSHOTS = r"snapshots: every \d+, reducer \d+"
"""The names of the one that takes snapshots, a regular expression of Python and of PostgreSQL."""
_OWN = re.compile(rf"budgets|{SNAPSHOTS}")
"""Consumers of the ledger's own, whose cursors only they move."""


class Delivery:
    """Events that a consumer has not had yet, once: iterate over its batches, in the feed's order, then it is over.

    `position` is the place behind the last batch that was given. At the end it is that of the whole delivery, `end`;
    but of a place that is kept outside, and of events of every type, still that of the last event: by it can be told
    later whether a restored copy of the ledger has that event.
    """

    def __init__(
        self,
        feed: Feed,
        start: Position,
        move: Callable[[Connection | None, Position], None] | None,
        *,
        ends_with_event: bool = False,
    ) -> None:
        self._feed = feed
        self._move = move
        self._ends_with_event = ends_with_event
        self.position = start
        self.end = feed.end
        self.complete = False
        self._moved = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._feed.batches:
            last = {name: batch.column(name)[batch.num_rows - 1].as_py() for name in PLACE}
            self.position = Position(last["epoch"], last["tx"], UUID(last["execution_id"]), last["sequence"])
            self._moved = False
            yield batch
        if not self._ends_with_event:
            self.position = self.end
        self.complete, self._moved = True, False

    def commit(self, connection: Connection | None = None) -> None:
        """Moves the consumer to `position`: what was given so far is done and is not given again.

        On a connection to the ledger's database it becomes part of the transaction there, so that a result in the same
        database and the cursor are stored together or not at all; without one it is committed at once.
        """
        if self._move is None:
            raise InvalidInput("consumer: none was named, so there is no cursor to move; keep `position` yourself")
        self._move(connection, self.position)
        self._moved = True

    def finish(self) -> None:
        """Moves a consumer that was given everything and has not moved by itself."""
        if self.complete and not self._moved and self._move is not None:
            self.commit()


@contextmanager
def deliver(
    connection: Connection,
    cold_dir: ColdStore,
    consumer: str | None = None,
    *,
    after: Position | None = None,
    event_types: Collection[str] | None = None,
    batch_rows: int = 65_536,
) -> Generator[Delivery]:
    """What a named consumer has not had yet, or what lies behind `after`; one process at a time consumes under a name.

    The connection must be outside a transaction, of a role that sees every drive. Raises Held, naming the session,
    while another process consumes, and EpochMismatch when the ledger was restored to before what was read: of a named
    consumer the cursor was restored with it, and of a place in an epoch that is over it is held against what this copy
    has of that epoch.
    """
    wanted = _wanted(consumer, after, event_types, batch_rows)
    if consumer is None:
        if after is not None:
            refuse_beyond_epoch(connection, cold_dir, after)
        feed = _read(connection, cold_dir, after, batch_rows, wanted)
        yield Delivery(feed, after or Position(0, 0), None, ends_with_event=event_types is None)
        return

    def move(own: Connection | None, position: Position) -> None:
        store_cursor(own or connection, consumer, position)

    lock = _FIRST_LOCK + zlib.crc32(consumer.encode()) % (1 << 30)
    with sole(connection, lock, f"events are being consumed as {consumer} by"):
        with translated():
            cursor = load_cursor(connection, consumer)
        delivery = Delivery(_read(connection, cold_dir, cursor, batch_rows, wanted), cursor or Position(0, 0), move)
        yield delivery
        delivery.finish()


def forget(connection: Connection, consumer: str) -> bool:
    """Forgets where a consumer stands, so that it begins anew; False when it is not known."""
    with translated():
        return connection.execute("DELETE FROM feed_cursors WHERE consumer = %s", (_name(consumer),)).rowcount > 0


def _name(consumer: object) -> str:
    name = text_of("consumer", consumer)
    if _OWN.fullmatch(name):
        raise InvalidInput(f"consumer: {name!r} is the ledger's own; allowed: any other name")
    return name


def _wanted(consumer: str | None, after: object, event_types: Collection[str] | None, batch_rows: int) -> Wanted:
    if consumer is not None:
        _name(consumer)
        if after is not None:
            raise InvalidInput("after: a named consumer goes on from its own cursor; give one or the other")
    if after is not None and not isinstance(after, Position):
        raise InvalidInput(f"after: is {shown(after)}; allowed: the position of a delivery")
    whole_or_none("batch_rows", batch_rows, least=1)
    if event_types is None:
        return Wanted()
    unknown = [name for name in event_types if name not in EVENT_TYPES]
    if isinstance(event_types, str) or unknown or not event_types:
        wrong = event_types if isinstance(event_types, str) or not unknown else unknown[0]
        raise InvalidInput(f"event_types: is {shown(wrong)}; allowed: some of {', '.join(EVENT_TYPES)}")
    return Wanted(tuple(name for name in EVENT_TYPES if name in event_types))


def warn_when_held_back(connection: Connection) -> None:
    """Warns of a transaction that has kept what is recorded from consumers for too long."""
    if holding_back(connection) and (warning := feed_status(connection).warning):
        logger.warning(warning)


def _read(connection: Connection, cold_dir: ColdStore, after: Position | None, batch_rows: int, wanted: Wanted) -> Feed:
    warn_when_held_back(connection)
    return read_feed(connection, cold_dir, after, batch_rows, wanted=wanted)
