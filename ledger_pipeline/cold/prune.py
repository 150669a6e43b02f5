"""Pruning: ended executions whose events are all cold, and in the published marts, leave the hot store.

Steps, calls, artifacts, snapshots and the execution's row go; its head and its events stay, so that it can be read,
replayed and verified as before. From then on it takes no event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from ledger_pipeline.cold.feed import Position
from ledger_pipeline.cold.sessions import own_transactions
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.hot.database import Connection, translated

BATCH_EXECUTIONS = 500
"""Executions of one transaction, whose appenders wait for it."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Pruned:
    """What a run pruned, or of a dry run would prune: ended executions whose last week ended `after_days` ago."""

    executions: int
    after_days: int
    dry_run: bool


def prune(
    connection: Connection,
    held: Position,
    now: datetime,
    after_days: int,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    batch_executions: int = BATCH_EXECUTIONS,
) -> Pruned:
    """Prunes every ended execution whose last week's last instant is `after_days` old; `held` is what the marts hold.

    An execution with a hot event, or with one that the marts don't hold, stays. Each batch commits by itself, so an
    interrupted run is continued by the next. The connection must be outside a transaction.
    """
    if after_days < 0:
        raise InvalidInput(f"prune after N days: N must be 0 or more, got {after_days}")
    try:
        # As in a roll, a week is old enough once its last instant is.
        before = week_of(now - timedelta(days=after_days))
    except OverflowError:
        raise InvalidInput(
            f"prune after {after_days} days: so long before {now.isoformat()} there is no calendar"
        ) from None
    position = (before, held.epoch, held.tx)
    with own_transactions(connection), translated():
        if dry_run:
            executions = _number(connection, "SELECT prunable_executions(%s, %s, %s) AS n", position)
            return Pruned(executions, after_days, dry_run=True)
        executions = 0
        query: LiteralString = "SELECT prune_executions(%s, %s, %s, %s) AS n"
        while done := _number(connection, query, (*position, batch_executions)):
            executions += done
            if progress is not None:
                progress(executions)
    return Pruned(executions, after_days, dry_run=False)


def _number(connection: Connection, query: LiteralString, parameters: tuple[object, ...]) -> int:
    row = connection.execute(query, parameters).fetchone()
    return row["n"] if row else 0
