"""Checks checkpoints: each is the count and RFC 6962 root of a batch of the feed, and the batches leave no gap."""

from collections.abc import Sequence
from concurrent.futures import Future

import pyarrow as pa

from ledger_pipeline.cold.batches import overlaps
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.merkle import EMPTY_ROOT, fold
from ledger_pipeline.cold.tree import Batch
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.hashers import Hashers
from ledger_pipeline.replay.verification import Problem
from ledger_pipeline.replay.work import Work

_CLOSED = pa.schema(
    [("n", pa.int64()), ("epoch", pa.int32()), ("first_tx", pa.int64()), ("end_tx", pa.int64())],
)
# One sort of the whole feed, however many batches there are.
_BATCHES = """
    SELECT c.n, f.node
    FROM feed f
    ASOF JOIN closed c ON f.epoch = c.epoch AND f.tx >= c.first_tx
    WHERE f.tx < c.end_tx
    ORDER BY c.n, f.tx, f.execution_id, f.sequence
"""
_ROWS = 65_536
_SUBTREE = 8_192
"""Leaves that are hashed at once; a power of two, so that what is folded is a node of the batch's tree."""


def checkpoint_problems(
    connection: Connection, work: Work, hashers: Hashers, removed: Sequence[RolledWeekRow] = ()
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
    found = _found(work, hashers, closed)
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


def _found(work: Work, hashers: Hashers, closed: list[Batch]) -> dict[int, tuple[int, bytes]]:
    """Count and root of each batch's events as they are."""
    rows = [{name: getattr(batch, name) for name in _CLOSED.names} for batch in closed]
    nodes_file = work.folder / "nodes"
    sizes: dict[int, int] = {}
    work.database.register("closed", pa.Table.from_pylist(rows, schema=_CLOSED))
    with nodes_file.open("wb") as file, work.database.sql(_BATCHES).to_arrow_reader(_ROWS) as reader:
        for rows in reader:
            file.write(b"".join(rows.column("node").to_pylist()))
            for count in rows.column("n").value_counts().to_pylist():
                sizes[count["values"]] = sizes.get(count["values"], 0) + count["counts"]
    work.database.unregister("closed")
    asked: dict[int, list[Future[str]]] = {}
    start = 0
    # The batches lie one after the other.
    for n, size in sorted(sizes.items()):
        parts = [(place, min(place + _SUBTREE, start + size)) for place in range(start, start + size, _SUBTREE)]
        asked[n] = [hashers.fold_nodes(nodes_file, place, end) for place, end in parts]
        start += size
    # Of the subtrees only the last may be smaller: the root over them is that over their leaves.
    return {n: (sizes[n], fold([bytes.fromhex(node.result()) for node in nodes])) for n, nodes in asked.items()}
