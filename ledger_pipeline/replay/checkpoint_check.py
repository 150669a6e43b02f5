"""Checks checkpoints: each is the count and RFC 6962 root of a batch of the feed, and the batches leave no gap."""

from collections.abc import Iterator

import duckdb

from ledger_pipeline.cold.merkle import merkle_root
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verification import Problem

_BATCH = """
    SELECT leaf FROM feed WHERE epoch = $epoch AND tx >= $first_tx AND tx < $end_tx
    ORDER BY tx, execution_id, sequence
"""


def _leaves(work: duckdb.DuckDBPyConnection, checkpoint: dict[str, int]) -> Iterator[bytes]:
    bounds = {name: checkpoint[name] for name in ("epoch", "first_tx", "end_tx")}
    cursor = work.execute(_BATCH, bounds)
    while rows := cursor.fetchmany(10_000):
        yield from (row[0] for row in rows)


def checkpoint_problems(connection: Connection, work: duckdb.DuckDBPyConnection) -> tuple[int, list[Problem]]:
    """How many checkpoints there are, and what is wrong with them; `work` holds the feed's leaves."""
    checkpoints = connection.execute(
        "SELECT n, epoch, first_tx, end_tx, events, root FROM checkpoints ORDER BY n"
    ).fetchall()
    problems: list[Problem] = []
    end: dict[int, int] = {}
    for place, checkpoint in enumerate(checkpoints, start=1):
        name = f"checkpoint {checkpoint['n']}"
        if checkpoint["n"] != place:
            problems.append(Problem(f"{name} comes where {place} is expected: one is missing"))
            break
        if checkpoint["first_tx"] != end.get(checkpoint["epoch"], 0):
            problems.append(Problem(f"{name} does not begin where the one before it ends"))
        end[checkpoint["epoch"]] = checkpoint["end_tx"]
        leaves = list(_leaves(work, checkpoint))
        if len(leaves) != checkpoint["events"]:
            problems.append(Problem(f"{name} closed {checkpoint['events']} events, and there are {len(leaves)}"))
        elif merkle_root(leaves) != checkpoint["root"]:
            problems.append(Problem(f"{name} has another root than its {len(leaves)} events"))
    return len(checkpoints), problems
