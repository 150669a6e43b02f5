"""The roll of the daily job: whatever is due, each week reported as a partition of the event archive."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg

from ledger_pipeline.cold import roll
from ledger_pipeline.cold.manifest import RolledWeekRow, committed_weeks
from ledger_pipeline.cold.roll import RolledWeek
from ledger_pipeline.defs.archive import WEEKS, event_archive, files_are_whole, summary, table, telling
from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.events import workflow_events
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.freshness import DAILY
from ledger_pipeline.defs.ownership import COLD, ENGINEERING
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized
from ledger_pipeline.defs.tables import markdown_list
from ledger_pipeline.hot.leaves import WEEKS_AHEAD


@dg.asset(
    deps=[workflow_events],
    group_name=COLD,
    owners=[ENGINEERING],
    kinds={"postgres", "parquet"},
    code_version="1",
    retry_policy=RETRIES,
    freshness_policy=DAILY,
)
def due_weeks(context: dg.AssetExecutionContext, ledger: LedgerResource) -> Materialized:
    """The weeks that have been hot long enough, moved to the event archive.

    Also clears what broken bulk appends left, and observes how many events are where.
    """
    with ledger.open() as opened:
        rolled: list[RolledWeek] = opened.roll(now_of(context), progress=telling(context.log))
        opened.connection.execute("SELECT clear_staging()")
        tiers = opened.connection.execute(
            """
            SELECT
                (SELECT coalesce(sum(last_sequence), 0)::bigint FROM execution_heads) AS events,
                (SELECT coalesce(sum(events), 0)::bigint FROM archive_manifest WHERE state = 'committed') AS cold
            """
        ).fetchone()
    assert tiers is not None
    for week in rolled:
        if week.week >= WEEKS.start.date():
            partition = week.week.isoformat()
            context.log_event(dg.AssetMaterialization(event_archive.key, partition=partition, metadata=summary([week])))
    where = {"hot events": tiers["events"] - tiers["cold"], "cold events": tiers["cold"]}
    context.log_event(
        dg.AssetObservation(workflow_events.key, metadata={"dagster/row_count": tiers["events"], **where})
    )
    context.log.info(f"{len(rolled):,} weeks rolled; {tiers['cold']:,} of {tiers['events']:,} events are cold")
    return Materialized(metadata=summary(rolled) | {"weeks": len(rolled), "rolled": table(rolled), **where})


@dg.asset_check(asset=due_weeks, retry_policy=RETRIES)
def newest_expected_week_is_rolled(
    context: dg.AssetCheckExecutionContext, ledger: LedgerResource
) -> dg.AssetCheckResult:
    """No week that has been hot long enough is still in Postgres."""
    now = now_of(context)
    with ledger.open() as opened:
        hot_days = opened.settings.hot_days
        late = roll.due_weeks(opened.connection, now, hot_days)
        archived = committed_weeks(opened.connection)
    return dg.AssetCheckResult(
        passed=not late,
        metadata={
            "expected to have ended by": (now - timedelta(days=hot_days)).isoformat(timespec="seconds"),
            "newest week in the archive": archived[-1].week.isoformat() if archived else "none",
            "late weeks": ", ".join(map(str, late)) or "none",
        },
    )


@dg.asset_check(asset=due_weeks, retry_policy=RETRIES)
def every_file_of_the_manifest_is_whole(
    context: dg.AssetCheckExecutionContext, ledger: LedgerResource
) -> dg.AssetCheckResult:
    """Every file that the manifest names is in the cold store, of its size, with the bytes that were written.

    All are hashed on Mondays; on other days those of the newest week and a seventh of the others, another one each day.
    """
    day = now_of(context).date()
    with ledger.open() as opened:
        archived = committed_weeks(opened.connection)
        judged = sample_of(archived, day)
        result = files_are_whole(opened, judged, (week for week in archived if week not in judged))
    return dg.AssetCheckResult(
        passed=result.passed,
        metadata={**result.metadata, "weeks hashed": f"{len(judged)} of {len(archived)}"},
    )


def sample_of(weeks: Sequence[RolledWeekRow], day: date) -> list[RolledWeekRow]:
    """The weeks whose files are hashed on a day: all on a Monday, else the newest and a seventh of the others."""
    nth_day = day.weekday()
    return [week for week in weeks if nth_day == 0 or week is weeks[-1] or (week.week.toordinal() // 7) % 7 == nth_day]


@dg.asset_check(asset=due_weeks, retry_policy=RETRIES)
def coming_weeks_have_tables(ledger: LedgerResource) -> dg.AssetCheckResult:
    """Every event type has its tables for this week and the next ones: an append without one fails.

    This week is the server's: appends go by its clock, whatever a run takes for the present.
    """
    with ledger.open() as opened:
        row = opened.connection.execute("SELECT week_of(clock_timestamp()) AS week").fetchone()
        assert row is not None
        weeks = [row["week"] + timedelta(weeks=nth) for nth in range(WEEKS_AHEAD + 1)]
        missing = opened.connection.execute(
            "SELECT event_type, week FROM missing_leaves(%s::date[]) ORDER BY week, event_type", [weeks]
        ).fetchall()
    return dg.AssetCheckResult(
        passed=not missing,
        metadata={
            "through the week of": weeks[-1].isoformat(),
            "missing": dg.MetadataValue.md(markdown_list(f"{row['event_type']} {row['week']}" for row in missing)),
        },
    )
