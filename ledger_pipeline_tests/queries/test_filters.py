"""Each filter of each answer leaves exactly what it says, and the numbers of a user are those of his executions."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from ledger_pipeline import events
from ledger_pipeline.events.enums import ExecutionStatus
from ledger_pipeline.hot.people import create_user
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.queries.executions import ExecutionSummary
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.queries.conftest import NOW, all_pages

pytestmark = pytest.mark.mission("C3")

FAILED = {ExecutionStatus.FAILED, ExecutionStatus.ABORTED, ExecutionStatus.TIMEOUT}
ERRORS = {"WorkflowFailed": "failed", "WorkflowTimedOut": "timeout", "ExecutionAborted": "aborted"}
BEGAN = NOW - timedelta(hours=5)
ENDS: dict[str, Callable[[datetime], list[events.Event]]] = {
    "pending": lambda _: [],
    "running": lambda at: [events.WorkflowStarted(occurred_at=at)],
    "paused": lambda at: [events.WorkflowStarted(occurred_at=at), events.WorkflowPaused(occurred_at=at)],
    **{
        status: lambda at, kind=kind, given=given: [
            events.WorkflowStarted(occurred_at=at),
            kind(occurred_at=at + timedelta(milliseconds=1500), **given),
        ]
        for status, kind, given in (
            ("completed", events.WorkflowCompleted, {}),
            ("failed", events.WorkflowFailed, {"error_message": "no"}),
            ("cancelled", events.WorkflowCancelled, {}),
            ("aborted", events.ExecutionAborted, {}),
            ("timeout", events.WorkflowTimedOut, {}),
        )
    },
}
"""What comes after its creation of an execution in each status."""


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that holds a month of traffic, an execution in each status, and marts of it."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url))
    with Ledger.open(settings) as opened:
        opened.simulate(60, 30, 7, NOW)
        user = create_user(opened.connection, "of every status").id
        templates = [opened.templates.save({"name": name, "steps": []}).template_id for name in ("one", "other")]
        for nth, (status, end) in enumerate(ENDS.items()):
            created = events.WorkflowCreated(
                occurred_at=BEGAN,
                workflow_name=f"is_{status}",
                user_id=user,
                mode="by hand",
                template_id=templates[nth % 2],
                template_version=1,
            )
            opened.append(uuid4(), [created, *end(BEGAN)])
        opened.build_marts(NOW)
        yield opened


@pytest.fixture(scope="module")
def executions(ledger: Ledger) -> list[ExecutionSummary]:
    found = all_pages(ledger.queries.executions, page_size=50)
    assert len(found) == 60 + len(ENDS)
    assert {one.status for one in found} == set(ExecutionStatus)
    return found


def parts(items: list[Any], value: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """The items by a value, without those that have none; there is more than one part."""
    found: dict[Any, list[Any]] = {}
    for item in items:
        if (key := value(item)) is not None:
            found.setdefault(key, []).append(item)
    assert len(found) > 1
    return found


COLUMNS = {
    **{name: f"{name}_id" for name in ("user", "drive", "customer", "agent", "template")},
    **{name: name for name in ("status", "mode", "workflow_type", "workflow_name", "triggered_by")},
}


@pytest.mark.parametrize("name", COLUMNS)
def test_executions_by_a_value_are_those_that_have_it(
    ledger: Ledger, executions: list[ExecutionSummary], name: str
) -> None:
    for value, expected in parts(executions, lambda one: getattr(one, COLUMNS[name])).items():
        assert all_pages(ledger.queries.executions, page_size=50, **{name: value}) == expected


def test_executions_by_several_values_have_all_of_them(ledger: Ledger, executions: list[ExecutionSummary]) -> None:
    since, until = NOW - timedelta(days=20), NOW - timedelta(days=5)
    between = [one for one in executions if one.started_at is not None and since <= one.started_at < until]
    assert 5 < len(between) < len(executions) - 5
    assert all_pages(ledger.queries.executions, page_size=50, started_from=since, started_to=until) == between
    exact = between[3].started_at
    assert exact is not None
    at = {"started_from": exact, "started_to": exact + timedelta(microseconds=1)}
    assert between[3] in all_pages(ledger.queries.executions, **at)
    assert between[3] not in all_pages(ledger.queries.executions, started_from=since, started_to=exact)
    by_user = parts(between, lambda one: (one.user_id, one.status))
    (user, status), expected = next(iter(by_user.items()))
    asked = {"user": user, "status": status, "started_from": since, "started_to": until}
    assert all_pages(ledger.queries.executions, **asked) == expected


def test_running_are_the_executions_that_run(ledger: Ledger, executions: list[ExecutionSummary]) -> None:
    running = [one for one in executions if one.status is ExecutionStatus.RUNNING]
    assert [item.execution for item in all_pages(ledger.queries.running)] == running
    for name in ("user", "drive", "agent"):
        for value in {getattr(one, f"{name}_id") for one in executions} - {None}:
            found = [item.execution for item in all_pages(ledger.queries.running, **{name: value})]
            assert found == [one for one in running if getattr(one, f"{name}_id") == value]


def test_the_audit_by_type_and_time_is_what_the_whole_has_of_it(ledger: Ledger) -> None:
    whole = all_pages(ledger.queries.audit, page_size=500)
    for event_type, expected in parts(whole, lambda entry: entry.event_type).items():
        assert all_pages(ledger.queries.audit, page_size=500, event_type=event_type) == expected
    since, until = NOW - timedelta(days=9), NOW - timedelta(days=3)
    between = [entry for entry in whole if since <= entry.occurred_at < until]
    assert 5 < len(between) < len(whole) - 5
    assert all_pages(ledger.queries.audit, page_size=500, occurred_from=since, occurred_to=until) == between


def test_errors_are_ends_that_nobody_wanted_and_log_entries_of_level_error(
    ledger: Ledger, executions: list[ExecutionSummary]
) -> None:
    expected = [
        (entry.event_id, ERRORS.get(entry.event_type, "log"))
        for entry in all_pages(ledger.queries.audit, page_size=500)
        if entry.event_type in ERRORS or (entry.event_type == "LogRecorded" and entry.details["log_level"] == "error")
    ]
    found = all_pages(ledger.queries.errors)
    assert [(one.event.event_id, one.kind) for one in found] == expected
    assert {one.kind for one in found} == {"failed", "timeout", "aborted", "log"}
    ended = {one.event.execution_id for one in found if one.kind != "log"}
    assert ended == {one.execution_id for one in executions if one.status in FAILED}
    for user in {one.user_id for one in executions} - {None}:
        assert all_pages(ledger.queries.errors, user=user) == [one for one in found if one.event.user_id == user]
    since, until = NOW - timedelta(days=9), NOW - timedelta(hours=5)
    between = all_pages(ledger.queries.errors, occurred_from=since, occurred_to=until)
    assert between == [one for one in found if since <= one.event.occurred_at < until]


def test_artifacts_by_type_are_those_of_the_execution_that_have_it(
    ledger: Ledger, executions: list[ExecutionSummary]
) -> None:
    seen = 0
    for one in executions:
        whole = list(ledger.queries.execution(one.execution_id).artifacts)
        assert sorted(all_pages(ledger.queries.artifacts, one.execution_id), key=repr) == sorted(whole, key=repr)
        for kind in {artifact.artifact_type for artifact in whole}:
            found = all_pages(ledger.queries.artifacts, one.execution_id, artifact_type=kind)
            assert {artifact.id for artifact in found} == {each.id for each in whole if each.artifact_type == kind}
            seen += len(found)
    assert seen > 10


@pytest.mark.parametrize(
    ("answer", "columns"),
    [
        ("cost_by_mode", {"user": "user_id", "mode": "mode", "month": "month"}),
        ("billing", {"period": "period", "user": "user_id", "customer": "customer_id", "model": "model"}),
        (
            "metrics",
            {
                **{name: name for name in ("metric_type", "aggregation_period", "dimension", "model", "mode", "tool")},
                "user": "user_id",
            },
        ),
    ],
)
def test_what_the_marts_answer_by_a_value_are_the_rows_that_have_it(
    ledger: Ledger, answer: str, columns: dict[str, str]
) -> None:
    asked = getattr(ledger.queries, answer)
    whole = all_pages(asked, page_size=500)
    for name, column in columns.items():
        for value, expected in list(parts(whole, lambda row, column=column: getattr(row, column)).items())[:6]:
            assert all_pages(asked, page_size=500, **{name: value}) == expected


def test_metrics_of_a_time_are_those_of_the_periods_that_begin_in_it(ledger: Ledger) -> None:
    whole = all_pages(ledger.queries.metrics, page_size=500)
    since, until = (NOW - timedelta(days=days) for days in (12, 4))
    within = [row for row in whole if since <= row.period_start < until]
    assert 5 < len(within) < len(whole) - 5
    assert all_pages(ledger.queries.metrics, page_size=500, period_from=since, period_to=until) == within


def milliseconds(instant: datetime) -> int:
    """Boundaries of milliseconds before an instant."""
    return (instant - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def test_the_statistics_of_a_user_are_counts_and_sums_of_his_executions(
    ledger: Ledger, executions: list[ExecutionSummary]
) -> None:
    audited = all_pages(ledger.queries.audit, page_size=500)
    users = parts(executions, lambda one: one.user_id)
    for user, own in users.items():
        ids = {one.execution_id for one in own}
        timed = [
            milliseconds(one.ended_at) - milliseconds(one.started_at)
            for one in own
            if one.started_at is not None and one.ended_at is not None
        ]
        statistics = ledger.queries.statistics(user)
        assert vars(statistics) == {
            "user_id": user,
            "total_executions": len(own),
            "running_executions": sum(one.status is ExecutionStatus.RUNNING for one in own),
            "successful_executions": sum(one.status is ExecutionStatus.COMPLETED for one in own),
            "failed_executions": sum(one.status in FAILED for one in own),
            "total_cost": sum(one.total_cost for one in own),
            "total_tokens": sum(one.spent_tokens for one in own),
            "total_audit_logs": sum(entry.execution_id in ids for entry in audited),
            "average_execution_time_ms": sum(timed) // len(timed) if timed else 0,
        }


def test_one_execution_in_each_status_is_counted_as_what_it_is(
    ledger: Ledger, executions: list[ExecutionSummary]
) -> None:
    user: UUID | None = next(one.user_id for one in executions if one.workflow_name == "is_pending")
    assert user is not None
    statistics = ledger.queries.statistics(user)
    assert (statistics.total_executions, statistics.running_executions) == (8, 1)
    assert (statistics.successful_executions, statistics.failed_executions) == (1, 3)
    assert (statistics.average_execution_time_ms, statistics.total_audit_logs) == (1500, 8 + 7 + 6)
