"""`ledger-pipeline templates`: what people and scripts get."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from ledger_pipeline.hot.database import Connection
from ledger_pipeline_tests.cli import CommandLine
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, VM_DEPLOYMENT


@pytest.fixture
def cli(
    module_ledger_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> CommandLine:
    """The command line on the ledger that the module's tests share."""
    monkeypatch.setenv("LEDGER_DATABASE_URL", module_ledger_url)
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    return CommandLine(capfd)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a definition."""
    path = tmp_path / "vm_deployment.json"
    path.write_text(json.dumps(VM_DEPLOYMENT), encoding="utf-8")
    return path


@pytest.mark.mission("E1")
def test_a_definition_is_saved_listed_and_shown_as_it_was_written(cli: CommandLine, file: Path, drive: UUID) -> None:
    saved = cli("templates", "save", file, "--drive", drive, "--json")
    assert (saved.code, saved.data["version_number"], saved.data["status"]) == (0, 1, "active")
    assert "no workflow 'setup_vm_backup'" in saved.data["warnings"][0]["what"]
    assert cli("templates", "show", "vm_deployment", "--drive", drive).out == file.read_text() + "\n"
    shown = cli("templates", "show", saved.data["template_id"], "--version", 1, "--json").data
    assert (shown["document"], shown["drive_id"]) == (VM_DEPLOYMENT, str(drive))
    assert list(shown["step_ids"]) == ["0", "1", "2", "2/0", "3"]
    listed = cli("templates", "list", "--drive", drive, "--json").data
    assert [item["name"] for item in listed["items"]] == ["vm_deployment"]
    assert listed["next_cursor"] is None
    assert "vm_deployment" in cli("templates", "list", "--drive", drive).out


@pytest.mark.mission("E2")
def test_versions_and_what_they_break_are_told(cli: CommandLine, file: Path, drive: UUID) -> None:
    cli("templates", "save", file, "--drive", drive)
    file.write_text(json.dumps(VM_DEPLOYMENT | {"parameters": VM_DEPLOYMENT["parameters"] | {"n": {"required": True}}}))
    saved = cli("templates", "save", file, "--drive", drive, "--change", "major", "--summary", "counts", "--expect", 1)
    assert saved.out.startswith("vm_deployment 2.0.0 (version 2, active)")
    assert "breaking: parameter n is required now" in saved.out
    assert "warning: steps[2].on_true.workflow_name" in saved.err
    versions = cli("templates", "versions", "vm_deployment", "--drive", drive, "--json").data
    assert [(v["version_tag"], v["change_type"], v["change_summary"]) for v in versions] == [
        ("2.0.0", "major", "counts"),
        ("1.0.0", "create", None),
    ]
    assert "counts" in cli("templates", "versions", "vm_deployment", "--drive", drive).out
    stale = cli("templates", "save", file, "--drive", drive, "--expect", 1)
    assert (stale.code, "expected_version: vm_deployment is at version 2, not at 1" in stale.err) == (2, True)


@pytest.mark.mission("E3")
def test_faults_are_one_line_on_stderr_and_leave_nothing(cli: CommandLine, connection: Connection, file: Path) -> None:
    file.write_text(json.dumps({"name": "faulty", "steps": [{"type": "jump"}, {"tool_name": "a", "on_success": "b"}]}))
    refused = cli("templates", "save", file)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "steps[0].type: 'jump'" in refused.err
    assert "steps[1].on_success: no step is named 'b'" in refused.err
    assert connection.execute("SELECT FROM workflow_templates WHERE name = 'faulty'").rowcount == 0
    checked = cli("templates", "check", file, "--json")
    assert (checked.code, checked.data["ok"]) == (1, False)
    assert [fault["where"] for fault in checked.data["faults"]] == ["steps[0].type", "steps[1].on_success"]


def test_a_check_needs_no_ledger(cli: CommandLine, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert cli("templates", "check", file).code == 0
    file.write_text(json.dumps(CODE_REVIEW))
    assert "warning: steps[0].prompt_template: {{code}}" in cli("templates", "check", file).out


def test_a_status_is_set_and_a_wrong_one_refused(cli: CommandLine, file: Path, drive: UUID) -> None:
    cli("templates", "save", file, "--drive", drive)
    assert cli("templates", "status", "vm_deployment", "archived", "--drive", drive).code == 0
    shown = cli("templates", "show", "vm_deployment", "--drive", drive, "--json").data
    assert shown["status"] == "archived"
    assert cli("templates", "status", "vm_deployment", "gone", "--drive", drive).code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nothing"), "template nothing does not exist"),
        (("versions", "nothing"), "template nothing does not exist"),
        (("list", "--page-size", 0), "page_size: must be a whole number from 1 to 500"),
        (("list", "--cursor", "x"), "cursor: 'x' is none of this ledger's"),
        (("save", "missing.json"), "missing.json: No such file"),
    ],
)
def test_wrong_use_is_refused_in_one_line(cli: CommandLine, arguments: tuple[object, ...], message: str) -> None:
    refused = cli("templates", *arguments)
    assert (refused.code, refused.err.count("\n"), message in refused.err) == (2, 1, True), refused
