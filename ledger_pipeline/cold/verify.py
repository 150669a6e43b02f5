"""The roll's third step: a second reader judges the stored files, from their bytes up."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.foreign_columns import foreign_expression
from ledger_pipeline.cold.leaf_sql import canonical_text_expression
from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.cold.merkle import MerkleTree, leaf_hashes
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.events.schema import ARROW_SCHEMA, GENESIS_HASH
from ledger_pipeline.settings import ColdStore

_BATCH_ROWS = 4096
_BATCH_BYTES = 64 << 20

# The folder's name (`week=…`) must not stand in for what the file says of the week.
ROWS = f"""
    SELECT event_id, execution_id, sequence, week, epoch, tx, leaf, hash,
        NOT ({foreign_expression()}) AS own_columns_only, {canonical_text_expression()} AS canonical_text
    FROM read_parquet($files, hive_partitioning = false)
"""  # noqa: S608  the expressions come from the catalogue


_UNKNOWN = b""
"""The hash before an execution's first event of a week, when earlier weeks hold the events before it."""


class CheckedRows(NamedTuple):
    """Rows of a week that follow on each other, each as it was written.

    Of `rows` the columns up to `hash`; in `starts` the places whose row begins another execution than the row before.
    """

    week: date
    rows: pa.RecordBatch
    leaves: list[bytes]
    starts: list[int]


class LastRow(NamedTuple):
    execution_id: str
    sequence: int
    hash: bytes


NO_ROW = LastRow("", 0, _UNKNOWN)


class _Source(NamedTuple):
    week: date
    file: ColdFile
    path: Path


def verify_files(cold_dir: ColdStore, week: date, files: Sequence[ColdFile]) -> tuple[int, bytes]:
    """Count and RFC 6962 root of what the files hold, each leaf computed anew from the row that it stands in.

    Raises ColdStoreDamaged, naming the file and the first bad event, for bytes, rows, order, leaves or hashes that
    are not what was written.
    """
    tree = MerkleTree()
    for checked in checked_rows(cold_dir, [(week, files)]):
        tree.extend_hashed(leaf_hashes(checked.leaves))
    return tree.size, tree.root()


def checked_rows(cold_dir: ColdStore, weeks: Iterable[tuple[date, Sequence[ColdFile]]]) -> Iterator[CheckedRows]:
    """The rows of weeks, in order, each checked before it is given: leaf, place, order and hash chain in its week.

    Raises ColdStoreDamaged as `verify_files` does. All files are read by one statement: its expressions take longer to
    plan than a short week takes to hash.
    """
    sources = [_Source(week, file, check_file(cold_dir, file, again=True)) for week, files in weeks for file in files]
    row_bytes = max((_row_bytes(source) for source in sources), default=0)
    batch_rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))
    if not sources:
        return
    # One thread of DuckDB's: with more, it gives a stream's rows in any order.
    with duckdb.connect(config={"threads": 1}) as database:
        batches = _batches(database, sources, batch_rows)
        before, week = NO_ROW, None
        for source, batch in _by_source(sources, batches):
            if source.week != week:
                before, week = NO_ROW, source.week
            leaves = _checked_leaves(source, batch)
            before, starts = check_chain(source.path, batch, leaves, before)
            yield CheckedRows(source.week, batch, leaves, starts)


def _row_bytes(source: _Source) -> int:
    """Of the widest row group, from the file's footer; what that says of columns and rows must be as it was written."""
    path, file = source.path, source.file
    with _damage_named(path), pq.ParquetFile(path) as opened:
        if not opened.schema_arrow.equals(ARROW_SCHEMA):
            raise ColdStoreDamaged(f"cold file {path} has other columns than its schema version says")
        if (events := opened.metadata.num_rows) != file.events:
            raise ColdStoreDamaged(f"cold file {path} holds {events} events, {file.events} were written")
        groups = [opened.metadata.row_group(nth) for nth in range(opened.metadata.num_row_groups)]
    return max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)


