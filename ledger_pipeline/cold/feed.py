"""The feed: every event exactly once, hot ∪ cold, in one order for all consumers.

A consumer reads from its cursor up to the horizon, below which no transaction is open any more, and stores the end of
what it read with its result.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.hot_rows import hot_rows
from ledger_pipeline.cold.manifest import RolledWeekRow, committed_weeks
from ledger_pipeline.cold.reader import open_read, read_file
from ledger_pipeline.cold.spool import Spool
from ledger_pipeline.errors import EpochMismatch, LedgerError
from ledger_pipeline.events.catalogue import EVENT_TYPES
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.events.upcasters import upcast_batch
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore

_BATCH_ROWS = 65_536
_SORT_MEMORY = "1GB"
_NIL = UUID(int=0)
PLACE = ("epoch", "tx", "execution_id", "sequence")
"""The columns that say where in the feed an event stands."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in the feed; a reader that stands there has read everything up to it and nothing beyond.

    Transaction numbers compare within one epoch only, so the epoch comes first.
    """

    epoch: int
    tx: int
    execution_id: UUID = _NIL
    sequence: int = 0


@dataclass(frozen=True)
class Wanted:
    """Which events a reader wants: those of some types, by default all, and of the ledger's weeks from one on.

    `but_removed`: without those that were removed under retention; else a read that would reach them is an error.
    """

    event_types: tuple[str, ...] = tuple(EVENT_TYPES)
    first_week: date | None = None
    but_removed: bool = False

    def has(self, week: RolledWeekRow) -> bool:
        """Whether a rolled week may have such events."""
        if self.but_removed and week.removal is not None:
            return False
        return self.first_week is None or week.week >= self.first_week

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch's events of the types."""
        if len(self.event_types) == len(EVENT_TYPES):
            return batch
        return batch.filter(pc.is_in(batch.column("event_type"), pa.array(self.event_types, pa.string())))


@dataclass(frozen=True)
class Feed:
    """Events after a cursor. `batches` is read once; store `end` as the new cursor when it has been read to its end."""

    batches: Iterator[pa.RecordBatch]
    end: Position


def read_feed(
    connection: Connection,
    cold_dir: ColdStore,
    after: Position | None = None,
    batch_rows: int = _BATCH_ROWS,
    *,
    ordered: bool = True,
    wanted: Wanted | None = None,
    until: Position | None = None,
) -> Feed:
    """The events between a cursor and the horizon; None reads from the beginning.

    Batches have `ARROW_SCHEMA` and come in the order of (epoch, tx, execution id, sequence), which respects every
    execution's sequence; `ordered=False` gives the same events sooner, in any order. `wanted` gives some of them only,
    `until`, a position where a reader has stood, those up to it. Raises EpochMismatch when the cursor lies beyond this
    ledger's end, ColdStoreDamaged for a file that is missing or altered, and EventsRemoved for a week that is gone.
    """
    start, wanted = after or Position(0, 0), wanted or Wanted()
    spool = Spool()
    try:
        with translated(), open_read(connection):
            end = _end_behind(connection, start)
            end = end if until is None else min(until, end)
            cold = [week for week in committed_weeks(connection) if _overlaps(week, start, end) and wanted.has(week)]
            for week in cold:
                _ = week.files  # of a removed week an error, before anything is read
            _spool_hot_rows(connection, spool, start, end, wanted)
    except BaseException:
        spool.close()
        raise
    batches = _from_both(cold, cold_dir, spool, start, end, wanted, batch_rows)
    in_order = _in_order(batches, batch_rows) if ordered else batches
    return Feed(map(upcast_batch, _once_judged(cold, cold_dir, spool, in_order)), end)


def feed_end(connection: Connection) -> Position:
    """Where the feed ends now: at the oldest transaction that is open."""
    state = connection.execute(
        "SELECT assert_epoch() AS epoch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon"
    ).fetchone()
    assert state is not None
    return Position(state["epoch"], state["horizon"])


def _end_behind(connection: Connection, start: Position) -> Position:
    end = feed_end(connection)
    if start > end:
        raise EpochMismatch(
            f"the cursor (epoch {start.epoch}, transaction {start.tx}) lies beyond this ledger's end (epoch "
            f"{end.epoch}, transaction {end.tx}): the database was restored; rebuild what was read from it"
        )
    return end


