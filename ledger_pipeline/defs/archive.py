"""The cold store: the weeks that are due, rolled in the daily job, and the archive week by week, for backfills."""

from collections.abc import Callable
from datetime import date, timedelta

import dagster as dg
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger_pipeline.cold.roll import RolledWeek, RollProgress, roll_week
from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.events import workflow_events
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.ownership import COLD, ENGINEERING
from ledger_pipeline.defs.progress import paced
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.tables import markdown_table

MONDAY = 1


class ArchiveSettings(BaseSettings):
    """What Dagster needs to know of the archive before it opens the ledger."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_", frozen=True, extra="ignore", env_ignore_empty=True)

    archive_start: date = Field(
        default=date(2020, 1, 6), description="The first week of the event archive's partitions; older ones still roll."
    )


def weeks(start: date) -> dg.WeeklyPartitionsDefinition:
    """Partitions of a week each, named by its Monday, from the first Monday at or after `start`."""
    return dg.WeeklyPartitionsDefinition(start_date=start.isoformat(), day_offset=MONDAY, timezone="UTC")


WEEKS = weeks(ArchiveSettings().archive_start)


@dg.asset(
    deps=[workflow_events],
    partitions_def=WEEKS,
    group_name=COLD,
    owners=[ENGINEERING],
    kinds={"parquet"},
    code_version="1",
    retry_policy=RETRIES,
)
def event_archive(context: dg.AssetExecutionContext, ledger: LedgerResource) -> dg.MaterializeResult:  # pyright: ignore[reportMissingTypeArgument]  Dagster knows the bare class only
    """A week's events in Parquet files, taken out of Postgres in the transaction that makes the files the truth.

    A week that is archived already stays as it is. Weeks leave in their order: one that is asked for takes along those
    before it that are still in Postgres.
    """
    now = now_of(context)
    rolled: list[RolledWeek] = []
    with ledger.open() as opened:
        for key in sorted(context.partition_keys):
            progress = _telling(context)
            week = roll_week(opened.connection, opened.settings, date.fromisoformat(key), now, progress=progress)
            context.log.info(_described(week))
            rolled.append(week)
    return dg.MaterializeResult(metadata=_summary(rolled))


@dg.asset(
    deps=[workflow_events],
    group_name=COLD,
    owners=[ENGINEERING],
    kinds={"postgres", "parquet"},
    code_version="1",
    retry_policy=RETRIES,
)
def due_weeks(context: dg.AssetExecutionContext, ledger: LedgerResource) -> dg.MaterializeResult:  # pyright: ignore[reportMissingTypeArgument]  Dagster knows the bare class only
    """The weeks that have been hot long enough, moved to the event archive, of which each is reported as a partition."""
    with ledger.open() as opened:
        rolled = opened.roll(now_of(context), progress=_telling(context))
        tiers = opened.connection.execute(
            """
            SELECT
                (SELECT coalesce(sum(last_sequence), 0)::bigint FROM execution_heads) AS events,
                (SELECT coalesce(sum(events), 0)::bigint FROM archive_manifest WHERE state = 'committed') AS cold
            """
        ).fetchone()
    assert tiers is not None
    for week in rolled:
        context.log.info(_described(week))
        if WEEKS.start.date() <= week.week:
            context.log_event(
                dg.AssetMaterialization("event_archive", partition=week.week.isoformat(), metadata=_summary([week]))
            )
    context.log.info(f"{len(rolled):,} weeks rolled; {tiers['cold']:,} of {tiers['events']:,} events are cold")
    context.log_event(
        dg.AssetObservation(
            "workflow_events",
            metadata={
                "dagster/row_count": tiers["events"],
                "hot events": tiers["events"] - tiers["cold"],
                "cold events": tiers["cold"],
            },
        )
    )
    return dg.MaterializeResult(metadata=_summary(rolled) | {"weeks": len(rolled), "rolled": _table(rolled)})


def _telling(context: dg.AssetExecutionContext) -> Callable[[RollProgress], None]:
    say = paced(context.log)
    return lambda p: say(f"week {p.week}: {p.state}, {p.events:,} of {p.of_events:,} events")


def _described(week: RolledWeek) -> str:
    return f"week {week.week}: {week.events:,} events in {week.files:,} files, {week.bytes:,} bytes"


def _summary(rolled: list[RolledWeek]) -> dict[str, int | float]:
    return {
        "dagster/row_count": sum(week.events for week in rolled),
        "files": sum(week.files for week in rolled),
        "bytes": sum(week.bytes for week in rolled),
        "seconds": round(sum(week.seconds for week in rolled), 3),
    }


def _table(rolled: list[RolledWeek]) -> dg.MarkdownMetadataValue:
    columns = ("week", "through", "events", "files", "bytes", "seconds")
    return dg.MetadataValue.md(
        markdown_table(
            columns,
            [
                (week.week, week.week + timedelta(days=6), week.events, week.files, week.bytes, f"{week.seconds:.3f}")
                for week in rolled
            ],
        )
    )
