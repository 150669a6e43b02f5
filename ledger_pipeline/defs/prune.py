"""Pruning in the daily job: last, and of what the marts that were just published hold."""

import dagster as dg

from ledger_pipeline.cold.prune import Pruned
from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.freshness import DAILY
from ledger_pipeline.defs.marts import RECONCILIATION, key_of
from ledger_pipeline.defs.ownership import ENGINEERING, HOT
from ledger_pipeline.defs.progress import paced
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized


@dg.asset(
    # Its check blocks: nothing is pruned on the word of marts that don't reconcile to the events.
    deps=[key_of(RECONCILIATION)],
    group_name=HOT,
    owners=[ENGINEERING],
    kinds={"postgres"},
    code_version="1",
    retry_policy=RETRIES,
    freshness_policy=DAILY,
    metadata={"dagster/table_name": "ledger.execution_heads"},
)
def pruned_executions(context: dg.AssetExecutionContext, ledger: LedgerResource) -> Materialized:
    """Ended executions whose events are all cold and in the marts: only head and events are left of them.

    Off unless `LEDGER_PRUNE_AFTER_DAYS` says after how many days.
    """
    say = paced(context.log)
    now = now_of(context)
    with ledger.open() as opened:
        days = opened.settings.prune_after_days
        pruned: Pruned | None = None
        if days is not None:
            pruned = opened.prune(now, days, progress=lambda done: say(f"{done:,} executions pruned"))
        row = opened.connection.execute(
            "SELECT count(*) AS n FROM execution_heads WHERE pruned_at IS NOT NULL"
        ).fetchone()
    new = pruned.executions if pruned else 0
    context.log.info(f"{new:,} executions pruned" if pruned else "pruning is off: LEDGER_PRUNE_AFTER_DAYS is not set")
    return Materialized(
        metadata={
            "dagster/row_count": row["n"] if row else 0,
            "executions pruned now": new,
            "after days": "never" if days is None else str(days),
        }
    )
