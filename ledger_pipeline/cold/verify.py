"""The roll's third step: a second reader judges the stored files, from their bytes up."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.leaf_sql import leaf_expression
from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.cold.merkle import MerkleTree
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.events.schema import ARROW_SCHEMA, GENESIS_HASH

_BATCH_ROWS = 16_384
_UNKNOWN = b""
"""The hash before an execution's first event of a week, when earlier weeks hold the events before it."""


class _Row(NamedTuple):
    execution_id: str
    sequence: int
    hash: bytes


def verify_files(cold_dir: Path, week: date, files: Sequence[ColdFile]) -> tuple[int, bytes]:
    """Count and RFC 6962 root of what the files hold, each leaf computed anew from the row that it stands in.

    Raises ColdStoreDamaged, naming the file and the first bad event, for bytes, rows, order, leaves or hashes that
    are not what was written.
    """
    tree = MerkleTree()
    before = _Row("", 0, _UNKNOWN)
    with duckdb.connect() as database, ThreadPoolExecutor(1, "leaves") as aside:
        for file in files:
            path = check_file(cold_dir, file, again=True)
            leaves = aside.submit(_check_leaves, database, path, week, file)
            try:
                before = _add_chained_leaves(path, tree, before)
            except (OSError, pa.ArrowException) as error:
                raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None
            finally:
                leaves.result()
    return tree.size, tree.root()


def _check_leaves(database: duckdb.DuckDBPyConnection, path: Path, week: date, file: ColdFile) -> None:
    query = f"""
        SELECT count(*), count(*) FILTER (WHERE NOT as_written),
            arg_min(event_id, (execution_id, sequence)) FILTER (WHERE NOT as_written)
        FROM (
            SELECT event_id, execution_id, sequence,
                week = $week AND execution_id BETWEEN $first AND $last
                AND coalesce({leaf_expression()} = lower(hex(leaf)), false) AS as_written
            FROM read_parquet($file)
        )
    """  # noqa: S608  the expression comes from the catalogue
    parameters = {
        "file": [str(path)],
        "week": week,
        "first": file.first_execution_id,
        "last": file.last_execution_id,
    }
    try:
        row = database.execute(query, parameters).fetchone()
    except duckdb.Error as error:
        raise ColdStoreDamaged(f"cold file {path} cannot be read: {error}") from None
    assert row is not None
    events, bad, first_bad = row
    if bad:
        raise ColdStoreDamaged(f"cold file {path}: {bad} events differ from their leaf, the first is {first_bad}")
    if events != file.events:
        raise ColdStoreDamaged(f"cold file {path} holds {events} events, {file.events} were written")


def _add_chained_leaves(path: Path, tree: MerkleTree, before: _Row) -> _Row:
    """Adds the file's leaves to the tree; order and hash chain must hold from one row to the next."""
    for ids, sequences, leaves, hashes in _columns(path, ("execution_id", "sequence", "leaf", "hash")):
        previous = [before.hash, *hashes[:-1]]
        following = zip([before.execution_id, *ids], [before.sequence, *sequences], ids, sequences, strict=False)
        for place, (id_before, sequence_before, execution_id, sequence) in enumerate(following):
            if execution_id == id_before:
                if sequence != sequence_before + 1:
                    raise ColdStoreDamaged(_bad_row(path, execution_id, sequence, "is out of order"))
            elif execution_id < id_before:
                raise ColdStoreDamaged(_bad_row(path, execution_id, sequence, "is out of order"))
            else:
                previous[place] = GENESIS_HASH if sequence == 1 else _UNKNOWN
        chained = [sha256(link + leaf).digest() for link, leaf in zip(previous, leaves, strict=True)]
        if chained != hashes:
            for place, (link, found) in enumerate(zip(previous, chained, strict=True)):
                if link is not _UNKNOWN and found != hashes[place]:
                    what = "does not continue its execution's hash chain"
                    raise ColdStoreDamaged(_bad_row(path, ids[place], sequences[place], what))
        tree.extend(leaves)
        before = _Row(ids[-1], sequences[-1], hashes[-1])
    return before


def _bad_row(path: Path, execution_id: str, sequence: int, what: str) -> str:
    return f"cold file {path}: sequence {sequence} of execution {execution_id} {what}"


def _columns(path: Path, names: tuple[str, ...]) -> Iterator[list[list[Any]]]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if not file.schema_arrow.equals(ARROW_SCHEMA):
            raise ColdStoreDamaged(f"cold file {path} has other columns than its schema version says")
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(names)):
            yield [batch.column(name).to_pylist() for name in names]
