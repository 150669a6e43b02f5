"""The one reader of hot ∪ cold: each event once, whatever is being rolled meanwhile."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakSet

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import IsolationLevel, sql
from psycopg.pq import TransactionStatus

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.hot_rows import hot_rows, in_order, types_present
from ledger_pipeline.cold.manifest import ColdFile, RolledWeekRow, StoredFile, committed_weeks, files_by_week
from ledger_pipeline.cold.spool import Spool
from ledger_pipeline.errors import ColdStoreDamaged, InvalidInput, LedgerError, NotFound
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore

_BATCH_ROWS = 65_536
_PART_ROWS = 200
_ALL_COLUMNS = tuple(EVENT_COLUMNS)
_ID_COLUMNS = [name for name, kind in EVENT_COLUMNS.items() if kind is ColumnKind.UUID]
_TIME_COLUMNS = [name for name, kind in EVENT_COLUMNS.items() if kind is ColumnKind.TIMESTAMP]

_reading: WeakSet[Connection] = WeakSet()


class EventsMissing(LedgerError):
    """Events that the execution's head counts are neither hot nor cold: run `ledger-pipeline verify`."""

    code = "events_missing"


@contextmanager
def open_read(connection: Connection) -> Generator[None]:
    """A read-only transaction in which hot rows and manifest fit together; inside another one of these, that one.

    Keep it short: a roll's commit waits for its end. Read cold files after it.
    """
    if connection in _reading:
        yield
        return
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise InvalidInput("reading hot and cold events begins a transaction: give it a connection outside of one")
    level, read_only = connection.isolation_level, connection.read_only
    connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        with translated(), connection.transaction():
            # First and on its own: the snapshot must be taken once the lock is held, or a week that is committed in
            # between is in neither place.
            connection.execute("LOCK TABLE archive_manifest IN ACCESS SHARE MODE")
            _reading.add(connection)
            try:
                yield
            finally:
                _reading.discard(connection)
    finally:
        if not connection.closed:
            connection.isolation_level, connection.read_only = level, read_only


def execution_events(
    connection: Connection,
    cold_dir: ColdStore,
    execution_id: UUID,
    after: int = 0,
    upto: int | None = None,
    columns: Sequence[str] = _ALL_COLUMNS,
    *,
    of_type: Callable[[str], Sequence[str]] | None = None,
    ids_as_text: bool = False,
) -> Iterator[dict[str, Any]]:
    """The event rows of one execution with a sequence greater than `after`, at most `upto`, in order.

    `columns`, of which `execution_id`, `sequence` and `event_type` must be three, are those that a reader wants, and
    `of_type` those of them that it wants of a type's rows: whoever leaves out what it doesn't need, and takes ids as
    text, has the rows several times as soon.

    Raises NotFound for an execution that doesn't exist or that the session may not see, ColdStoreDamaged for a file
    that is missing or altered, EventsMissing when the answer would have a hole.
    """
    with open_read(connection):
        head = connection.execute(
            "SELECT last_sequence, first_week, last_week FROM execution_heads WHERE id = %s", (execution_id,)
        ).fetchone()
        if head is None:
            raise NotFound(f"execution {execution_id} does not exist")
        last: int = head["last_sequence"] if upto is None else min(upto, head["last_sequence"])
        # Literal weeks: the planner then looks at their leaves only.
        query = sql.SQL(
            """
            SELECT {} FROM workflow_events
            WHERE execution_id = {} AND sequence > {} AND sequence <= {} AND week BETWEEN {} AND {}
            ORDER BY sequence
            """
        ).format(
            sql.SQL(", ").join(_selected(name, ids_as_text) for name in columns),
            *map(sql.Literal, (execution_id, after, last, head["first_week"], head["last_week"])),
        )
        shapes = _Shapes(columns, of_type)
        with connection.cursor(row_factory=shapes.row_factory) as cursor:
            # In parts: rows are made of the first while the server is at the next.
            hot = list(cursor.stream(query, binary=True, size=_PART_ROWS))
        # Cold events are a prefix of the sequence.
        first_hot: int = hot[0]["sequence"] if hot else last + 1
        cold: list[StoredFile] = []
        if first_hot > after + 1:
            weeks = files_by_week(connection, head["first_week"], head["last_week"], execution_id)
            cold = [file for week in weeks for file in week.files]
    if after and upto is None:
        cold = _files_after(cold, cold_dir, execution_id, after)
    rows = chain(_cold_rows(cold, cold_dir, execution_id, after, shapes, ids_as_text), hot)
    return _gapless(rows, execution_id, after, last)


