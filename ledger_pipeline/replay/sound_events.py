"""Hashes events and collects what links them, as long as all of them are as they were recorded.

This is the quick half of `verify`, which most of any ledger passes. It only tells that something is wrong; what, and
where, the statements of sql/ find, which then read the same events again.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from sys import byteorder
from typing import NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.ipc  # pyright: ignore[reportUnusedImport]  used as pa.ipc

from ledger_pipeline.cold.foreign_columns import hot_foreign_expression
from ledger_pipeline.cold.leaf_sql import hot_leaf_expression
from ledger_pipeline.cold.manifest import ColdFile
from ledger_pipeline.cold.merkle import MerkleTree, fold, leaf_hashes
from ledger_pipeline.cold.verify import NO_ROW, CheckedRows, check_chain, checked_rows
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.settings import ColdStore

NODE = pa.binary(32)
# What is found of events, as segments.sql has it; a segment that is sound has none of the columns that tell a fault.
FEED = pa.schema(
    [
        ("epoch", pa.int32()),
        ("tx", pa.int64()),
        ("execution_id", pa.string()),
        ("sequence", pa.int64()),
        ("node", NODE),
    ]
)
SEGMENTS = pa.schema(
    [
        ("week", pa.date32()),
        ("execution_id", pa.string()),
        ("events", pa.int64()),
        ("first_sequence", pa.int64()),
        ("last_sequence", pa.int64()),
        ("first_event", pa.string()),
        ("last_event", pa.string()),
        ("first_leaf", pa.binary()),
        ("first_hash", pa.binary()),
        ("last_hash", pa.binary()),
    ]
)
_ENDS = ("week", "execution_id", "sequence", "event_id", "leaf", "hash")


class SoundWeek(NamedTuple):
    """What the manifest says of a week whose files are read."""

    week: date
    events: int
    root: bytes
    files: Sequence[ColdFile]


class _Found:
    """Segments and rows of the feed, written to two Arrow files as they come."""

    def __init__(self, name: Path) -> None:
        self._name = name
        self._feed = pa.ipc.new_file(feed_file(name), FEED)
        self._first: list[pa.RecordBatch] = []
        self._last: list[pa.RecordBatch] = []
        self._end: pa.RecordBatch | None = None

    def add(self, checked: CheckedRows) -> list[bytes]:
        """Adds rows; answers the hashes of their leaves."""
        rows, nodes = checked.rows, leaf_hashes(checked.leaves)
        ends = rows.select(_ENDS)
        if checked.starts:
            if self._end is not None and checked.starts[0] == 0:
                self._last.append(self._end)
            self._first.append(ends.take(pa.array(checked.starts)))
            self._last.append(ends.take(pa.array([place - 1 for place in checked.starts if place], pa.int64())))
        self._end = ends[-1:]
        node = pa.Array.from_buffers(NODE, len(nodes), [None, pa.py_buffer(b"".join(nodes))])
        columns = [rows.column(name) for name in FEED.names[:-1]]
        self._feed.write_batch(pa.RecordBatch.from_arrays([*columns, node], schema=FEED))
        return nodes

    def close(self) -> None:
        """Writes the segments: an execution's first and last event of each week."""
        self._feed.close()
        if self._end is not None:
            self._last.append(self._end)
            first, last = pa.Table.from_batches(self._first), pa.Table.from_batches(self._last)
            firsts, lasts = first.column("sequence"), last.column("sequence")
            events = [end - begin + 1 for begin, end in zip(firsts.to_pylist(), lasts.to_pylist(), strict=True)]
            segments = pa.Table.from_arrays(
                [
                    first.column("week"),
                    first.column("execution_id"),
                    pa.array(events, pa.int64()),
                    firsts,
                    lasts,
                    _as_text(first.column("event_id")),
                    _as_text(last.column("event_id")),
                    first.column("leaf"),
                    first.column("hash"),
                    last.column("hash"),
                ],
                schema=SEGMENTS,
            )
        else:
            segments = SEGMENTS.empty_table()
        with pa.ipc.new_file(segments_file(self._name), SEGMENTS) as writer:
            writer.write_table(segments)


def feed_file(name: Path) -> Path:
    """Where the rows of the feed are: epoch, tx, execution, sequence and hash of the leaf."""
    return name.with_suffix(".feed")


def segments_file(name: Path) -> Path:
    """Where the segments are: the columns of segments.sql that a segment without a fault has."""
    return name.with_suffix(".segments")


