"""Everything that Dagster shows and runs, put together."""

import dagster as dg

from ledger_pipeline.defs.alerts import failed_runs
from ledger_pipeline.defs.archive import event_archive
from ledger_pipeline.defs.budgets import budgets_sensor
from ledger_pipeline.defs.daily import daily, daily_schedule
from ledger_pipeline.defs.due_weeks import (
    coming_weeks_have_tables,
    due_weeks,
    every_file_of_the_manifest_is_whole,
    newest_expected_week_is_rolled,
)
from ledger_pipeline.defs.events import period_budgets, workflow_events
from ledger_pipeline.defs.feed import feed_is_not_held_back
from ledger_pipeline.defs.limits import limits_sensor
from ledger_pipeline.defs.marts import mart_build
from ledger_pipeline.defs.notes import signed_notes
from ledger_pipeline.defs.prices import every_source_is_fresh, model_prices, price_sources, sources_agree
from ledger_pipeline.defs.prune import pruned_executions
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.retention import weeks_past_retention
from ledger_pipeline.defs.run_log import NAME, lines
from ledger_pipeline.defs.snapshots import execution_snapshots
from ledger_pipeline.defs.unpriced import costs_are_as_known_now, every_model_is_priced

defs = dg.Definitions(
    assets=[
        price_sources,
        model_prices,
        workflow_events,
        period_budgets,
        execution_snapshots,
        due_weeks,
        event_archive,
        signed_notes,
        mart_build,
        pruned_executions,
        weeks_past_retention,
    ],
    asset_checks=[
        feed_is_not_held_back,
        coming_weeks_have_tables,
        newest_expected_week_is_rolled,
        every_file_of_the_manifest_is_whole,
        every_model_is_priced,
        costs_are_as_known_now,
        every_source_is_fresh,
        sources_agree,
    ],
    jobs=[daily],
    schedules=[daily_schedule],
    sensors=[limits_sensor, budgets_sensor, failed_runs],
    resources={"ledger": LedgerResource()},
    # The steps of a run wait for each other anyway; a process each would only start Python again.
    executor=dg.in_process_executor,
    loggers={"console": dg.colored_console_logger, NAME: lines},
)
