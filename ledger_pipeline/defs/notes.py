"""The daily checkpoint: the feed is closed, and a note signs the tree."""

import dagster as dg

from ledger_pipeline.defs.due_weeks import due_weeks
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.freshness import DAILY
from ledger_pipeline.defs.ownership import COLD, ENGINEERING
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized


@dg.asset(
    # After the roll, so that the note signs its weeks too.
    deps=[due_weeks],
    group_name=COLD,
    owners=[ENGINEERING],
    kinds={"postgres", "file"},
    code_version="1",
    retry_policy=RETRIES,
    freshness_policy=DAILY,
)
def signed_notes(context: dg.AssetExecutionContext, ledger: LedgerResource) -> Materialized:
    """A signed note of the tree of checkpoints, rolled weeks and epochs, after the feed was closed up to its horizon.

    Fails, and signs nothing, when the newest note says something else than the ledger: it was rolled back or rewritten.
    """
    with ledger.open() as opened:
        closed, note = opened.checkpoint()
        row = opened.connection.execute("SELECT count(*) AS leaves FROM tree_leaves").fetchone()
    context.log.info(f"signed: {note.path}" if note else "nothing new to sign")
    return Materialized(
        metadata={
            "dagster/row_count": row["leaves"] if row else 0,
            "events closed now": closed.events if closed else 0,
            "note": note.path.name if note else "none",
        }
    )