def _as_text(ids: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_string(ids.type):
        return ids
    return pa.array([str(UUID(bytes=value)) for value in ids.to_pylist()], pa.string())


def read_weeks(cold_dir: ColdStore, weeks: Iterable[SoundWeek], name: Path) -> bool:
    """Hashes all events of cold weeks and writes what links them; False when anything isn't as it was recorded."""
    wanted = list(weeks)
    trees = {week.week: MerkleTree() for week in wanted}
    found = _Found(name)
    try:
        for checked in checked_rows(cold_dir, [(week.week, week.files) for week in wanted]):
            trees[checked.week].extend_hashed(found.add(checked))
    except (ColdStoreDamaged, pa.ArrowException):
        return False
    found.close()
    return all((trees[week.week].size, trees[week.week].root()) == (week.events, week.root) for week in wanted)


# Rows of the hot store, as `COPY … (FORMAT binary)` gives them: the number of fields, then each with its length before
# it (https://www.postgresql.org/docs/current/sql-copy.html). With these fields all rows are of one size, and they sort
# by execution and sequence as bytes.


def hot_row(event_type: str) -> str:
    """SQL of PostgreSQL: the fields of a row, the last one whether it is as it was recorded but for its place."""
    return f"""
        execution_id, sequence, event_id, epoch, tx, leaf, hash,
        coalesce(
            leaf = {hot_leaf_expression(event_type)} AND octet_length(hash) = 32
                AND NOT ({hot_foreign_expression(event_type)}),
            false
        )
    """


HOT_ROW_BYTES = 151
HOT_ROW_EXECUTION, _SEQUENCE, _EVENT = slice(6, 22), slice(26, 34), slice(38, 54)
_EPOCH, _TX, _LEAF, _HASH, _SOUND = slice(58, 62), slice(66, 74), slice(78, 110), slice(114, 146), 150


def read_hot_rows(rows_file: Path, week: date, name: Path) -> bool:
    """The same as `read_weeks` of a hot week's rows, whose leaves the server has held against their columns."""
    content = rows_file.read_bytes()
    rows_file.unlink()
    if content[_SOUND::HOT_ROW_BYTES] != b"\x01" * (len(content) // HOT_ROW_BYTES):
        return False
    rows = [content[start : start + HOT_ROW_BYTES] for start in range(0, len(content), HOT_ROW_BYTES)]
    del content
    rows.sort()
    found = _Found(name)
    if rows:
        leaves = [row[_LEAF] for row in rows]
        batch = _hot_batch(rows, leaves, week)
        try:
            _, starts = check_chain(Path("hot"), batch, leaves, NO_ROW)
        except (ColdStoreDamaged, pa.ArrowException):
            return False
        found.add(CheckedRows(week, batch, leaves, starts))
    found.close()
    return True


def _hot_batch(rows: Sequence[bytes], leaves: Sequence[bytes], week: date) -> pa.RecordBatch:
    texts: list[str] = []
    places: list[int] = []
    for nth, (execution, group) in enumerate(groupby([row[HOT_ROW_EXECUTION] for row in rows])):
        texts.append(str(UUID(bytes=execution)))
        places += [nth for _ in group]
    events = b"".join([row[_EVENT] for row in rows])
    columns = {
        "event_id": pa.Array.from_buffers(pa.binary(16), len(rows), [None, pa.py_buffer(events)]),
        "execution_id": pa.array(texts, pa.string()).take(pa.array(places, pa.int32())),
        "sequence": _numbers(rows, _SEQUENCE, "q", pa.int64()),
        "week": pa.repeat(pa.scalar(week, pa.date32()), len(rows)),
        "epoch": _numbers(rows, _EPOCH, "i", pa.int32()),
        "tx": _numbers(rows, _TX, "q", pa.int64()),
        "leaf": pa.array(leaves, pa.binary()),
        "hash": pa.array([row[_HASH] for row in rows], pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _numbers(rows: Sequence[bytes], place: slice, code: str, kind: pa.DataType) -> pa.Array:
    """A column of numbers in the network's byte order."""
    numbers = array(code, b"".join([row[place] for row in rows]))
    if byteorder == "little":
        numbers.byteswap()
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


# Nodes of a tree, 32 bytes each, one after the other in a file --------------------------------------------------------


def fold_nodes(nodes_file: Path, start: int, end: int) -> bytes:
    """The root over the nodes from one place up to another, which is not included."""
    with nodes_file.open("rb") as file:
        file.seek(start * 32)
        content = file.read((end - start) * 32)
    return fold([content[place : place + 32] for place in range(0, len(content), 32)])
