"""The daily job: prices, snapshots, the roll of what is due, the marts, pruning, retention, and all their checks."""

import dagster as dg

from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.due_weeks import (
    coming_weeks_have_tables,
    due_weeks,
    every_file_of_the_manifest_is_whole,
    newest_expected_week_is_rolled,
)
from ledger_pipeline.defs.feed import feed_is_not_held_back
from ledger_pipeline.defs.marts import mart_build
from ledger_pipeline.defs.notes import signed_notes
from ledger_pipeline.defs.prices import every_source_is_fresh, model_prices, sources_agree
from ledger_pipeline.defs.prune import pruned_executions
from ledger_pipeline.defs.retention import weeks_past_retention
from ledger_pipeline.defs.snapshots import execution_snapshots
from ledger_pipeline.defs.unpriced import costs_are_as_known_now, every_model_is_priced

JOB = "daily"

daily = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(
        model_prices,
        execution_snapshots,
        due_weeks,
        signed_notes,
        mart_build,
        pruned_executions,
        weeks_past_retention,
    )
    | dg.AssetSelection.checks(
        feed_is_not_held_back,
        coming_weeks_have_tables,
        newest_expected_week_is_rolled,
        every_file_of_the_manifest_is_whole,
        every_model_is_priced,
        costs_are_as_known_now,
        every_source_is_fresh,
        sources_agree,
    ),
    description="Syncs the price book, snapshots executions, rolls the weeks that are due to the event archive, "
    "signs a note of all that was closed, builds and publishes the marts, prunes executions and "
    "tells of weeks past retention where that is set. "
    f"It appends no event. The run tag {NOW_TAG} sets the time that counts as now.",
)


@dg.schedule(
    cron_schedule="15 1 * * *",
    job=daily,
    name="daily",
    execution_timezone="UTC",
    # Whoever runs the daemon on this code wants the job to run; the UI stops it.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 01:15 UTC: after midnight, so that a week that became due is rolled on its first day.",
)
def daily_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """A run for the time that it was due, whenever it starts."""
    due = context.scheduled_execution_time.isoformat()
    return dg.RunRequest(run_key=due, tags={NOW_TAG: due})