def moved_executions(connection: Connection, cold_dir: ColdStore, after: Position) -> tuple[set[UUID], Position]:
    """The executions that have events behind a place, without those of removed weeks; and where the feed ends.

    Raises as `read_feed` does; it reads no more of an event than its place.
    """
    with translated(), open_read(connection):
        end = _end_behind(connection, after)
        cold = [week for week in committed_weeks(connection) if _overlaps(week, after, end) and week.removal is None]
        hot = connection.execute(
            sql.SQL("SELECT DISTINCT execution_id FROM workflow_events WHERE {}").format(_between(after, end))
        ).fetchall()
    moved: set[UUID] = {row["execution_id"] for row in hot}
    for week in cold:
        for file in week.files:
            for batch in read_file(cold_dir, file, columns=PLACE):
                ids = batch.filter(_is_between(batch, after, end)).column("execution_id").unique()
                moved.update(map(UUID, ids.to_pylist()))
    return moved, end


_EPOCHS_END = """
    SELECT greatest(
        (SELECT max(e.tx) + 1 FROM workflow_events e WHERE e.epoch = %(epoch)s),
        (SELECT max(c.end_tx) FROM checkpoints c WHERE c.epoch = %(epoch)s AND c.end_tx < 9223372036854775807),
        0
    ) AS tx
    FROM ledger_state s
    WHERE s.current_epoch > %(epoch)s
"""
"""Behind the last transaction that is known in the hot store of an epoch that is over: a checkpoint that was closed
after the epoch was has no end that would tell."""

_EPOCHS_END_COLD = """
    SELECT coalesce(max(tx) + 1, 0) FROM read_parquet($files, hive_partitioning = false) WHERE epoch = $epoch
"""


def refuse_beyond_epoch(connection: Connection, cold_dir: ColdStore, place: Position) -> None:
    """Raises EpochMismatch for a place in an epoch that is over, beyond the end that the epoch has here.

    Whoever stands there has read events that are gone: the ledger was restored from a copy that had not got them yet.
    """
    with translated(), open_read(connection):
        hot = connection.execute(_EPOCHS_END, {"epoch": place.epoch}).fetchone()
        if hot is None or place.tx < hot["tx"]:
            return
        weeks = [week for week in committed_weeks(connection) if week.first[0] <= place.epoch <= week.last[0]]
    removed = [week.last[1] + 1 for week in weeks if week.removal is not None and week.last[0] == place.epoch]
    end: int = max([hot["tx"], *removed])
    kept = [week for week in weeks if week.removal is None]
    if files := [str(check_file(cold_dir, file)) for week in kept for file in week.files]:
        with duckdb.connect() as database:
            cold = database.execute(_EPOCHS_END_COLD, {"files": files, "epoch": place.epoch}).fetchall()
        end = max(end, cold[0][0])
    of_an_event = place.execution_id != _NIL
    if place.tx > end or (of_an_event and place.tx == end):
        raise EpochMismatch(
            f"the place (epoch {place.epoch}, transaction {place.tx}) lies beyond the end of that epoch here "
            f"(transaction {end}): the database was restored from a copy that lacks what was read; rebuild what was "
            "read from it"
        )


def load_cursor(connection: Connection, consumer: str) -> Position | None:
    """Where a consumer stands; None for one that has never read."""
    row = connection.execute(
        "SELECT epoch, tx, execution_id, sequence FROM feed_cursors WHERE consumer = %s", (consumer,)
    ).fetchone()
    return Position(**row) if row else None


def store_cursor(connection: Connection, consumer: str, position: Position) -> None:
    """Moves a consumer, in the caller's transaction: together with what it made of the events, or not at all."""
    connection.execute(
        """
        INSERT INTO feed_cursors (consumer, epoch, tx, execution_id, sequence) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (consumer) DO UPDATE SET
            epoch = excluded.epoch, tx = excluded.tx, execution_id = excluded.execution_id,
            sequence = excluded.sequence, updated_at = clock_timestamp()
        """,
        (consumer, position.epoch, position.tx, position.execution_id, position.sequence),
    )


def _overlaps(week: RolledWeekRow, start: Position, end: Position) -> bool:
    return week.last >= (start.epoch, start.tx) and week.first < (end.epoch, end.tx)


