"""Checks checkpoints: each is the count and RFC 6962 root of a batch of the feed, and the batches leave no gap."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import duckdb
import pyarrow as pa

from ledger_pipeline.cold.batches import overlaps
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.merkle import EMPTY_ROOT, MerkleTree
from ledger_pipeline.cold.tree import Batch
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verification import Problem

_CLOSED = pa.schema(
    [("n", pa.int64()), ("epoch", pa.int32()), ("first_tx", pa.int64()), ("end_tx", pa.int64())],
)
# One sort of the whole feed, however many batches there are.
_BATCHES = """
    SELECT c.n, f.leaf
    FROM feed f
    ASOF JOIN closed c ON f.epoch = c.epoch AND f.tx >= c.first_tx
    WHERE f.tx < c.end_tx
    ORDER BY c.n, f.tx, f.execution_id, f.sequence
"""
_ROWS = 65_536


def checkpoint_problems(
    connection: Connection, work: duckdb.DuckDBPyConnection, removed: Sequence[RolledWeekRow] = ()
) -> tuple[list[Batch], list[Problem], set[int]]:
    """The batches that were closed, what is wrong with them, and of which the events differ; `work` holds the feed.

    A batch that lost events with `removed` weeks has no root any more: only that it has not more events is judged.
    """
    closed = [
        Batch(**row)
        for row in connection.execute(
            "SELECT n, epoch, first_tx, end_tx, events, root FROM checkpoints ORDER BY n"
        ).fetchall()
    ]
    problems: list[Problem] = []
    end: dict[int, int] = {}
    for place, batch in enumerate(closed, start=1):
        if batch.n != place:
            problems.append(Problem(f"checkpoint {batch.n} comes where {place} is expected: one is missing"))
            break
        if batch.first_tx != end.get(batch.epoch, 0):
            problems.append(Problem(f"checkpoint {batch.n} does not begin where the one before it ends"))
        end[batch.epoch] = batch.end_tx
    found = dict(_found(work, closed))
    doubtful: set[int] = set()
    for batch in closed:
        events, root = found.get(batch.n, (0, EMPTY_ROOT))
        if events < batch.events and any(overlaps(week, batch) for week in removed):
            continue
        if events != batch.events:
            what = f"checkpoint {batch.n} closed {batch.events} events, and there are {events}"
        elif root != batch.root:
            what = f"checkpoint {batch.n} has another root than its {events} events"
        else:
            continue
        problems.append(Problem(what))
        doubtful.add(batch.n)
    return closed, problems, doubtful


def _found(work: duckdb.DuckDBPyConnection, closed: list[Batch]) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """Count and root of each batch's events as they are."""
    rows = [{name: getattr(batch, name) for name in _CLOSED.names} for batch in closed]
    work.register("closed", pa.Table.from_pylist(rows, schema=_CLOSED))
    trees: dict[int, MerkleTree] = {}
    with work.sql(_BATCHES).to_arrow_reader(_ROWS) as reader:
        for rows in reader:
            numbered = zip(rows.column("n").to_pylist(), rows.column("leaf").to_pylist(), strict=True)
            for n, leaves in groupby(numbered, itemgetter(0)):
                if n not in trees:
                    # The batches come one after the other: the last one is complete.
                    yield from _complete(trees)
                    trees = {n: MerkleTree()}
                trees[n].extend(leaf for _, leaf in leaves)
    yield from _complete(trees)
    work.unregister("closed")


def _complete(trees: dict[int, MerkleTree]) -> Iterator[tuple[int, tuple[int, bytes]]]:
    return ((n, (tree.size, tree.root())) for n, tree in trees.items())
