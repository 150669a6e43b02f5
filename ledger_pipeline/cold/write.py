"""The roll's second step: a week's hot rows as Parquet, in bounded memory.

Rows are sorted by execution and sequence, in row groups of 16,384: an execution's rows lie together, and a reader
finds them by the row groups' statistics. The same rows make the same bytes, and so the same names.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from itertools import islice
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from ledger_pipeline.cold.files import StagedFile, week_folder
from ledger_pipeline.cold.hot_rows import hot_rows, in_order
from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import ColdStore

ROW_GROUP_ROWS = 16_384
FILE_BYTES = 256 << 20
"""A file takes no more rows once it is this large."""

_READERS = 2
_CHUNK_ROWS = 2 * ROW_GROUP_ROWS
_CHUNK_BYTES = 24 << 20
"""Bytes of a chunk's rows in Postgres; in memory there are several times as many. With chunks four times as large a
roll of weeks of 150,000 events took 770 MB instead of 430, and no less time."""
_SMALLEST_CHUNK_ROWS = 1024

_HIGH_CARDINALITY = {
    "event_id",
    "payload",
    "leaf",
    "hash",
    "message",
    "model_call_id",
    "step_id",
    "call_id",
    "sequence",
}
_DICTIONARY_COLUMNS = [
    name
    for name, kind in EVENT_COLUMNS.items()
    if name not in _HIGH_CARDINALITY and kind is not ColumnKind.TIMESTAMP and kind is not ColumnKind.JSON
]
_EXECUTIONS_PER_ROW_GROUP = 4096


def write_week(
    connection: Connection,
    cold_dir: ColdStore,
    instance_id: UUID,
    week: date,
    progress: Callable[[int], None] | None = None,
    file_bytes: int = FILE_BYTES,
) -> list[ColdFile]:
    """Stores a sealed week's rows in files, in order, and makes them durable; raises ColdStoreUnwritable.

    `progress` hears how many rows have been written so far.
    """
    written = 0
    files: list[ColdFile] = []
    writer: _FileWriter | None = None
    leaves = _leaves_of(connection, week)
    try:
        for group in _row_groups(_chunks(connection, leaves), min(leaves.chunk_rows, ROW_GROUP_ROWS)):
            if writer is None:
                writer = _FileWriter(cold_dir, instance_id, week)
            writer.add(group)
            written += group.num_rows
            if progress:
                progress(written)
            if writer.size >= file_bytes:
                files.append(writer.finish())
                writer = None
        if writer is not None:
            files.append(writer.finish())
    finally:
        if writer is not None:
            writer.discard()
    return files


class _FileWriter:
    """One file in the making."""

    def __init__(self, cold_dir: ColdStore, instance_id: UUID, week: date) -> None:
        self._staged = StagedFile(cold_dir, week_folder(instance_id, week))
        metadata = {**(ARROW_SCHEMA.metadata or {}), b"ledger.instance_id": str(instance_id), b"ledger.week": str(week)}
        self._writer = pq.ParquetWriter(
            self._staged,
            ARROW_SCHEMA.with_metadata(metadata),
            compression="zstd",
            use_dictionary=_DICTIONARY_COLUMNS,  # pyright: ignore[reportArgumentType]
            write_statistics=True,
            write_page_index=True,
            write_page_checksum=True,
            bloom_filter_options={"execution_id": {"ndv": _EXECUTIONS_PER_ROW_GROUP, "fpp": 0.01}},
            sorting_columns=pq.SortingColumn.from_ordering(
                ARROW_SCHEMA, [("execution_id", "ascending"), ("sequence", "ascending")]
            ),
        )
        self._events = 0
        self._first = ""
        self._last = ""

    @property
    def size(self) -> int:
        return self._staged.size

    def add(self, row_group: pa.Table) -> None:
        executions = row_group.column("execution_id")
        self._first = self._first or executions[0].as_py()
        self._last = executions[-1].as_py()
        self._events += row_group.num_rows
        self._writer.write_table(row_group, row_group_size=ROW_GROUP_ROWS)

    def finish(self) -> ColdFile:
        self._writer.close()
        size = self._staged.size
        name, digest = self._staged.publish()
        return ColdFile(name, digest, size, self._events, self._first, self._last)

    def discard(self) -> None:
        self._staged.discard()


@dataclass(frozen=True)
class _Leaves:
    """A week's tables that hold anything, and how many of its rows are read at once."""

    week: date
    event_types: list[str]
    events: int
    chunk_rows: int


