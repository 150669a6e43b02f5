"""What Dagster is told: every asset, check, job, schedule and sensor, against `definitions.txt`.

After a change that is meant, write it anew and read the difference:
`UPDATE_SNAPSHOTS=1 .venv/bin/python -m pytest ledger_pipeline_tests/defs/test_definitions.py`
"""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from ledger_pipeline.definitions import defs
from ledger_pipeline.defs.archive import weeks_from
from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.daily import daily_schedule
from ledger_pipeline.defs.tables import markdown_list, markdown_table
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.settings import Settings

SNAPSHOT = Path(__file__).parent / "definitions.txt"
WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"


def test_definitions_load_and_fit_together() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_workspace_names_the_code_location() -> None:
    (location,) = yaml.safe_load(WORKSPACE.read_text())["load_from"]

    assert location["python_module"]["module_name"] == "ledger_pipeline.definitions"


def test_definitions_are_as_they_were_agreed() -> None:
    described = "\n".join(_described()) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(described, encoding="utf-8")

    assert described == SNAPSHOT.read_text(encoding="utf-8")


def test_every_mart_is_an_asset_with_its_columns_and_lineage() -> None:
    graph = defs.resolve_asset_graph()
    for mart in marts().values():
        node = graph.get(dg.AssetKey(["marts", mart.name]))
        schema = node.metadata["dagster/column_schema"]
        assert [(c.name, c.type, c.description) for c in schema.columns] == [
            (c.name, c.type, c.description) for c in mart.columns
        ]
        read = {key.to_user_string().replace("/", ".") for key in node.parent_keys if key.path[0] == "marts"}
        assert read == {table for table in mart.inputs if table.startswith("marts.")}


def test_weeks_of_the_archive_begin_on_mondays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_ARCHIVE_START", "2026-01-01")

    weeks = weeks_from(Settings.read().archive_start)

    keys = weeks.get_partition_keys(current_time=datetime(2026, 2, 1, tzinfo=UTC))
    assert keys == ["2026-01-05", "2026-01-12", "2026-01-19"]
    assert all(date.fromisoformat(key).weekday() == 0 for key in keys)


def test_a_scheduled_run_takes_the_time_that_it_was_due_for_the_present() -> None:
    due = datetime(2026, 11, 20, 1, 15, tzinfo=UTC)

    request = daily_schedule(dg.build_schedule_context(scheduled_execution_time=due))

    assert isinstance(request, dg.RunRequest)
    assert datetime.fromisoformat(request.tags[NOW_TAG]) == due


def test_tables_escape_what_markdown_would_read() -> None:
    assert markdown_table(("a", "b"), [("x|y <b>", None)]) == "| a | b |\n| --- | --- |\n| x\\|y &lt;b> |  |"
    assert markdown_list([]) == "none"


def _described() -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        yield f"asset {key.to_user_string()}"
        yield f"  {' '.join((node.description or '').split())}"
        yield f"  group {node.group_name}; owners {', '.join(node.owners)}; kinds {', '.join(sorted(node.kinds))}"
        yield f"  from {', '.join(sorted(k.to_user_string() for k in node.parent_keys)) or 'outside'}"
        yield f"  metadata {', '.join(sorted(node.metadata))}"
        if node.is_executable:
            # What a mart's version hashes is its query: it changes with it, as it should.
            version = "of its query" if key.path[0] == "marts" else node.code_version
            yield f"  code version {version}; made by {node.assets_def.op.name}; {_retried(node.assets_def.op)}"
        if node.partitions_def:
            backfilled = node.backfill_policy.policy_type.value.lower() if node.backfill_policy else "default"
            yield f"  partitions {node.partitions_def}; backfills {backfilled}"
        if isinstance(policy := node.freshness_policy, TimeWindowFreshnessPolicy):
            warned = policy.warn_window.to_timedelta() if policy.warn_window else None
            yield f"  stale after {warned}, failing after {policy.fail_window.to_timedelta()}"
    for check in sorted(graph.asset_check_keys):
        spec = graph.get_check_spec(check)
        blocking = "blocking" if spec.blocking else "not blocking"
        yield f"check {check.name} of {check.asset_key.to_user_string()}, {blocking}"
    repository = defs.get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if job.name.startswith("__ASSET_JOB"):
            continue
        yield f"job {job.name}"
        yield f"  {job.description}"
        yield f"  steps {', '.join(sorted(node.name for node in job.nodes))}"
        yield f"  executor {job.executor_def.name}; tags {dict(job.run_tags)}"
    for schedule in repository.schedule_defs:
        yield f"schedule {schedule.name}"
        yield f"  {schedule.description}"
        yield f"  job {schedule.job_name} at {schedule.cron_schedule} {schedule.execution_timezone}"
        yield f"  {schedule.default_status.value} unless stopped"
    for sensor in repository.sensor_defs:
        yield f"sensor {sensor.name}"
        yield f"  {sensor.description}"
        yield f"  every {sensor.minimum_interval_seconds} seconds; {sensor.default_status.value} unless stopped"


def _retried(op: dg.OpDefinition) -> str:
    policy = op.retry_policy
    if policy is None:
        return "never retried"
    backoff = policy.backoff.value.lower() if policy.backoff else "no"
    return f"{policy.max_retries} retries after {policy.delay} s, {backoff} backoff"
