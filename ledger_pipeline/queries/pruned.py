"""Where pruned executions are read from: the marts, which hold every execution that was ever pruned.

The order is what makes answers exact: first the hot store's snapshot, then the marts. An execution leaves the hot store
only once the published marts hold it, so one that the snapshot lacks is in marts that are opened afterwards.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import duckdb

from ledger_pipeline.hot.database import Connection

Marts = duckdb.DuckDBPyConnection
OpenMarts = Callable[[], AbstractContextManager[Marts]]


@dataclass(frozen=True)
class PrunedSource:
    """The open marts, and the drives of which the session reads; None: of every one."""

    marts: Marts
    drives: list[UUID] | None

    def within_drives(self, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What a statement's conditions and parameters gain: the marts have no permissions by drive."""
        if self.drives is None:
            return "", parameters
        return " AND drive_id IN (SELECT unnest($drives::UUID[]))", parameters | {"drives": self.drives}


@contextmanager
def marts_with_pruned(connection: Connection, open_marts: OpenMarts) -> Generator[PrunedSource | None]:
    """The marts when the session may see a pruned execution, else None; raises NotFound when they were never built."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM execution_heads WHERE pruned_at IS NOT NULL) AS pruned, readable_drives() AS drives"
    ).fetchone()
    if row and row["pruned"]:
        with open_marts() as marts:
            yield PrunedSource(marts, row["drives"])
    else:
        yield None


def pruned_among(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Those of the executions that are pruned, as the snapshot has it."""
    rows = connection.execute(
        "SELECT id FROM execution_heads WHERE id = ANY (%s) AND pruned_at IS NOT NULL", (list(ids),)
    ).fetchall()
    return {row["id"] for row in rows}