def _row_groups(chunks: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The chunks' rows cut anew, so that where they were cut leaves no trace in the files."""
    rest = ARROW_SCHEMA.empty_table()
    for chunk in chunks:
        rest = pa.concat_tables([rest, chunk])
        while rest.num_rows >= rows:
            yield rest.slice(0, rows)
            rest = rest.slice(rows)
    if rest.num_rows:
        yield rest


def _chunks(connection: Connection, leaves: _Leaves) -> Iterator[pa.Table]:
    """The week's rows in order; each chunk's types are shared by two readers, one chunk ahead of the encoding."""
    of_week = sql.SQL("week = {}").format(sql.Literal(leaves.week))
    ranges = _chunk_ranges(connection, of_week, leaves)
    with ExitStack() as stack:
        # The largest tables come first: taking turns shares them about evenly.
        shares = [leaves.event_types[nth::_READERS] for nth in range(_READERS)]
        readers = [stack.enter_context(hot_rows(connection)) for _ in shares]
        if len(ranges) > 1:
            for hot in readers:
                hot.prefer_indexes()
        pool = stack.enter_context(ThreadPoolExecutor(_READERS, "hot-rows"))
        ahead = stack.enter_context(ThreadPoolExecutor(1, "next-chunk"))

        def read(within: sql.Composable) -> pa.Table:
            where = sql.SQL(" AND ").join([of_week, within])
            parts = [pool.submit(hot.parts, types, where) for hot, types in zip(readers, shares, strict=True)]
            return in_order([part for of_reader in parts for part in of_reader.result()])

        following = iter(ranges)
        under_way = deque(ahead.submit(read, within) for within in islice(following, 1))
        while under_way:
            chunk = under_way.popleft().result()
            under_way.extend(ahead.submit(read, within) for within in islice(following, 1))
            if chunk.num_rows:
                yield chunk


def _leaves_of(connection: Connection, week: date) -> _Leaves:
    """Whole row groups make a chunk when rows are small, fewer rows when they are large: several fit in memory."""
    row = connection.execute(
        """
        SELECT coalesce(sum(pg_table_size(leaf)), 0)::bigint AS bytes,
            array_agg(event_type ORDER BY pg_relation_size(leaf) DESC, event_type)
                FILTER (WHERE pg_relation_size(leaf) > 0) AS event_types,
            (SELECT events FROM archive_manifest WHERE week = %(week)s) AS events
        FROM (
            SELECT event_type, format('ledger.%%I', leaf)::regclass AS leaf
            FROM week_leaves(%(week)s) AS leaf JOIN state_rules ON leaf = leaf_table(event_type, %(week)s)
        ) AS leaves
        """,
        {"week": week},
    ).fetchone()
    assert row is not None
    events = row["events"] or 1
    rows = min(_CHUNK_ROWS, _CHUNK_BYTES // max(1, row["bytes"] // events))
    chunk_rows = max(_SMALLEST_CHUNK_ROWS, rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS or rows)
    return _Leaves(week, row["event_types"] or [], events, chunk_rows)


def _chunk_ranges(connection: Connection, of_week: sql.Composable, leaves: _Leaves) -> list[sql.Composable]:
    """Conditions that cut the week into chunks of about so many rows, in order.

    Numbering a sample of the rows, one of 64 by their leaf, takes a third of the time of numbering all.
    """
    if leaves.events <= leaves.chunk_rows:
        return [sql.SQL("true")]
    starts = connection.execute(
        sql.SQL(
            """
            SELECT execution_id, sequence FROM (
                SELECT execution_id, sequence, row_number() OVER (ORDER BY execution_id, sequence) AS place
                FROM workflow_events WHERE {} AND get_byte(leaf, 0) < 4
            ) AS numbered
            WHERE place % {} = 0 ORDER BY execution_id, sequence
            """
        ).format(of_week, sql.Literal(leaves.chunk_rows // 64))
    ).fetchall()
    keys = [
        sql.SQL("({}::uuid, {})").format(sql.Literal(str(row["execution_id"])), sql.Literal(row["sequence"]))
        for row in starts
    ]
    place = sql.SQL("(execution_id, sequence)")
    ranges: list[sql.Composable] = []
    for lower, upper in zip([None, *keys], [*keys, None], strict=True):
        bounds: list[sql.Composable] = [sql.SQL("true")]
        if lower is not None:
            bounds.append(sql.SQL("{} >= {}").format(place, lower))
        if upper is not None:
            bounds.append(sql.SQL("{} < {}").format(place, upper))
        ranges.append(sql.SQL(" AND ").join(bounds))
    return ranges
