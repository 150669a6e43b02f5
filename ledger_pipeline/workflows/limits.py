"""Limits that have passed: executions and calls that run longer than their definition allows."""

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from uuid import UUID

from ledger_pipeline.hot.database import Connection, translated

_OVERDUE = (files("ledger_pipeline.workflows") / "sql" / "overdue.sql").read_bytes()


@dataclass(frozen=True)
class Overdue:
    """An execution, or one of its calls, whose limit has passed; `since` is when it began."""

    execution_id: UUID
    workflow_name: str | None
    step_name: str | None
    call_id: UUID | None
    since: datetime
    limit_seconds: int


def overdue(connection: Connection, now: datetime, most: int) -> list[Overdue]:
    """Limits that have passed by then, executions' before calls', the longest passed first."""
    with translated():
        rows = connection.execute(_OVERDUE, {"now": now, "most": most}).fetchall()
    return [Overdue(**row) for row in rows]