def _spool_hot_rows(connection: Connection, spool: Spool, start: Position, end: Position, wanted: Wanted) -> None:
    where = _between(start, end)
    if wanted.first_week is not None:
        where += sql.SQL(" AND week >= {}").format(sql.Literal(wanted.first_week))
    exported = connection.execute("SELECT pg_export_snapshot() AS id").fetchone()
    assert exported is not None
    with hot_rows(connection, exported["id"]) as hot:
        for event_type in wanted.event_types:
            for batch in hot.stream(event_type, where):
                spool.add(batch)


def _between(start: Position, end: Position) -> sql.Composable:
    """The condition on hot rows, epoch by epoch, so that the index on transactions can be used."""
    ranges: list[sql.Composable] = []
    for epoch in range(max(start.epoch, 1), end.epoch + 1):
        bounds = [sql.SQL("epoch = {}").format(sql.Literal(epoch))]
        if epoch == start.epoch:
            bounds.append(
                sql.SQL("tx >= {} AND (tx, execution_id, sequence) > ({}, {}::uuid, {})").format(
                    *map(sql.Literal, (start.tx, start.tx, str(start.execution_id), start.sequence))
                )
            )
        if epoch == end.epoch:
            bounds.append(sql.SQL("tx < {}").format(sql.Literal(end.tx)))
        ranges.append(sql.SQL("({})").format(sql.SQL(" AND ").join(bounds)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(ranges))


def _once_judged(
    cold: list[RolledWeekRow], cold_dir: ColdStore, spool: Spool, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The batches, after every file was judged: a partial answer would be consumed.

    Not within what sorts them, which would make one of its own errors of what is wrong with a file.
    """
    with spool:
        for week in cold:
            for file in week.files:
                check_file(cold_dir, file)
        yield from batches


def _from_both(
    cold: list[RolledWeekRow],
    cold_dir: ColdStore,
    spool: Spool,
    start: Position,
    end: Position,
    wanted: Wanted,
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    for week in cold:
        whole = week.first > (start.epoch, start.tx) and week.last < (end.epoch, end.tx)
        for file in week.files:
            for batch in read_file(cold_dir, file, batch_rows):
                given = batch if whole else batch.filter(_is_between(batch, start, end))
                given = wanted.of(given)
                if given.num_rows:
                    yield given
    yield from spool.batches()


def _is_between(batch: pa.RecordBatch, start: Position, end: Position) -> pa.BooleanArray:
    epoch, tx = batch.column("epoch"), batch.column("tx")
    execution_id, sequence = batch.column("execution_id"), batch.column("sequence")
    first_id = str(start.execution_id)
    further = pc.or_(
        pc.greater(execution_id, first_id),
        pc.and_(pc.equal(execution_id, first_id), pc.greater(sequence, start.sequence)),
    )
    begun = pc.or_(pc.greater(tx, start.tx), pc.and_(pc.equal(tx, start.tx), further))
    after_start = pc.or_(pc.greater(epoch, start.epoch), pc.and_(pc.equal(epoch, start.epoch), begun))
    before_end = pc.or_(pc.less(epoch, end.epoch), pc.and_(pc.equal(epoch, end.epoch), pc.less(tx, end.tx)))
    return pc.and_(after_start, before_end)


def _in_order(batches: Iterator[pa.RecordBatch], batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Sorted by DuckDB, which goes to disk when the events outgrow its memory."""
    failures: list[LedgerError] = []

    def told() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except LedgerError as error:
            failures.append(error)
            raise

    with (
        tempfile.TemporaryDirectory(prefix="ledger-feed-") as folder,
        duckdb.connect(config={"memory_limit": _SORT_MEMORY, "temp_directory": folder}) as database,
    ):
        database.register("events", pa.RecordBatchReader.from_batches(ARROW_SCHEMA, told()))
        ordered = database.sql("SELECT * FROM events ORDER BY epoch, tx, execution_id, sequence")
        try:
            for batch in ordered.to_arrow_reader(batch_rows):
                yield batch.cast(ARROW_SCHEMA)
        except duckdb.Error:
            if failures:  # which DuckDB has put into words of its own
                raise failures[0] from None
            raise
