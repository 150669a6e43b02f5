"""Limits that have passed: what nobody can schedule, so a sensor looks every minute."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from ledger_pipeline.defs.events import workflow_events
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.tables import markdown_table
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.workflows.limits import Overdue

EVERY_SECONDS = 60
OPERATOR = "limits"


@dg.sensor(
    name="limits",
    minimum_interval_seconds=EVERY_SECONDS,
    # Whoever runs the daemon on this code wants limits to hold; the UI stops it.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: executions that run longer than their definition's timeout_minutes time out, calls that "
    "run longer than their step's timeout_seconds fail. It appends these events itself, a hundred a tick at most, and "
    "reports them as an observation of workflow_events; a tick that finds nothing is skipped.",
)
def limits_sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
    """Records the limits that have passed by now; a repeated tick finds them recorded."""
    now = datetime.now(UTC)
    with ledger.open() as opened:
        recorded, refused = opened.workflows.acting_as(OPERATOR, "system").expire(now)
    for each in recorded:
        context.log.info(f"{_told(each)} ran longer than {each.limit_seconds} seconds")
    for each, error in refused:
        context.log.warning(f"{_told(each)}: {error}")
    if not recorded and not refused:
        return dg.SensorResult(skip_reason="no limit has passed")
    return dg.SensorResult(
        skip_reason=f"recorded {len(recorded)} limits that have passed, {len(refused)} were refused",
        asset_events=[_observation(recorded, refused)],
    )


def _told(each: Overdue) -> str:
    call = "" if each.call_id is None else f", step {each.step_name}"
    return f"execution {each.execution_id} ({each.workflow_name}{call})"


def _observation(recorded: Sequence[Overdue], refused: Sequence[tuple[Overdue, LedgerError]]) -> dg.AssetObservation:
    columns = ("execution", "workflow", "step", "since", "limit, s")
    rows = [(e.execution_id, e.workflow_name, e.step_name, e.since.isoformat(), e.limit_seconds) for e in recorded]
    return dg.AssetObservation(
        workflow_events.key,
        metadata={
            "executions timed out": sum(each.call_id is None for each in recorded),
            "calls timed out": sum(each.call_id is not None for each in recorded),
            "refused": len(refused),
            "limits that have passed": dg.MetadataValue.md(markdown_table(columns, rows)),
        },
    )