def _files_after(cold: list[StoredFile], cold_dir: ColdStore, execution_id: UUID, after: int) -> list[StoredFile]:
    """The files from the one that holds the event after a sequence: those before a snapshot are not opened.

    From the newest backwards: who asks for all that follows a sequence is near the end, as the newest snapshot is.
    """
    places = _Shapes(("execution_id", "sequence", "event_type"), None)
    for place in reversed(range(1, len(cold))):
        path = check_file(cold_dir, cold[place])
        row = next(_rows_of_execution(path, str(execution_id), after, places), None)
        if row is not None and row["sequence"] == after + 1:
            return cold[place:]
    return cold


class _Shapes:
    """Which of the columns read make the row of an event, by its type."""

    def __init__(self, columns: Sequence[str], of_type: Callable[[str], Sequence[str]] | None) -> None:
        self.columns = columns
        self._type_at = columns.index("event_type")
        self._of_type = of_type or self._all
        self._shapes: dict[str, tuple[tuple[str, ...], Callable[[Sequence[Any]], tuple[Any, ...]]]] = {}

    def _all(self, _: str) -> Sequence[str]:
        return self.columns

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """The row of an event whose columns have these values."""
        event_type: str = values[self._type_at]
        shape = self._shapes.get(event_type)
        if shape is None:
            wanted = frozenset(self._of_type(event_type))
            places = [at for at, name in enumerate(self.columns) if name in wanted]
            shape = tuple(self.columns[at] for at in places), itemgetter(*places)
            self._shapes[event_type] = shape
        names, pick = shape
        return dict(zip(names, pick(values), strict=False))  # as many as there are names; to be strict takes time

    def row_factory(self, _: object) -> Callable[[Sequence[Any]], dict[str, Any]]:
        """As psycopg wants it."""
        return self.row


def _selected(name: str, ids_as_text: bool) -> sql.Composable:
    kind = EVENT_COLUMNS[name]
    if kind is ColumnKind.JSON or (ids_as_text and kind is ColumnKind.UUID):
        return sql.SQL("{0}::text AS {0}").format(sql.Identifier(name))
    return sql.Identifier(name)


def scan_events(
    connection: Connection,
    cold_dir: ColdStore,
    batch_rows: int = _BATCH_ROWS,
    *,
    event_types: Collection[str] | None = None,
    from_week: date | None = None,
    but_removed: bool = False,
) -> Iterator[pa.RecordBatch]:
    """All events of one instant, once each, as batches of `ARROW_SCHEMA`: weeks ascending, in each by execution and
    sequence, so that every execution's events come in their order. Inside an `open_read`, those of its snapshot.

    Only those of some types, and of a week and later ones, where that is asked for. Raises EventsRemoved when a week
    was removed under retention, unless all `but_removed` ones are asked for.
    """
    spool = Spool()
    earliest = from_week or date.min
    try:
        with open_read(connection):
            cold = [week for week in committed_weeks(connection) if week.week >= earliest]
            cold = [week for week in cold if not (but_removed and week.removal) and week.files]
            weeks = connection.execute("SELECT week FROM hot_weeks('infinity') AS week ORDER BY week").fetchall()
            exported = connection.execute("SELECT pg_export_snapshot() AS id").fetchone()
            assert exported is not None
            if weeks:
                with hot_rows(connection, exported["id"]) as hot:
                    for row in weeks:
                        if row["week"] < earliest:
                            continue
                        of_week = sql.SQL("week = {}").format(sql.Literal(row["week"]))
                        present = types_present(connection, of_week)
                        wanted = [name for name in present if event_types is None or name in event_types]
                        spool.add_table(in_order(hot.parts(wanted, of_week)))
    except BaseException:
        spool.close()
        raise
    return _cold_then_spool(cold, cold_dir, spool, batch_rows, event_types)


