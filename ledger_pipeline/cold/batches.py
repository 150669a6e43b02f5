"""The events of one closed batch of the feed, hot and cold."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any, LiteralString, NamedTuple

import duckdb
import pyarrow as pa
from psycopg.rows import tuple_row

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.manifest import RolledWeekRow, committed_weeks
from ledger_pipeline.cold.tree import Batch
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import ColdStore

_ROWS = 10_000
_LEAVES = pa.schema(
    [("tx", pa.int64()), ("execution_id", pa.string()), ("sequence", pa.int64()), ("leaf", pa.binary())]
)
_HOT_HEADS = """
    SELECT DISTINCT ON (e.execution_id) e.execution_id::text, e.sequence, e.hash FROM workflow_events e
    WHERE e.epoch = %s AND e.tx >= %s AND e.tx < %s
    ORDER BY e.execution_id, e.sequence DESC
"""
_COLD_HEADS = """
    SELECT execution_id, max(sequence), arg_max(hash, sequence) FROM read_parquet($files, hive_partitioning = false)
    WHERE epoch = $epoch AND tx >= $first_tx AND tx < $end_tx GROUP BY execution_id
"""
_HOT_LEAVES = """
    SELECT tx, execution_id::text AS execution_id, sequence, leaf FROM workflow_events
    WHERE epoch = %s AND tx >= %s AND tx < %s
"""
_COLD_LEAVES = """
    SELECT tx, execution_id, sequence, leaf FROM read_parquet($files, hive_partitioning = false)
    WHERE epoch = $epoch AND tx >= $first_tx AND tx < $end_tx
"""


class Head(NamedTuple):
    """The last event of an execution in a batch."""

    execution_id: str
    sequence: int
    hash: bytes


class PlacedLeaf(NamedTuple):
    """A leaf with what orders it in a batch."""

    tx: int
    execution_id: str
    sequence: int
    leaf: bytes


class BatchLeaves:
    """The leaves of a batch, however many: in a database that spills to disk."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        database.execute("CREATE TEMP TABLE leaves (tx BIGINT, execution_id VARCHAR, sequence BIGINT, leaf BLOB)")

    def add(self, leaves: Iterator[PlacedLeaf]) -> None:
        """Adds leaves, in any order."""
        while rows := list(islice(leaves, _ROWS)):
            self._database.register("rows", pa.Table.from_pylist([row._asdict() for row in rows], schema=_LEAVES))
            self._database.execute("INSERT INTO leaves FROM rows")
            self._database.unregister("rows")

    def index_of(self, tx: int, execution_id: str, sequence: int) -> int:
        """How many leaves come before an event's, in the order of the feed."""
        query = "SELECT count(*) FROM leaves WHERE (tx, execution_id, sequence) < ($1, $2, $3)"
        return self._database.execute(query, [tx, execution_id, sequence]).fetchall()[0][0]

    def __iter__(self) -> Iterator[bytes]:
        """The leaves in the order of the feed."""
        cursor = self._database.execute("SELECT leaf FROM leaves ORDER BY tx, execution_id, sequence")
        while rows := cursor.fetchmany(_ROWS):
            yield from (leaf for (leaf,) in rows)


@contextmanager
def batch_leaves() -> Generator[BatchLeaves]:
    """No leaves yet, for as long as the block lasts."""
    with TemporaryDirectory(prefix="ledger-prove-") as folder, duckdb.connect() as database:
        database.execute("SET temp_directory = $folder", {"folder": folder})
        yield BatchLeaves(database)


class BatchReader:
    """Reads batches; made inside an `open_read`, in which `hot_…` is asked, before what reads the cold part follows."""

    def __init__(self, connection: Connection, cold_dir: ColdStore) -> None:
        self._connection = connection
        self._cold_dir = cold_dir
        self._weeks = committed_weeks(connection)

    def hot_heads(self, batch: Batch) -> dict[str, Head]:
        """Of the hot part, the last event of each execution."""
        return {row[0]: Head(*row) for row in self._hot(_HOT_HEADS, batch)}

    def heads(self, batch: Batch, hot: dict[str, Head]) -> list[Head]:
        """The last event of each execution, by execution; an execution's hot events follow on its cold ones."""
        cold = {row[0]: Head(*row) for row in self._cold(_COLD_HEADS, batch)}
        return sorted((cold | hot).values())

    def copy_hot_leaves(self, batch: Batch, leaves: BatchLeaves) -> None:
        """Adds the leaves of the hot part."""
        with self._connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            rows = cursor.stream(_HOT_LEAVES, (batch.epoch, batch.first_tx, batch.end_tx), binary=True, size=1_000)
            leaves.add(PlacedLeaf(*row) for row in rows)

    def copy_cold_leaves(self, batch: Batch, leaves: BatchLeaves) -> None:
        """Adds the leaves of the cold part."""
        leaves.add(PlacedLeaf(*row) for row in self._cold(_COLD_LEAVES, batch))

    def _hot(self, query: LiteralString, batch: Batch) -> list[tuple[Any, ...]]:
        with self._connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query, (batch.epoch, batch.first_tx, batch.end_tx)).fetchall()

    def _cold(self, query: str, batch: Batch) -> Iterator[tuple[Any, ...]]:
        files = [
            str(check_file(self._cold_dir, file))
            for week in self._weeks
            if overlaps(week, batch)
            for file in week.files
        ]
        if not files:
            return
        bounds = {"epoch": batch.epoch, "first_tx": batch.first_tx, "end_tx": batch.end_tx}
        with duckdb.connect() as database:
            cursor = database.execute(query, {"files": files, **bounds})
            while rows := cursor.fetchmany(_ROWS):
                yield from rows


def overlaps(week: RolledWeekRow, batch: Batch) -> bool:
    """Whether a week may hold events of a batch."""
    return week.last >= (batch.epoch, batch.first_tx) and week.first < (batch.epoch, batch.end_tx)
