"""The feed's horizon, watched: one idle transaction holds every consumer back."""

import dagster as dg

from ledger_pipeline.cold.horizon import PATIENCE_SECONDS
from ledger_pipeline.defs.events import workflow_events
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.tables import markdown_list


@dg.asset_check(asset=workflow_events.key, retry_policy=RETRIES)
def feed_is_not_held_back(ledger: LedgerResource) -> dg.AssetCheckResult:
    """No transaction has been open for minutes that writes: consumers, roll and checkpoints wait for the oldest one.

    Judged by the server's clock, of all databases of the server.
    """
    with ledger.open() as opened:
        status = opened.feed_status()
    return dg.AssetCheckResult(
        passed=status.warning is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=status.warning,
        metadata={
            "held back for seconds": status.held_seconds,
            "allowed seconds": PATIENCE_SECONDS,
            "events that wait": status.waiting,
            "transactions": dg.MetadataValue.md(markdown_list(map(str, status.holders))),
            "hot events behind": dg.MetadataValue.json({each.name: each.behind for each in status.consumers}),
        },
    )
