"""Hot event rows as Arrow, streamed over ADBC.

Each event type is asked for its own columns only: most of the event table's columns are NULL for any one type, and
reading all of them for every row takes three times as long.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ledger_pipeline.cold.sessions import full_conninfo
from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, columns_of
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.database import Connection

_BATCH_BYTES = 1 << 20
_POOL = pa.jemalloc_memory_pool() if "jemalloc" in pa.supported_memory_backends() else pa.default_memory_pool()
"""Sorting makes every column anew, chunk after chunk: this pool keeps its pages, the default one gives them back, and
half of the time of sorting goes into getting them again."""
_KEYS = ("execution_id", "sequence")
Part = tuple[dict[str, pa.Array], int]
_SURPRISES = "columns expected to be NULL that are not"
_ROWS_TO_LEARN_FROM = 1000
_expected_null: dict[str, frozenset[str]] = {}
"""Columns of each type that were NULL in every row of the last read: half of them are, and each costs the server and
the driver time. A guess, which every read that builds on it checks."""
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
        for columns in self._narrow(event_type, _columns_of(event_type), where):
            size = len(columns["leaf"])
            arrays = [_column([(columns, size)], field) for field in ARROW_SCHEMA]
            yield pa.RecordBatch.from_arrays(arrays, schema=ARROW_SCHEMA)

    def parts(self, event_types: Iterable[str], where: sql.Composable) -> list[Part]:
        """The rows of several types, for `in_order`."""
        return [
            (columns, len(columns["leaf"])) for event_type in event_types for columns in self._filled(event_type, where)
        ]

    def _filled(self, event_type: str, where: sql.Composable) -> list[dict[str, pa.Array]]:
        """All rows of one type, without asking for the columns that are expected to be NULL throughout."""
        columns = _columns_of(event_type)
        expected = _expected_null.get(event_type, frozenset())
        asked = [name for name in columns if name not in expected]
        parts = list(self._narrow(event_type, asked, where, sorted(expected)))
        if any(pc.max(part[_SURPRISES]).as_py() for part in parts if _SURPRISES in part):
            parts = list(self._narrow(event_type, columns, where))
        if sum(len(part["leaf"]) for part in parts) >= _ROWS_TO_LEARN_FROM:
            _expected_null[event_type] = frozenset(columns).difference(*parts)
        return parts

    def _narrow(
        self, event_type: str, columns: Sequence[str], where: sql.Composable, expected_null: Sequence[str] = ()
    ) -> Iterator[dict[str, pa.Array]]:
        """The columns as the driver gives them, those left out that are NULL throughout."""
        selected = list(map(_selected, columns))
        if expected_null:
            selected.append(sql.SQL("num_nonnulls({})").format(sql.SQL(", ").join(map(sql.Identifier, expected_null))))
        query = sql.SQL("SELECT {} FROM ledger.workflow_events WHERE event_type = {} AND {}").format(
            sql.SQL(", ").join(selected), sql.Literal(event_type), where
        )
        names = (*columns, _SURPRISES) if expected_null else columns
        self._cursor.execute(query.as_string(None))
        with self._cursor.fetch_record_batch() as reader:
            for batch in reader:
                if batch.num_rows:
                    given = zip(names, batch.columns, strict=True)
                    filled = {name: array for name, array in given if array.null_count < batch.num_rows}
                    yield filled | {"event_type": pa.repeat(pa.scalar(event_type), batch.num_rows)}


def in_order(parts: list[Part]) -> pa.Table:
    """Rows of several types in one table, sorted by execution and sequence, in one chunk a column."""
    keys = {name: _column(parts, ARROW_SCHEMA.field(name)) for name in _KEYS}
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in _KEYS], memory_pool=_POOL)
    return pa.Table.from_arrays([_column(parts, field, order) for field in ARROW_SCHEMA], schema=ARROW_SCHEMA)


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


def types_present(connection: Connection, where: sql.Composable) -> list[str]:
    """The event types that have such rows."""
    rows = connection.execute(
        sql.SQL("SELECT event_type FROM workflow_events WHERE {} GROUP BY event_type ORDER BY 1").format(where)
    ).fetchall()
    return [row["event_type"] for row in rows]


def _column(parts: list[Part], field: pa.Field, order: pa.Array | None = None) -> pa.Array:
    """One column of the parts' rows, in the field's type; most are NULL throughout, and not worth moving."""
    if not any(field.name in columns for columns, _ in parts):
        return pa.nulls(sum(size for _, size in parts), field.type)
    arrays = [
        columns[field.name].cast(field.type, memory_pool=_POOL) if field.name in columns else pa.nulls(size, field.type)
        for columns, size in parts
    ]
    column = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays, _POOL)
    return column if order is None else pc.take(column, order, memory_pool=_POOL)


def _columns_of(event_type: str) -> tuple[str, ...]:
    own = columns_of(event_type)
    return (*(name for name in ENVELOPE if name != "event_type"), *own, "payload", "leaf", "hash")


def _selected(name: str) -> sql.Composable:
    identifier = sql.Identifier(name)
    return sql.SQL("{}::text").format(identifier) if EVENT_COLUMNS[name] in _AS_TEXT else identifier
