"""The weekly partitions of the event archive: materialized one by one, as a range, and checked."""

from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster import ExecuteInProcessResult

from ledger_pipeline.cold import object_store
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.defs.archive import event_archive
from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.due_weeks import due_weeks, every_file_of_the_manifest_is_whole, sample_of
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.retention import weeks_past_retention
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.settings import Bucket
from ledger_pipeline_tests.defs.small_ledger import AGES_IN_DAYS, EVENTS_OF_EACH

OLDEST, OLDER, RECENT = AGES_IN_DAYS

pytestmark = pytest.mark.usefixtures("small_ledger")


def week_before(now: datetime, days: int) -> date:
    """The Monday of the week of that many days ago."""
    return week_of(now - timedelta(days=days))


def materialize(
    instance: dg.DagsterInstance, now: datetime, week: date | None = None, **tags: str
) -> ExecuteInProcessResult:
    """A run of the archive for a week, or for what the tags say."""
    return dg.materialize(
        [event_archive],
        instance=instance,
        resources={"ledger": LedgerResource()},
        partition_key=week.isoformat() if week else None,
        tags={NOW_TAG: now.isoformat(), **tags},
        raise_on_error=False,
    )


def archived(connection: psycopg.Connection[dict[str, object]]) -> list[date]:
    """The weeks whose truth is their files."""
    return [week.week for week in committed_weeks(connection)]


@pytest.mark.mission("A5")
def test_a_week_is_archived_and_asking_again_changes_nothing(
    instance: dg.DagsterInstance, now: datetime, connection: psycopg.Connection[dict[str, object]]
) -> None:
    week = week_before(now, OLDEST)

    for _ in range(2):
        result = materialize(instance, now, week)
        assert result.success
        (event,) = result.get_asset_materialization_events()
        assert event.partition == week.isoformat()
        assert event.materialization.metadata["dagster/row_count"].value == EVENTS_OF_EACH
        assert archived(connection) == [week]


def test_a_range_of_weeks_is_archived_in_one_run(
    instance: dg.DagsterInstance, now: datetime, connection: psycopg.Connection[dict[str, object]]
) -> None:
    first, last = week_before(now, OLDEST), week_before(now, OLDER)

    result = materialize(
        instance,
        now,
        **{
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        },
    )

    assert result.success
    assert archived(connection) == [first, last]
    assert {first.isoformat(), last.isoformat()} <= instance.get_materialized_partitions(event_archive.key)


def test_a_week_that_is_not_due_is_refused_at_once(
    instance: dg.DagsterInstance, now: datetime, connection: psycopg.Connection[dict[str, object]]
) -> None:
    result = materialize(instance, now, week_before(now, 14))

    (failure,) = result.get_step_failure_events()
    assert "is not old enough" in str(failure.step_failure_data.error)
    assert archived(connection) == []


def test_a_naive_present_is_refused(instance: dg.DagsterInstance, now: datetime) -> None:
    result = materialize(instance, now.replace(tzinfo=None), week_before(now, OLDEST))

    (failure,) = result.get_step_failure_events()
    assert "has no time zone" in str(failure.step_failure_data.error)


def test_a_missing_file_fails_the_checks(
    instance: dg.DagsterInstance,
    now: datetime,
    connection: psycopg.Connection[dict[str, object]],
    small_ledger: Path,
) -> None:
    week = week_before(now, OLDEST)
    materialize(instance, now, week)
    ((file,),) = [week.files for week in committed_weeks(connection)]
    (small_ledger / "cold" / file.name).unlink()

    again = materialize(instance, now, week)
    daily = dg.materialize(
        [due_weeks, every_file_of_the_manifest_is_whole],
        instance=instance,
        resources={"ledger": LedgerResource()},
        tags={NOW_TAG: now.isoformat()},
    )

    for result in (again, daily):
        (check,) = result.get_asset_check_evaluations()
        assert not check.passed
        assert file.name in str(check.metadata["problems"].value)


def test_an_altered_file_is_found_on_its_day_and_on_mondays(
    instance: dg.DagsterInstance,
    now: datetime,
    connection: psycopg.Connection[dict[str, object]],
    small_ledger: Path,
) -> None:
    materialize(instance, now, week_before(now, OLDER))
    oldest, newest = committed_weeks(connection)
    path = small_ledger / "cold" / oldest.files[0].name
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    days = [now.date() + timedelta(days=nth) for nth in range(7)]
    sampled = {day for day in days if oldest in sample_of([oldest, newest], day)}
    assert all(newest in sample_of([oldest, newest], day) for day in days)
    assert {day for day in days if day.weekday() == 0} < sampled | {days[0]}
    assert len(sampled) in (1, 2)
    monday = now + timedelta(days=7 - now.weekday())
    result = dg.materialize(
        [due_weeks, every_file_of_the_manifest_is_whole],
        instance=instance,
        resources={"ledger": LedgerResource()},
        tags={NOW_TAG: monday.isoformat()},
    )
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert path.name in str(check.metadata["problems"].value)


@pytest.mark.mission("C5")
def test_weeks_past_retention_are_told_of_and_removed_only_where_that_is_set(
    instance: dg.DagsterInstance,
    now: datetime,
    connection: psycopg.Connection[dict[str, object]],
    small_ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Ledger.open() as ledger:
        ledger.roll(now)
        ledger.build_marts(now)
        ledger.prune(now, 0)

    def run() -> dict[str, object]:
        result = dg.materialize(
            [weeks_past_retention],
            instance=instance,
            resources={"ledger": LedgerResource()},
            tags={NOW_TAG: now.isoformat()},
        )
        (event,) = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}

    off = run()
    assert (off["after days"], off["weeks past retention"], off["weeks removed now"]) == ("never", 0, 0)
    monkeypatch.setenv("LEDGER_RETENTION_DAYS", "95")
    told = run()
    assert (told["weeks past retention"], told["weeks removed now"]) == (2, 0)
    monkeypatch.setenv("LEDGER_RETENTION_REMOVES", "true")
    assert run()["weeks removed now"] == 2
    assert [path for path in (small_ledger / "cold").rglob("*.parquet") if path.is_file()] == []
    assert all(
        week.removal and "by the daily job: LEDGER_RETENTION_DAYS is 95" in week.removal
        for week in committed_weeks(connection)
    )


@pytest.mark.mission("A5")
def test_an_object_that_was_lost_or_altered_fails_the_checks_whatever_copies_there_are(
    instance: dg.DagsterInstance,
    now: datetime,
    connection: psycopg.Connection[dict[str, object]],
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEDGER_COLD_URL", str(bucket))
    daily = [due_weeks, every_file_of_the_manifest_is_whole]
    resources = {"ledger": LedgerResource()}
    tags = {NOW_TAG: now.isoformat()}
    (check,) = dg.materialize(daily, instance=instance, resources=resources, tags=tags).get_asset_check_evaluations()
    assert check.passed

    first, second = (week.files[0] for week in committed_weeks(connection))
    object_store.remove(bucket, first.name)
    object_store.client().put_object(Bucket=bucket.name, Key=bucket.key(second.name), Body=b"x" * second.bytes)
    (check,) = dg.materialize(daily, instance=instance, resources=resources, tags=tags).get_asset_check_evaluations()
    assert not check.passed
    problems = str(check.metadata["problems"].value)
    assert f"{first.name} is missing" in problems
    assert f"{second.name} was altered" in problems
