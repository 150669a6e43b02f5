"""Snapshots of executions' states."""

import dagster as dg
from pydantic import Field

from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.events import workflow_events
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.freshness import DAILY
from ledger_pipeline.defs.ownership import ENGINEERING, HOT
from ledger_pipeline.defs.progress import paced
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized


class SnapshotConfig(dg.Config):
    """Which executions a run looks at."""

    everything: bool = Field(
        default=False,
        description="Look at every execution, not only at those that the feed names since the last run: takes an "
        "execution's newest snapshot anew where it was deleted or damaged.",
    )


@dg.asset(
    deps=[workflow_events],
    group_name=HOT,
    owners=[ENGINEERING],
    kinds={"postgres", "python"},
    code_version="2",
    retry_policy=RETRIES,
    freshness_policy=DAILY,
    metadata={"dagster/table_name": "ledger.execution_snapshots"},
    # Before the roll: what is snapshotted is read more quickly while it is hot.
    op_tags={"dagster/priority": "1"},
)
def execution_snapshots(
    context: dg.AssetExecutionContext, config: SnapshotConfig, ledger: LedgerResource
) -> Materialized:
    """The state of an execution every few events, so that a replay need not begin at the first one."""
    say = paced(context.log)

    def done(executions: int) -> None:
        say(f"{executions:,} executions done")

    with ledger.open() as opened:
        taken = opened.snapshot(now_of(context), progress=done, everything=config.everything)
        row = opened.connection.execute("SELECT count(*) AS n FROM execution_snapshots").fetchone()
    context.log.info(
        f"{taken.snapshots:,} snapshots of {taken.executions:,} executions, {taken.events:,} events folded"
    )
    return Materialized(
        metadata={
            "dagster/row_count": row["n"] if row else 0,
            "executions": taken.executions,
            "snapshots stored": taken.snapshots,
            "events folded": taken.events,
        }
    )
