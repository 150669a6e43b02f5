"""Every answer is the same while everything is hot, once it was rolled, and once it was pruned."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from ledger_pipeline import events
from ledger_pipeline.events.enums import ArtifactType, ExecutionStatus
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.people import Agent, create_agent, delete
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.queries.answers import Queries
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.queries.conftest import NOW, Statement, all_pages, recording

Answers = dict[str, Any]
MOST_STATEMENTS = {
    "executions": 3,
    "running": 3,
    "execution": 11,
    "artifacts": 6,
    "audit": 5,
    "errors": 5,
    "statistics": 4,
    "cost_by_mode": 1,
    "billing": 1,
    "metrics": 1,
}
"""How many statements an answer may send to the hot store, whatever it holds and wherever that lies."""


def statements(connection: Connection, queries: Queries, of: Answers) -> dict[str, int]:
    """How many statements to the hot store each answer takes, transactions left out."""
    executions = of["executions"]
    user = next(one.user_id for one in executions if one.user_id)
    asked = {
        **{name: getattr(queries, name) for name in ("executions", "running", "cost_by_mode", "billing", "metrics")},
        **{name: partial(getattr(queries, name), page_size=500) for name in ("audit", "errors")},
        "statistics": partial(queries.statistics, user),
        **{f"execution {one.execution_id}": partial(queries.execution, one.execution_id) for one in executions[::8]},
        **{f"artifacts {one.execution_id}": partial(queries.artifacts, one.execution_id) for one in executions[::8]},
    }
    sent: list[Statement] = []
    found: dict[str, int] = {}
    factory = connection.cursor_factory
    connection.cursor_factory = recording(sent)
    for name, question in asked.items():
        sent.clear()
        question()
        found[name] = sum("LOCK TABLE" not in str(text) for text, _ in sent)
    connection.cursor_factory = factory
    return found


def answers(queries: Queries, now: datetime) -> Answers:
    """What a user may ask, of everything and filtered."""
    executions = all_pages(queries.executions, page_size=25)
    first = executions[0]
    since, until = now - timedelta(days=40), now - timedelta(days=10)
    given: Answers = {
        "executions": executions,
        "executions in pages of one": all_pages(queries.executions, page_size=1, user=first.user_id),
        "executions between": all_pages(queries.executions, started_from=since, started_to=until),
        "audit": all_pages(queries.audit, page_size=500),
        "audit of a type between": all_pages(
            queries.audit, page_size=40, event_type="StepFailed", occurred_from=since, occurred_to=until
        ),
        "errors": all_pages(queries.errors),
        "running": all_pages(queries.running),
        "cost by mode": all_pages(queries.cost_by_mode, page_size=50),
        "billing": all_pages(queries.billing, page_size=50),
        "metrics": all_pages(queries.metrics, page_size=500, aggregation_period="month"),
    }
    for name in ("user", "drive", "customer", "agent"):
        value = next(value for one in executions if (value := getattr(one, f"{name}_id")))
        given[f"executions of a {name}"] = all_pages(queries.executions, **{name: value})
    for name in ("status", "mode", "workflow_type", "workflow_name", "triggered_by"):
        value = next(value for one in reversed(executions) if (value := getattr(one, name)))
        given[f"executions by {name}"] = all_pages(queries.executions, **{name: value})
    for user in sorted({one.user_id for one in executions if one.user_id}):
        given[f"statistics {user}"] = queries.statistics(user)
    given["errors of a user"] = all_pages(queries.errors, user=first.user_id)
    for one in executions[::8]:
        given[f"execution {one.execution_id}"] = history = queries.execution(one.execution_id)
        given[f"audit {one.execution_id}"] = all_pages(queries.audit, page_size=40, execution=one.execution_id)
        for artifact_type in {artifact.artifact_type for artifact in history.artifacts}:
            given[f"artifacts {one.execution_id} {artifact_type}"] = all_pages(
                queries.artifacts, one.execution_id, page_size=1, artifact_type=artifact_type
            )
        given[f"artifacts {one.execution_id}"] = all_pages(queries.artifacts, one.execution_id, page_size=1)
    return given


SENT: dict[str, dict[str, int]] = {}
"""What `statements` counted at each stage."""


@pytest.fixture(scope="module")
def stages(ledger: Ledger) -> Iterator[dict[str, Answers]]:
    """The answers at each stage of a ledger's life."""
    # One connection for all: a new one reads the catalogue of hundreds of leaves first.
    with connect(ledger.url, autocommit=True) as connection:
        queries = Queries(ledger.settings, lambda: nullcontext(connection))
        stages: dict[str, Answers] = {}

        def ask(stage: str) -> None:
            stages[stage] = answers(queries, NOW)
            SENT[stage] = statements(connection, queries, stages[stage])

        ask("hot")
        ledger.roll(NOW)
        ask("rolled")
        ledger.build_marts(NOW)
        assert ledger.prune(NOW, 24).executions > 5
        ask("partly pruned")
        assert ledger.prune(NOW, 0).executions > 1
        ask("pruned")
        yield stages


@pytest.mark.mission("C3")
@pytest.mark.mission("C5")
@pytest.mark.parametrize("stage", ["rolled", "partly pruned", "pruned"])
@pytest.mark.slow
def test_answers_are_unchanged(stages: dict[str, Answers], stage: str) -> None:
    hot, later = stages["hot"], stages[stage]
    assert [name for name in hot if hot[name] != later.get(name)] == []


