"""Retention in the daily job: tells which weeks are past it, and removes them only where that is set as well."""

from datetime import date

import dagster as dg

from ledger_pipeline.cold.retention import Removable, RemovedWeek, removed_weeks
from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.ownership import AUDIT, COLD
from ledger_pipeline.defs.prune import pruned_executions
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized
from ledger_pipeline.defs.tables import markdown_list

OPERATOR = "the daily job"


@dg.asset(
    # After the pruning: a week goes once all of its executions are pruned.
    deps=[pruned_executions],
    group_name=COLD,
    owners=[AUDIT],
    kinds={"postgres", "parquet"},
    code_version="1",
    retry_policy=RETRIES,
    metadata={"dagster/table_name": "ledger.removed_weeks"},
)
def weeks_past_retention(context: dg.AssetExecutionContext, ledger: LedgerResource) -> Materialized:
    """Weeks in the cold store that are past retention, with what holds each.

    Off unless `LEDGER_RETENTION_DAYS` says after how many days; removes them only with `LEDGER_RETENTION_REMOVES`.
    """

    def say(week: date) -> None:
        context.log.info(f"week {week}: removed under retention")

    now = now_of(context)
    past: list[Removable] = []
    removed: list[RemovedWeek] = []
    with ledger.open() as opened:
        days = opened.settings.retention_days
        if days is not None:
            if opened.settings.retention_removes:
                removed = opened.remove_weeks(
                    now,
                    operator=OPERATOR,
                    reason=f"LEDGER_RETENTION_DAYS is {days}",
                    progress=say,
                )
            past = opened.removable_weeks(now)
        gone = removed_weeks(opened.connection)
    if days is None:
        context.log.info("retention is off: LEDGER_RETENTION_DAYS is not set")
    return Materialized(
        metadata={
            "dagster/row_count": len(gone),
            "weeks removed now": len(removed),
            "weeks past retention": len(past),
            "held": dg.MetadataValue.md(
                markdown_list(f"{week.week}: {obstacle}" for week in past for obstacle in week.obstacles)
            ),
            "after days": "never" if days is None else str(days),
        }
    )
