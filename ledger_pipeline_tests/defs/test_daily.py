"""The daily job on a small ledger, run in this process as the command line runs it."""

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.failures import only_transient_retried
from ledger_pipeline.defs.in_process import run_daily
from ledger_pipeline.defs.marts import RECONCILES, key_of
from ledger_pipeline.errors import InvalidInput, ReconciliationFailed, ServerUnavailable
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts import checks
from ledger_pipeline.marts.definitions import Check, Mart
from ledger_pipeline.marts.publish import current
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.defs.small_ledger import AGES_IN_DAYS, EVENTS_OF_EACH

ALL_EVENTS = len(AGES_IN_DAYS) * EVENTS_OF_EACH
COLD_EVENTS = 2 * EVENTS_OF_EACH


def quiet(_: str) -> None:
    """Progress that nobody reads."""


def rows(mart: str) -> int:
    """Rows of a mart in the current build."""
    with Ledger.open() as ledger, ledger.marts() as marts:
        found = marts.execute(f"SELECT count(*) FROM marts.{mart}").fetchone()
    return found[0] if found else 0


def events_by_tier(connection: psycopg.Connection[dict[str, int]]) -> tuple[int, int]:
    """Events in Postgres, and events that the manifest has in files."""
    row = connection.execute(
        """
        SELECT
            (SELECT count(*) FROM workflow_events) AS hot,
            (SELECT coalesce(sum(events), 0)::bigint FROM archive_manifest WHERE state = 'committed') AS cold
        """
    ).fetchone()
    assert row is not None
    return row["hot"], row["cold"]


@pytest.mark.slow
@pytest.mark.mission("A5")
@pytest.mark.mission("A7")
@pytest.mark.mission("A13")
@pytest.mark.mission("A14")
def test_daily_syncs_snapshots_rolls_and_builds_and_appends_nothing(
    small_ledger: Path, now: datetime, connection: psycopg.Connection[dict[str, int]]
) -> None:
    told: list[str] = []

    first = run_daily(now, told.append)

    assert events_by_tier(connection) == (ALL_EVENTS - COLD_EVENTS, COLD_EVENTS)
    assert first.rows["model_prices"] > 1_000
    assert first.rows["execution_snapshots"] == len(AGES_IN_DAYS)
    assert first.rows["due_weeks"] == COLD_EVENTS
    assert first.rows["marts/audit_log"] == rows("audit_log") == ALL_EVENTS
    assert first.failed_checks == ()
    assert first.warnings == ("marts/unpriced_usage: every_model_is_priced",)
    for asset in ("model_prices", "execution_snapshots", "due_weeks", "marts"):
        assert f"{asset}: started" in told
        assert any(line.startswith(f"{asset}: done in") for line in told)

    ((file,), *_) = [week.files for week in committed_weeks(connection)]
    (small_ledger / "cold" / file.name).unlink()

    again = run_daily(now, quiet)

    assert again.failed_checks == ("due_weeks: every_file_of_the_manifest_is_whole",)
    assert events_by_tier(connection) == (ALL_EVENTS - COLD_EVENTS, COLD_EVENTS)
    assert again.rows["due_weeks"] == 0
    assert again.rows["marts/audit_log"] == ALL_EVENTS


@pytest.mark.slow
def test_a_run_that_is_kept_reports_weeks_rows_and_checks_to_dagster(
    small_ledger: Path, now: datetime, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()

    done = run_daily(now, quiet, kept)

    with dg.DagsterInstance.local_temp(str(kept)) as instance:
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.tags[NOW_TAG] == now.isoformat()
        assert len(instance.get_materialized_partitions(dg.AssetKey("event_archive"))) == 2
        event = instance.get_latest_materialization_event(key_of("model_usage"))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["dagster/row_count"].value == len(AGES_IN_DAYS) * (EVENTS_OF_EACH - 5)
        assert isinstance(metadata["dagster/column_schema"], dg.TableSchemaMetadataValue)
        assert "claude-sonnet-4-5" in str(metadata["preview"].value)


@pytest.mark.slow
def test_marts_that_do_not_reconcile_block_and_leave_the_last_build(
    small_ledger: Path, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_daily(now, quiet)
    good = current(Settings.read())
    kept = tmp_path / "kept"
    kept.mkdir()
    true_rules = checks.checks_of

    def with_a_broken_rule(mart: Mart) -> tuple[Check, ...]:
        broken = Check("Nothing differs.", "SELECT 0.000000000001 AS difference")
        return (*true_rules(mart), *([broken] if mart.name == "reconciliation" else []))

    monkeypatch.setattr(checks, "checks_of", with_a_broken_rule)

    with pytest.raises(ReconciliationFailed, match="Nothing differs"):
        run_daily(now, quiet, kept)

    assert current(Settings.read()) == good
    with dg.DagsterInstance.local_temp(str(kept)) as instance:
        check = dg.AssetCheckKey(key_of("reconciliation"), RECONCILES)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=9)
        assert record.event is not None
        assert record.event.dagster_event is not None
        assert not record.event.dagster_event.asset_check_evaluation_data.passed
        assert instance.get_latest_materialization_event(key_of("model_usage")) is None


_DAILY = """
import sys
from datetime import datetime
from pathlib import Path
from ledger_pipeline.defs.in_process import run_daily

run_daily(datetime.fromisoformat(sys.argv[1]), lambda line: print(line, flush=True), Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", ["due_weeks: started", "marts: started"])
def test_a_killed_run_is_completed_by_the_next_and_marked_as_failed(
    small_ledger: Path,
    now: datetime,
    tmp_path: Path,
    connection: psycopg.Connection[dict[str, int]],
    killed_at: str,
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _DAILY, now.isoformat(), str(kept)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(line.strip() == killed_at for line in process.stdout)
        process.kill()

    done = run_daily(now, quiet, kept)

    assert events_by_tier(connection) == (ALL_EVENTS - COLD_EVENTS, COLD_EVENTS)
    assert rows("audit_log") == ALL_EVENTS
    with dg.DagsterInstance.local_temp(str(kept)) as instance:
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses.pop(done.run_id) is dg.DagsterRunStatus.SUCCESS
        assert [*statuses.values()] == [dg.DagsterRunStatus.FAILURE]


@pytest.mark.slow
def test_an_interrupt_ends_the_run_and_leaves_signals_as_they_were(small_ledger: Path, now: datetime) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def interrupt(line: str) -> None:
        if line == "due_weeks: started":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_daily(now, interrupt)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_wrong_database_is_said_before_a_run_begins(
    home: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    with pytest.raises(ServerUnavailable):
        run_daily(now, quiet)


def test_only_what_goes_away_by_itself_is_tried_again() -> None:
    with pytest.raises(ServerUnavailable), only_transient_retried():
        raise ServerUnavailable("the server restarts")
    with pytest.raises(psycopg.OperationalError), only_transient_retried():
        raise psycopg.OperationalError("the connection broke")
    with pytest.raises(dg.Failure) as failure, only_transient_retried():
        raise InvalidInput("week: 2026-11-19 is not a Monday")
    assert failure.value.allow_retries is False
    assert failure.value.description == "week: 2026-11-19 is not a Monday"