@pytest.mark.mission("C3")
@pytest.mark.usefixtures("stages")
@pytest.mark.parametrize("stage", ["hot", "rolled", "partly pruned", "pruned"])
@pytest.mark.slow
def test_an_answer_sends_a_fixed_number_of_statements_wherever_its_rows_lie(stage: str) -> None:
    too_many = {name: sent for name, sent in SENT[stage].items() if sent > MOST_STATEMENTS[name.split()[0]]}
    assert too_many == {}


@pytest.mark.slow
def test_the_answers_compared_hold_something(stages: dict[str, Answers]) -> None:
    hot = stages["hot"]
    empty = {name for name, answer in hot.items() if answer == [] and not name.startswith(("artifacts", "errors of"))}
    assert empty == set()
    assert len(hot["executions"]) == 90
    assert {error.kind for error in hot["errors"]} >= {"failed", "log"}
    assert any(name.startswith("artifacts") and answer for name, answer in hot.items())


@pytest.mark.mission("C3")
@pytest.mark.slow
def test_the_audit_has_each_event_of_a_workflow_once(stages: dict[str, Answers], ledger: Ledger) -> None:
    with connect(ledger.url) as connection:
        rows = connection.execute("SELECT id, last_sequence FROM execution_heads WHERE execution_kind = 'workflow'")
        expected = {(row["id"], n) for row in rows for n in range(1, row["last_sequence"] + 1)}
    for answer in stages.values():
        found = [(entry.execution_id, entry.sequence) for entry in answer["audit"]]
        assert len(found) == len(set(found))
        assert set(found) == expected


@pytest.mark.slow
def test_lists_are_in_their_order(stages: dict[str, Answers]) -> None:
    audit = [(one.week, one.occurred_at, one.execution_id, one.sequence) for one in stages["pruned"]["audit"]]
    assert audit == sorted(audit, reverse=True)
    started = [one.started_at for one in stages["pruned"]["executions"] if one.started_at]
    assert started == sorted(started, reverse=True)


@pytest.mark.mission("C3")
@pytest.mark.slow
def test_artifacts_come_by_type(stages: dict[str, Answers]) -> None:
    places = list(ArtifactType)
    for name, answer in stages["pruned"].items():
        if name.startswith("artifacts"):
            types = [places.index(artifact.artifact_type) for artifact in answer]
            assert types == sorted(types)


@pytest.mark.mission("C3")
@pytest.mark.slow
def test_statistics_are_sums_over_the_executions(stages: dict[str, Answers]) -> None:
    for stage in stages.values():
        for name, statistics in stage.items():
            if not name.startswith("statistics"):
                continue
            own = [one for one in stage["executions"] if one.user_id == statistics.user_id]
            assert statistics.total_executions == len(own)
            assert statistics.total_cost == sum(one.total_cost for one in own)
            assert statistics.total_tokens == sum(one.spent_tokens for one in own)
            assert statistics.successful_executions == sum(one.status is ExecutionStatus.COMPLETED for one in own)
            of_own = {one.execution_id for one in own}
            assert statistics.total_audit_logs == sum(entry.execution_id in of_own for entry in stage["audit"])


@pytest.mark.mission("C3")
def test_an_unknown_user_has_zeros(ledger: Ledger) -> None:
    statistics = ledger.queries.statistics(UUID(int=7))
    assert {value for name, value in vars(statistics).items() if name != "user_id"} == {0}


@pytest.mark.mission("C3")
@pytest.mark.mission("D4")
def test_what_a_deletion_has_nulled_stays_so_once_pruned(ledger_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(ledger_url), hot_days=14)
    began, execution, step, call = NOW - timedelta(days=40), uuid4(), uuid4(), uuid4()
    with Ledger.open(settings) as ledger:
        agent = create_agent(ledger.connection, "called").id
        action = {"name": "look", "agent_id": "called", "prompt_template": "Look"}
        template = ledger.templates.save({"name": "looking", "steps": [action]})
        definition = next(iter(ledger.templates.get(template.template_id).step_ids.values()))
        plan = [{"step_id": step, "path": "0", "step_order": 0, "step_name": "look", "agent_id": agent}]
        told = [
            events.WorkflowCreated(occurred_at=began, plan=[plan[0] | {"template_step_id": definition}]),
            events.WorkflowStarted(occurred_at=began),
            events.StepDispatched(occurred_at=began, step_id=step, call_id=call, agent_id=agent),
            events.WorkflowCancelled(occurred_at=began),
        ]
        ledger.append_many([event.to_row() | {"execution_id": execution} for event in told], history=True)

        def named() -> tuple[Any, ...]:
            found = ledger.queries.execution(execution)
            return found.steps[0].template_step_id, found.steps[0].agent_id, found.calls[0].agent_id

        assert named() == (definition, agent, agent)
        ledger.connection.execute("DELETE FROM workflow_template_steps WHERE id = %s", (definition,))
        assert named() == (None, agent, agent)
        deleted_before = ledger.queries.execution(execution)
        assert ledger.check_projections().ok
        ledger.roll(NOW)
        ledger.build_marts(NOW)
        assert ledger.prune(NOW, 0).executions == 1
        assert ledger.queries.execution(execution) == deleted_before
        delete(ledger.connection, Agent, agent)
        assert named() == (None, None, None)