def _batches(
    database: duckdb.DuckDBPyConnection, sources: Sequence[_Source], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    rows = database.sql(ROWS, params={"files": [str(source.path) for source in sources]})
    with rows.to_arrow_reader(batch_rows) as reader:
        yield from reader


def _by_source(
    sources: Sequence[_Source], batches: Iterator[pa.RecordBatch]
) -> Iterator[tuple[_Source, pa.RecordBatch]]:
    """The batches cut where a file ends: each file gives as many rows as it was written with."""
    rest: pa.RecordBatch | None = None
    for source in sources:
        wanted = source.file.events
        while wanted:
            if rest is None:
                with _damage_named(source.path):
                    rest = next(batches, None)
                if rest is None:
                    raise ColdStoreDamaged(f"cold file {source.path} lacks its last {wanted} events")
            batch, rest = rest[:wanted], rest[wanted:] if rest.num_rows > wanted else None
            wanted -= batch.num_rows
            if batch.num_rows:
                yield source, batch


@contextmanager
def _damage_named(path: Path) -> Generator[None]:
    try:
        yield
    except (OSError, duckdb.Error, pa.ArrowException) as error:
        raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None


def _checked_leaves(source: _Source, batch: pa.RecordBatch) -> list[bytes]:
    """The batch's leaves, each the hash of its own row, and the row one of this week and file."""
    leaves: list[bytes] = batch.column("leaf").to_pylist()
    texts, ids = batch.column("canonical_text"), batch.column("execution_id")
    computed = hashes_of(texts)
    in_place = pc.and_(
        pc.and_(pc.equal(batch.column("week"), pa.scalar(source.week)), batch.column("own_columns_only")),
        pc.and_(
            pc.greater_equal(ids, source.file.first_execution_id), pc.less_equal(ids, source.file.last_execution_id)
        ),
    ).fill_null(fill_value=False)
    if computed != leaves or texts.null_count or in_place.false_count:
        judged = zip(computed, leaves, texts.is_valid().to_pylist(), in_place.to_pylist(), strict=True)
        as_written = [own == leaf and known and placed for own, leaf, known, placed in judged]
        first_bad = batch.column("event_id")[as_written.index(False)].as_py()
        raise ColdStoreDamaged(f"cold file {source.path}: events differ from their leaf, the first is {first_bad}")
    return leaves


def hashes_of(texts: pa.Array) -> list[bytes]:
    """The SHA-256 of each text; of a NULL, that of no bytes."""
    # hashlib uses the processor's SHA instructions and DuckDB's sha256 doesn't, which takes three times as long.
    return [sha256(text).digest() for text in _bytes_of(texts)]


def _bytes_of(texts: pa.Array) -> Iterator[memoryview]:
    """The UTF-8 bytes of each text, not copied; no bytes for a NULL."""
    _, offsets, data = texts.buffers()
    places = memoryview(offsets).cast("i")[texts.offset : texts.offset + len(texts) + 1].tolist()
    content = memoryview(data or b"")
    return (content[start:end] for start, end in pairwise(places))


def check_chain(path: Path, batch: pa.RecordBatch, leaves: list[bytes], before: LastRow) -> tuple[LastRow, list[int]]:
    """Order and hash chain must hold from one row to the next, beginning with the row before the batch.

    Answers the last row, and the places at which another execution begins.
    """
    ids = pa.concat_arrays([pa.array([before.execution_id]), batch.column("execution_id")])
    sequences = pa.concat_arrays([pa.array([before.sequence], pa.int64()), batch.column("sequence")])
    goes_on = pc.equal(ids[1:], ids[:-1])
    in_order = pc.if_else(goes_on, pc.equal(sequences[1:], pc.add(sequences[:-1], 1)), pc.greater(ids[1:], ids[:-1]))
    if (place := pc.index(in_order.fill_null(fill_value=False), value=False).as_py()) >= 0:
        raise ColdStoreDamaged(_bad_row(path, batch, place, "is out of order"))
    if (place := pc.index(batch.column("hash").is_null(), value=True).as_py()) >= 0:
        raise ColdStoreDamaged(_bad_row(path, batch, place, "has no hash"))
    hashes: list[bytes] = batch.column("hash").to_pylist()
    starts: list[int] = pc.indices_nonzero(pc.invert(goes_on)).to_pylist()
    previous = [before.hash, *hashes[:-1]]
    for place in starts:
        previous[place] = GENESIS_HASH if batch.column("sequence")[place].as_py() == 1 else _UNKNOWN
    chained = [sha256(link + leaf).digest() for link, leaf in zip(previous, leaves, strict=True)]
    for place in starts:
        if previous[place] is _UNKNOWN:
            chained[place] = hashes[place]
    if chained != hashes:
        pairs = zip(chained, hashes, strict=True)
        place = next(place for place, (computed, stored) in enumerate(pairs) if computed != stored)
        raise ColdStoreDamaged(_bad_row(path, batch, place, "does not continue its execution's hash chain"))
    return LastRow(ids[-1].as_py(), sequences[-1].as_py(), hashes[-1]), starts


def _bad_row(path: Path, batch: pa.RecordBatch, place: int, what: str) -> str:
    execution_id, sequence = batch.column("execution_id")[place], batch.column("sequence")[place]
    return f"cold file {path}: sequence {sequence} of execution {execution_id} {what}"
