"""`query` on the command line, and the templates behind what it shows."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ledger_pipeline import events
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection
from ledger_pipeline_tests.cli import CommandLine

NOW = datetime.now(UTC)
TEMPLATE, DEFINITION, EXECUTION = uuid4(), uuid4(), uuid4()
USER = UUID(int=5)


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ledger_url: str,
    connection: Connection,
) -> CommandLine:
    """Commands on a ledger that holds one running execution of a template, with a report and an error in its log."""
    connection.execute("INSERT INTO users (id, name) VALUES (%s, 'Ada')", (USER,))
    connection.execute(
        "INSERT INTO workflow_templates (id, name, version, current_version, status)"
        " VALUES (%s, 'cost_report', '1.0.0', 1, 'active')",
        (TEMPLATE,),
    )
    connection.execute(
        "INSERT INTO workflow_template_steps (id, template_id, version, path, step_order, name, type, config)"
        """ VALUES (%s, %s, 1, '0', 0, 'collect', 'action', '{"limit": 2.50}')""",
        (DEFINITION, TEMPLATE),
    )
    step = events.PlanStep(
        step_id=uuid4(), path="0", step_order=0, step_name="collect", template_step_id=DEFINITION, config={"rate": 0.10}
    )
    append(
        connection,
        EXECUTION,
        [
            events.WorkflowCreated(
                occurred_at=NOW,
                workflow_name="cost_report",
                template_id=TEMPLATE,
                template_version=1,
                user_id=USER,
                plan=(step,),
            ),
            events.WorkflowStarted(occurred_at=NOW),
            events.ArtifactRecorded(
                occurred_at=NOW, artifact_id=uuid4(), artifact_type="report", artifact_name="july", uri="file:///july"
            ),
            events.LogRecorded(occurred_at=NOW, log_level="error", message="no rows [for June]"),
        ],
    )
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return CommandLine(capfd)


@pytest.mark.mission("C3")
def test_running_executions_come_with_their_template(cli: CommandLine) -> None:
    answer = cli("query", "running", "--user", USER, "--json").data
    assert answer["next_cursor"] is None
    assert [item["execution"]["execution_id"] for item in answer["items"]] == [str(EXECUTION)]
    assert answer["items"][0]["template"]["name"] == "cost_report"
    assert "cost_report" in cli("query", "running").out


@pytest.mark.mission("C3")
def test_an_execution_comes_with_its_steps_and_their_definitions(cli: CommandLine) -> None:
    answer = cli("query", "execution", EXECUTION, "--json")
    step = answer.data["steps"][0]
    assert step["step_name"] == "collect"
    assert step["definition"]["id"] == str(DEFINITION)
    assert '"limit": 2.50' in answer.out
    assert answer.data["execution"]["total_cost"] == "0.000000000000"
    assert "Artifacts" in cli("query", "execution", EXECUTION).out


@pytest.mark.mission("C3")
def test_lists_are_tables_or_json_with_a_cursor(cli: CommandLine) -> None:
    first = cli("query", "audit", "--page-size", 3, "--json").data
    assert [item["event_type"] for item in first["items"]] == ["LogRecorded", "ArtifactRecorded", "WorkflowStarted"]
    second = cli("query", "audit", "--page-size", 3, "--cursor", first["next_cursor"], "--json").data
    assert [item["event_type"] for item in second["items"]] == ["WorkflowCreated"]
    assert second["next_cursor"] is None
    page = cli("query", "audit", "--page-size", 3)
    assert "more: --cursor " in page.err
    assert "WorkflowStarted" in page.out
    assert "no rows [for June]" in cli("query", "errors").out
    of_one = cli("query", "audit", "--execution", EXECUTION, "--json").data
    assert [item["sequence"] for item in of_one["items"]] == [1, 2, 3, 4]
    assert cli("query", "artifacts", EXECUTION, "--json").data["items"][0]["name"] == "july"
    assert cli("query", "executions", "--status", "running").out.count("cost_report") == 1
    assert cli("query", "stats", USER, "--json").data["total_executions"] == 1
    assert cli("query", "stats", uuid4(), "--json").data["total_cost"] in ("0", "0.000000000000")


@pytest.mark.mission("C3")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("executions", "--page-size", "0"), "page_size: must be a whole number from 1 to 500"),
        (("executions", "--cursor", "x"), "cursor: 'x' is none of this ledger's"),
        (("executions", "--workflow-type", "x"), "workflow_type: "),
        (("executions", "--user", "me"), "'me' is not a valid UUID"),
        (("audit", "--event-type", "x"), "event_type: "),
        (("billing", "--period", "2026-13"), "period: "),
        (("execution", str(uuid4())), "does not exist"),
        (("cost-by-mode",), "ledger-pipeline daily"),
    ],
)
def test_wrong_use_ends_with_2_and_one_line(cli: CommandLine, arguments: tuple[str, ...], message: str) -> None:
    answer = cli("query", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1
