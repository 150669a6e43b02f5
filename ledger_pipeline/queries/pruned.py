"""Where pruned executions are read from: the marts, which hold every execution that was ever pruned.

The order is what makes answers exact: first the hot store's snapshot, then the marts. An execution leaves the hot store
only once the published marts hold it, so one that the snapshot lacks is in marts that are opened afterwards.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

import duckdb

from ledger_pipeline.hot.database import Connection

Marts = duckdb.DuckDBPyConnection
OpenMarts = Callable[[], AbstractContextManager[Marts]]


@contextmanager
def marts_with_pruned(connection: Connection, open_marts: OpenMarts) -> Generator[Marts | None]:
    """The marts when the snapshot has a pruned execution, else None; raises NotFound when they were never built."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM execution_heads WHERE pruned_at IS NOT NULL) AS pruned"
    ).fetchone()
    if row and row["pruned"]:
        with open_marts() as marts:
            yield marts
    else:
        yield None


def pruned_among(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Those of the executions that are pruned, as the snapshot has it."""
    rows = connection.execute(
        "SELECT id FROM execution_heads WHERE id = ANY (%s) AND pruned_at IS NOT NULL", (list(ids),)
    ).fetchall()
    return {row["id"] for row in rows}