def _cold_then_spool(
    cold: list[RolledWeekRow],
    cold_dir: ColdStore,
    spool: Spool,
    batch_rows: int,
    event_types: Collection[str] | None,
) -> Iterator[pa.RecordBatch]:
    wanted = None if event_types is None else pa.array(sorted(event_types), pa.string())
    with spool:
        for week in cold:
            for file in week.files:
                for batch in read_file(cold_dir, file, batch_rows):
                    yield batch if wanted is None else batch.filter(pc.is_in(batch.column("event_type"), wanted))
        yield from spool.batches()


def read_file(
    cold_dir: ColdStore, file: ColdFile, batch_rows: int = _BATCH_ROWS, columns: Sequence[str] = _ALL_COLUMNS
) -> Iterator[pa.RecordBatch]:
    """All rows of a cold file that is what the manifest says, as batches of these columns of `ARROW_SCHEMA`."""
    path = check_file(cold_dir, file)
    schema = pa.schema([ARROW_SCHEMA.field(name) for name in columns], ARROW_SCHEMA.metadata)
    events = 0
    with _parquet(path) as opened:
        for batch in _damage_named(path, opened.iter_batches(batch_rows, columns=list(columns))):
            events += batch.num_rows
            yield batch.select(list(columns)).cast(schema)
    if events != file.events:
        raise ColdStoreDamaged(f"cold file {path} holds {events} events, {file.events} were written: restore it")


def _cold_rows(
    cold: list[StoredFile],
    cold_dir: ColdStore,
    execution_id: UUID,
    after: int,
    shapes: _Shapes,
    ids_as_text: bool,
) -> Iterator[dict[str, Any]]:
    read = _in_utc if ids_as_text else _event_row
    for file in cold:
        path = check_file(cold_dir, file)
        yield from map(read, _rows_of_execution(path, str(execution_id), after, shapes))


def _rows_of_execution(path: Path, execution_id: str, after: int, shapes: _Shapes) -> Iterator[dict[str, Any]]:
    with _parquet(path) as opened:
        groups = _row_groups_with(opened.metadata, execution_id)
        for batch in _damage_named(path, opened.iter_batches(_BATCH_ROWS, groups, list(shapes.columns))):
            wanted = pc.and_(
                pc.equal(batch.column("execution_id"), execution_id), pc.greater(batch.column("sequence"), after)
            )
            found = batch.filter(wanted)
            yield from map(shapes.row, zip(*(found.column(name).to_pylist() for name in shapes.columns), strict=True))


def _row_groups_with(metadata: pq.FileMetaData, execution_id: str) -> list[int]:
    column = ARROW_SCHEMA.get_field_index("execution_id")
    groups: list[int] = []
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= execution_id <= statistics.max:
            groups.append(group)
    return groups


def _event_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the types that a hot row has."""
    for name in _ID_COLUMNS:
        if row.get(name) is not None:
            row[name] = UUID(row[name])
    return _in_utc(row)


def _in_utc(row: dict[str, Any]) -> dict[str, Any]:
    for name in _TIME_COLUMNS:
        value: datetime | None = row.get(name)
        if value is not None:
            row[name] = value.astimezone(UTC)
    return row


def _gapless(rows: Iterator[dict[str, Any]], execution_id: UUID, after: int, last: int) -> Iterator[dict[str, Any]]:
    expected = after + 1
    for row in rows:
        sequence: int = row["sequence"]
        if sequence > last:
            break
        if sequence != expected:
            raise EventsMissing(_hole(execution_id, expected, sequence - 1))
        expected += 1
        yield row
    if expected <= last:
        raise EventsMissing(_hole(execution_id, expected, last))


def _hole(execution_id: UUID, first: int, last: int) -> str:
    return (
        f"execution {execution_id}: its events {first} to {last} are neither hot nor in the cold store: "
        "run `ledger-pipeline verify`"
    )


@contextmanager
def _parquet(path: Path) -> Generator[pq.ParquetFile]:
    try:
        opened = pq.ParquetFile(path, page_checksum_verification=True, memory_map=True)
    except (OSError, pa.ArrowException) as error:
        raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None
    with opened:
        yield opened


def _damage_named(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None


def event_rows(batch: pa.RecordBatch) -> Iterator[Mapping[str, Any]]:
    """The event rows of a batch of `ARROW_SCHEMA`."""
    return map(_event_row, batch.to_pylist())
