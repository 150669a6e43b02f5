"""Budgets of periods: nobody can schedule when one is crossed, so a sensor looks every minute."""

from collections.abc import Sequence

import dagster as dg

from ledger_pipeline.budgets.counting import Breach
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.defs.events import workflow_events
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.tables import markdown_table

EVERY_SECONDS = 60


@dg.sensor(
    name="budgets",
    minimum_interval_seconds=EVERY_SECONDS,
    # Whoever sets a budget wants to know when it is crossed; the UI stops it.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: counts what was used since the last tick and records each threshold of a workflow's, an "
    "agent's or a customer's budget that a period's total crossed, once, in the budget's own stream. It appends these "
    "events itself and reports them as an observation of workflow_events; a tick that finds nothing is skipped.",
)
def budgets_sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
    """Records the budgets that were crossed since the last tick; a repeated tick finds them recorded."""
    with ledger.open() as opened:
        try:
            judged = opened.judge_budgets()
        except Held as held:
            return dg.SensorResult(skip_reason=str(held))
    if not judged.breaches:
        return dg.SensorResult(skip_reason=f"none of {judged.budgets} budgets was crossed")
    for breach in judged.breaches:
        context.log.info(
            f"{breach.threshold} % of the budget of {breach.budget.scope} {breach.budget.target} was crossed"
        )
    return dg.SensorResult(
        skip_reason=f"recorded {len(judged.breaches)} breaches of {judged.budgets} budgets",
        asset_events=[_observation(judged.breaches)],
    )


def _observation(breaches: Sequence[Breach]) -> dg.AssetObservation:
    columns = ("budget of", "period", "percent", "limit", "total", "unit", "execution")
    rows = [
        (f"{b.budget.scope} {b.budget.target}", b.period, b.threshold, b.limit, b.total, b.unit, b.usage.execution_id)
        for b in breaches
    ]
    return dg.AssetObservation(
        workflow_events.key,
        metadata={
            "breaches": len(breaches),
            "budgets that were crossed": dg.MetadataValue.md(markdown_table(columns, rows)),
        },
    )
