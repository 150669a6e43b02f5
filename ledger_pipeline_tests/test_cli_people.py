"""People, members and workflows on the command line."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from ledger_pipeline_tests.cli import CommandLine


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path, module_ledger_url: str
) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(home))
    monkeypatch.setenv("LEDGER_DATABASE_URL", module_ledger_url)
    return CommandLine(capfd)


@pytest.mark.mission("B3")
@pytest.mark.parametrize(
    ("kind", "options", "field", "value"),
    [
        ("users", ("--email", "ada@example.org"), "email", "ada@example.org"),
        ("customers", ("--contact", '{"phone": "1", "weight": 0.1}'), "contact", {"phone": "1", "weight": 0.1}),
        ("agents", ("--kind-of-agent", "coder"), "kind", "coder"),
        ("drives", ("--description", "where"), "description", "where"),
    ],
)
def test_each_kind_is_made_listed_changed_and_deleted(
    cli: CommandLine, kind: str, options: tuple[str, ...], field: str, value: object
) -> None:
    made = cli("people", "create", kind, "Ada", *options, "--json").data
    assert (made["name"], made[field]) == ("Ada", value)
    assert cli("people", "show", kind, made["id"], "--json").data == made
    assert made in cli("people", "list", kind, "--json").data
    assert made["id"] in cli("people", "list", kind).out
    changed = cli("people", "update", kind, made["id"], "--name", "Grace", "--reason", "married", "--json").data
    assert (changed["name"], changed[field]) == ("Grace", value)
    assert cli("people", "delete", kind, made["id"]).code == 0
    gone = cli("people", "show", kind, made["id"])
    assert (gone.code, gone.out) == (2, "")
    assert f"{made['id']} does not exist" in gone.err


@pytest.mark.mission("D5")
def test_members_come_and_go(cli: CommandLine) -> None:
    drive = cli("people", "create", "drives", "Engineering", "--json").data["id"]
    user = cli("people", "create", "users", "Ada", "--json").data["id"]
    assert cli("members", "set", drive, user, "read").code == 0
    assert cli("members", "set", drive, user, "write").code == 0
    assert cli("members", "list", drive, "--json").data == [{"drive_id": drive, "user_id": user, "access": "write"}]
    assert cli("members", "remove", drive, user).code == 0
    assert cli("members", "list", drive, "--json").data == []
    assert cli("members", "remove", drive, user).code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("people", "create", "users", " "), "name: is empty"),
        (("people", "create", "drives", "d", "--email", "x"), "email"),
        (("people", "create", "users", "u", "--metadata", "[1]"), "is no JSON object"),
        (("people", "create", "users", "u", "--metadata", "{"), "is no JSON"),
        (("people", "list", "users", "--limit", "0"), "limit: must be a whole number from 1 to 1000"),
        (("people", "show", "users", "x"), "is not a valid UUID"),
        (("workflow", "start", "nowhere"), "template nowhere does not exist"),
        (("workflow", "pause", str(UUID(int=7))), "execution_id: "),
    ],
)
def test_wrong_use_is_one_line(cli: CommandLine, arguments: tuple[str, ...], says: str) -> None:
    answer = cli(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.mission("E3")
def test_a_workflow_is_started_looked_at_stopped_and_run_again(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "deploy.json"
    document = {
        "name": "deploy",
        "parameters": {"vm": {"type": "string", "required": True}},
        "steps": [{"name": "make", "tool_name": "t"}],
    }
    file.write_text(json.dumps(document))
    assert cli("templates", "save", file).code == 0
    assert "input.vm: is missing" in cli("workflow", "start", "deploy").err
    execution = cli("workflow", "start", "deploy", "--input", '{"vm": "web-1"}', "--by", "ada").out.strip()
    status = cli("workflow", "status", execution, "--json").data
    assert (status["status"], [step["step_name"] for step in status["ready"]]) == ("running", ["make"])
    assert cli("workflow", "pause", execution, "--reason", "weekend", "--json").data["status"] == "paused"
    assert cli("workflow", "status", execution).out.startswith("paused, waits for resume")
    assert cli("workflow", "resume", execution).out.strip() == f"{execution} is running"
    assert "make" in cli("workflow", "status", execution).out
    assert cli("workflow", "rerun", execution).code == 2
    assert cli("workflow", "cancel", execution, "--by", "ada").out.strip() == f"{execution} is cancelled"
    again = cli("workflow", "rerun", execution, "--json").data
    assert cli("workflow", "abort", again["execution_id"]).code == 0
    history = cli("query", "execution", execution, "--json").data
    assert (history["template"]["name"], history["execution"]["triggered_by"]) == ("deploy", "ada")
    assert "deploy 1.0.0" in cli("query", "execution", execution).out


def test_a_template_is_deleted(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "unused.json"
    file.write_text('{"name": "unused", "steps": []}')
    cli("templates", "save", file)
    assert cli("templates", "delete", "unused").out.strip() == "unused is deleted"
    assert "template unused does not exist" in cli("templates", "delete", "unused").err
