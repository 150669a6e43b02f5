"""Hot event rows as Arrow, streamed over ADBC.

Each event type is asked for its own columns only: most of the event table's columns are NULL for any one type, and
reading all of them for every row takes three times as long.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ledger_pipeline.cold.sessions import full_conninfo
from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, event_class_of, typed_columns
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.database import Connection

_BATCH_BYTES = 8 << 20
_AS_TEXT = {ColumnKind.UUID, ColumnKind.USD, ColumnKind.JSON}
"""Kinds that ADBC would give as opaque or extension types."""


class HotRows:
    """Reads event rows of the hot store; one at a time."""

    def __init__(self, cursor: adbc.Cursor) -> None:
        self._cursor = cursor

    def prefer_indexes(self) -> None:
        """For rows that are asked for in many small ranges: a leaf just filled has no statistics that would tell."""
        self._cursor.execute("SET enable_seqscan = off")

    def stream(self, event_type: str, where: sql.Composable) -> Iterator[pa.RecordBatch]:
        """Batches of `ARROW_SCHEMA` of one type's rows, unordered.

        The condition holds literals, not parameters: what is copied out in binary form takes none.
        """
        columns = _columns_of(event_type)
        query = sql.SQL("SELECT {} FROM ledger.workflow_events WHERE event_type = {} AND {}").format(
            sql.SQL(", ").join(map(_selected, columns)), sql.Literal(event_type), where
        )
        self._cursor.execute(query.as_string(None))
        with self._cursor.fetch_record_batch() as reader:
            for batch in reader:
                if batch.num_rows:
                    yield _full_batch(batch, event_type, columns)

    def in_order(self, event_types: Iterable[str], where: sql.Composable) -> pa.Table:
        """The rows of several types in one table, sorted by execution and sequence."""
        batches = [batch for event_type in event_types for batch in self.stream(event_type, where)]
        return sorted_rows(pa.Table.from_batches(batches, schema=ARROW_SCHEMA))


@contextmanager
def hot_rows(connection: Connection, snapshot: str | None = None) -> Generator[HotRows]:
    """Reads on a session of its own, with the connection's rights; `snapshot` is an exported one, still held."""
    # The driver knows the types that we select; else it reads every column of every leaf from the catalogue first.
    options = {"adbc.postgresql.type_resolver_mode": "builtin"}
    url = full_conninfo(connection)
    with adbc.connect(url, db_kwargs=options, autocommit=True) as session, session.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
        if snapshot is not None:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)).as_string(None))
        yield HotRows(cursor)


def sorted_rows(rows: pa.Table) -> pa.Table:
    """The rows sorted by execution and sequence, in one chunk a column."""
    order = pc.sort_indices(
        rows.select(["execution_id", "sequence"]),
        sort_keys=[("execution_id", "ascending"), ("sequence", "ascending")],
    )
    columns = [
        # Most columns are empty in most chunks: not worth moving.
        pa.nulls(rows.num_rows, column.type) if column.null_count == rows.num_rows else _taken(column, order)
        for column in rows.columns
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _taken(column: pa.ChunkedArray, order: pa.Array) -> pa.Array:
    taken = column.combine_chunks().take(order)
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def _columns_of(event_type: str) -> tuple[str, ...]:
    own = (typed.name for typed in typed_columns(event_class_of(event_type)))
    return (*(name for name in ENVELOPE if name != "event_type"), *own, "payload", "leaf", "hash")


def _selected(name: str) -> sql.Composable:
    identifier = sql.Identifier(name)
    return sql.SQL("{}::text").format(identifier) if EVENT_COLUMNS[name] in _AS_TEXT else identifier


def _full_batch(batch: pa.RecordBatch, event_type: str, columns: tuple[str, ...]) -> pa.RecordBatch:
    given = dict(zip(columns, batch.columns, strict=True))
    arrays: list[pa.Array] = []
    for field in ARROW_SCHEMA:
        array = given.get(field.name)
        if field.name == "event_type":
            arrays.append(pa.repeat(pa.scalar(event_type), batch.num_rows))
        elif array is None or array.null_count == batch.num_rows:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            arrays.append(array if array.type == field.type else array.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=ARROW_SCHEMA)
