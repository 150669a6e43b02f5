"""The roll's third step: a second reader judges the stored files, from their bytes up."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence
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
from ledger_pipeline.cold.leaf_sql import canonical_text_expression
from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.cold.merkle import MerkleTree
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.events.schema import ARROW_SCHEMA, GENESIS_HASH
from ledger_pipeline.settings import ColdStore

_BATCH_ROWS = 4096
_BATCH_BYTES = 64 << 20

# The folder's name (`week=…`) must not stand in for what the file says of the week.
_ROWS = f"""
    SELECT event_id, execution_id, sequence, leaf, hash,
        coalesce(week = $week AND execution_id BETWEEN $first AND $last, false) AS in_place,
        {canonical_text_expression()} AS canonical_text
    FROM read_parquet($file, hive_partitioning = false)
"""  # noqa: S608  the expression comes from the catalogue


_UNKNOWN = b""
"""The hash before an execution's first event of a week, when earlier weeks hold the events before it."""


class _Row(NamedTuple):
    execution_id: str
    sequence: int
    hash: bytes


def verify_files(cold_dir: ColdStore, week: date, files: Sequence[ColdFile]) -> tuple[int, bytes]:
    """Count and RFC 6962 root of what the files hold, each leaf computed anew from the row that it stands in.

    Raises ColdStoreDamaged, naming the file and the first bad event, for bytes, rows, order, leaves or hashes that
    are not what was written.
    """
    tree = MerkleTree()
    before = _Row("", 0, _UNKNOWN)
    # One thread of DuckDB's: with more, it gives a stream's rows in any order.
    with duckdb.connect(config={"threads": 1}) as database:
        for file in files:
            path = check_file(cold_dir, file, again=True)
            events_before = tree.size
            try:
                for batch in _rows(database, path, week, file):
                    leaves = _checked_leaves(path, batch)
                    before = _check_chain(path, batch, leaves, before)
                    tree.extend(leaves)
            except (OSError, duckdb.Error, pa.ArrowException) as error:
                raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None
            if (events := tree.size - events_before) != file.events:
                raise ColdStoreDamaged(f"cold file {path} holds {events} events, {file.events} were written")
    return tree.size, tree.root()


def _rows(database: duckdb.DuckDBPyConnection, path: Path, week: date, file: ColdFile) -> Iterator[pa.RecordBatch]:
    """The file's rows as stored, in its order, each with the canonical text of its columns."""
    with pq.ParquetFile(path) as opened:
        if not opened.schema_arrow.equals(ARROW_SCHEMA):
            raise ColdStoreDamaged(f"cold file {path} has other columns than its schema version says")
        groups = [opened.metadata.row_group(nth) for nth in range(opened.metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    parameters = {
        "file": [str(path)],
        "week": week,
        "first": file.first_execution_id,
        "last": file.last_execution_id,
    }
    rows = database.sql(_ROWS, params=parameters)
    with rows.to_arrow_reader(max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))) as reader:
        yield from reader


def _checked_leaves(path: Path, batch: pa.RecordBatch) -> list[bytes]:
    """The batch's leaves, each the hash of its own row, and the row one of this week and file."""
    leaves: list[bytes] = batch.column("leaf").to_pylist()
    texts = batch.column("canonical_text")
    # hashlib uses the processor's SHA instructions and DuckDB's sha256 doesn't, which takes three times as long.
    computed = [sha256(text).digest() for text in _bytes_of(texts)]
    if computed != leaves or texts.null_count or not pc.all(batch.column("in_place")).as_py():
        judged = zip(computed, leaves, texts.is_valid().to_pylist(), batch.column("in_place").to_pylist(), strict=True)
        as_written = [own == leaf and known and in_place for own, leaf, known, in_place in judged]
        first_bad = batch.column("event_id")[as_written.index(False)].as_py()
        raise ColdStoreDamaged(f"cold file {path}: events differ from their leaf, the first is {first_bad}")
    return leaves


def _bytes_of(texts: pa.Array) -> Iterator[memoryview]:
    """The UTF-8 bytes of each text, not copied; no bytes for a NULL."""
    _, offsets, data = texts.buffers()
    places = memoryview(offsets).cast("i")[texts.offset : texts.offset + len(texts) + 1].tolist()
    content = memoryview(data or b"")
    return (content[start:end] for start, end in pairwise(places))


def _check_chain(path: Path, batch: pa.RecordBatch, leaves: list[bytes], before: _Row) -> _Row:
    """Order and hash chain must hold from one row to the next, beginning with the row before the batch."""
    ids = pa.concat_arrays([pa.array([before.execution_id]), batch.column("execution_id")])
    sequences = pa.concat_arrays([pa.array([before.sequence], pa.int64()), batch.column("sequence")])
    goes_on = pc.equal(ids[1:], ids[:-1])
    in_order = pc.if_else(goes_on, pc.equal(sequences[1:], pc.add(sequences[:-1], 1)), pc.greater(ids[1:], ids[:-1]))
    if (place := pc.index(in_order, False).as_py()) >= 0:
        raise ColdStoreDamaged(_bad_row(path, batch, place, "is out of order"))
    hashes: list[bytes] = batch.column("hash").to_pylist()
    previous = [before.hash, *hashes[:-1]]
    for place in pc.indices_nonzero(pc.invert(goes_on)).to_pylist():
        previous[place] = GENESIS_HASH if batch.column("sequence")[place].as_py() == 1 else _UNKNOWN
    chained = [sha256(link + leaf).digest() for link, leaf in zip(previous, leaves, strict=True)]
    if chained != hashes:
        for place, (link, computed, stored) in enumerate(zip(previous, chained, hashes, strict=True)):
            if link is not _UNKNOWN and computed != stored:
                what = "does not continue its execution's hash chain"
                raise ColdStoreDamaged(_bad_row(path, batch, place, what))
    return _Row(ids[-1].as_py(), sequences[-1].as_py(), hashes[-1])


def _bad_row(path: Path, batch: pa.RecordBatch, place: int, what: str) -> str:
    execution_id, sequence = batch.column("execution_id")[place], batch.column("sequence")[place]
    return f"cold file {path}: sequence {sequence} of execution {execution_id} {what}"
