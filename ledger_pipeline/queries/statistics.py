"""What one user's executions did and spent, over all of history."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString, cast
from uuid import UUID

from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.engines.duckdb.tables import dict_rows
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.queries.pruned import OpenMarts, marts_with_pruned

_SQL = Path(__file__).parent / "sql"
HOT_TOTALS = cast("LiteralString", (_SQL / "user_totals.sql").read_text())
_PRUNED_TOTALS = (_SQL / "user_totals_pruned.sql").read_text()
_HOT_IDS = "SELECT id FROM workflow_executions WHERE user_id = %(user)s"


@dataclass(frozen=True)
class UserStatistics:
    """Of executions of kind workflow; all zero for a user that the ledger doesn't know.

    Failed are those that failed, were aborted or timed out. The mean is of those that started and ended, in whole
    milliseconds. `total_cost` in USD leaves out what has no price.
    """

    user_id: UUID
    total_executions: int
    running_executions: int
    successful_executions: int
    failed_executions: int
    total_cost: Decimal
    total_tokens: int
    total_audit_logs: int
    average_execution_time_ms: int


def user_statistics(connection: Connection, open_marts: OpenMarts, user: UUID) -> UserStatistics:
    """The user's statistics at this instant."""
    with open_read(connection):
        totals = dict(connection.execute(HOT_TOTALS, {"user": user}).fetchone() or {})
        with marts_with_pruned(connection, open_marts) as source:
            if source is not None:
                hot = [row["id"] for row in connection.execute(_HOT_IDS, {"user": user}).fetchall()]
                within, parameters = source.within_drives({"user": user, "hot": hot})
                (pruned,) = dict_rows(source.marts.execute(_PRUNED_TOTALS + within, parameters))
                for name, value in pruned.items():
                    totals[name] += value
    return _statistics(user, totals)


def _statistics(user: UUID, totals: dict[str, Any]) -> UserStatistics:
    ended, milliseconds = totals.pop("timed_executions"), int(totals.pop("total_time_ms"))
    # Towards zero, as the marts divide; clients' clocks may have made a duration negative.
    mean = int(Decimal(milliseconds) // ended) if ended else 0
    return UserStatistics(user_id=user, **totals, average_execution_time_ms=mean)
