"""The event archive, week by week, for backfills; it and the daily roll call the same domain code."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import dagster as dg

from ledger_pipeline.cold.files import check_file, unnamed_files
from ledger_pipeline.cold.manifest import RolledWeekRow, WeekState, week_row
from ledger_pipeline.cold.roll import RolledWeek, RollProgress, roll_week
from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.events import EVENT_COLUMN_SCHEMA, workflow_events
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.ownership import COLD, ENGINEERING
from ledger_pipeline.defs.progress import paced
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized
from ledger_pipeline.defs.tables import markdown_list, markdown_table
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.settings import ColdStore, Settings

MONDAY = 1
SHOWN_PROBLEMS = 20


def weeks_from(start: date) -> dg.WeeklyPartitionsDefinition:
    """Partitions of a week each, named by its Monday, from the first Monday at or after `start`."""
    return dg.WeeklyPartitionsDefinition(start_date=start.isoformat(), day_offset=MONDAY, timezone="UTC")


WEEKS = weeks_from(Settings.read().archive_start)


@dg.asset(
    deps=[workflow_events],
    partitions_def=WEEKS,
    group_name=COLD,
    owners=[ENGINEERING],
    kinds={"parquet"},
    code_version="1",
    retry_policy=RETRIES,
    metadata={"dagster/column_schema": EVENT_COLUMN_SCHEMA},
    check_specs=[
        dg.AssetCheckSpec(
            "files_are_whole",
            asset="event_archive",
            description="The files of the weeks are in the cold store, with the bytes that were written.",
        )
    ],
)
def event_archive(context: dg.AssetExecutionContext, ledger: LedgerResource) -> Materialized:
    """A week's events in Parquet files, taken out of Postgres in the transaction that makes the files the truth.

    A week that is archived already stays as it is. Weeks leave in their order: one that is asked for takes along those
    before it that are still in Postgres.
    """
    now = now_of(context)
    rolled: list[RolledWeek] = []
    archived: list[RolledWeekRow] = []
    with ledger.open() as opened:
        for key in sorted(context.partition_keys):
            week = date.fromisoformat(key)
            rolled.append(roll_week(opened.connection, opened.settings, week, now, progress=telling(context.log)))
            row = week_row(opened.connection, week)
            archived += [row] if row else []
        whole = files_are_whole(opened, archived)
    metadata = summary(rolled) | {"rolled": table(rolled)}
    return Materialized(metadata=metadata, check_results=[whole])


# Weeks leave in their order: a backfill of a year is one run, not 52 that wait for each other. (As a parameter of the
# decorator it would warn that it is beta.)
event_archive = event_archive.with_attributes(backfill_policy=dg.BackfillPolicy.single_run())


def files_are_whole(
    ledger: Ledger, weeks: Iterable[RolledWeekRow], others: Iterable[RolledWeekRow] = ()
) -> dg.AssetCheckResult:
    """Judges that each file of the weeks is there and unaltered; names those that aren't.

    Of the files of `others`, only that they are there and of their size.
    """
    files = 0
    problems = lacking_files(ledger.settings.cold_dir, others)
    for week in weeks:
        # Of a removed week nothing is expected.
        for file in () if week.removal else week.files:
            files += 1
            try:
                check_file(ledger.settings.cold_dir, file, again=True)
            except ColdStoreDamaged as error:
                problems.append(str(error))
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={
            "files": files,
            "damaged or missing": len(problems),
            "problems": dg.MetadataValue.md(markdown_list(problems[:SHOWN_PROBLEMS])),
        },
    )


def lacking_files(cold_dir: ColdStore, weeks: Iterable[RolledWeekRow]) -> list[str]:
    """The files of the weeks that are not there, or of another size, a sentence each."""
    kept = [week for week in weeks if week.removal is None]
    there = {
        file.name: file.bytes
        for instance_id in {week.instance_id for week in kept}
        for file in unnamed_files(cold_dir, instance_id, ())
        if file.upload is None
    }
    return [
        f"cold file {file.name} is missing: restore it from a copy"
        if file.name not in there
        else f"cold file {file.name} has {there[file.name]} bytes; {file.bytes} were written: restore it"
        for week in kept
        for file in week.named_files
        if there.get(file.name) != file.bytes
    ]


def telling(log: dg.DagsterLogManager) -> Callable[[RollProgress], None]:
    """Logs how a roll goes: each week that it finishes, and now and then where it stands within one."""
    say = paced(log)

    def tell(progress: RollProgress) -> None:
        if progress.state is WeekState.COMMITTED:
            log.info(f"week {progress.week}: {progress.events:,} events are in the archive")
        else:
            say(f"week {progress.week}: {progress.state}, {progress.events:,} of {progress.of_events:,} events")

    return tell


def summary(rolled: Iterable[RolledWeek]) -> dict[str, int | float]:
    """Sums over weeks, as metadata."""
    weeks = list(rolled)
    return {
        "dagster/row_count": sum(week.events for week in weeks),
        "files": sum(week.files for week in weeks),
        "bytes": sum(week.bytes for week in weeks),
        "seconds": round(sum(week.seconds for week in weeks), 3),
    }


def table(rolled: Iterable[RolledWeek]) -> dg.MarkdownMetadataValue:
    """The weeks, a line each."""
    columns = ("week", "through", "events", "files", "bytes", "seconds")
    rows = [
        (week.week, week.week + timedelta(days=6), week.events, week.files, week.bytes, f"{week.seconds:.3f}")
        for week in rolled
    ]
    return dg.MetadataValue.md(markdown_table(columns, rows))
