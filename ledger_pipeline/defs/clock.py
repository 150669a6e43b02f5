"""The instant that counts as now in a run: the same for all of its assets, whenever each of them starts."""

from datetime import UTC, datetime

import dagster as dg

from ledger_pipeline.defs.failures import only_transient_retried
from ledger_pipeline.errors import InvalidInput

NOW_TAG = "ledger/now"
"""Run tag that sets it, in ISO 8601 with an offset; the schedule sets it to the time that the run was due."""


@only_transient_retried()
def now_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> datetime:
    """What the run's tag says; without one, the time that the run was created. Fails the asset for a naive time."""
    run = context.run
    text = run.tags.get(NOW_TAG)
    if text is None:
        record = context.instance.get_run_record_by_id(run.run_id)
        assert record is not None
        return record.create_timestamp.astimezone(UTC)
    try:
        now = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"run tag {NOW_TAG}: {text!r} is no ISO 8601 time: write it as 2026-11-20T00:00:00Z"
        ) from None
    if now.tzinfo is None:
        raise InvalidInput(f"run tag {NOW_TAG}: {text!r} has no time zone: write it as 2026-11-20T00:00:00Z")
    return now.astimezone(UTC)
