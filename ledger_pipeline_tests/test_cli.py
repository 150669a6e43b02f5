"""The commands' answers and exit codes."""

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from ledger_pipeline.cli.commands import COMMANDS
from ledger_pipeline_tests.cli import CommandLine
from ledger_pipeline_tests.ingest.ledger_files import EXECUTION, begun, event, usage, written


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ledger_url: str
) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return CommandLine(capfd)


@pytest.fixture
def invoice(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A ledger that holds one completed execution with a model call."""
    lines = [*begun(), usage(), event("WorkflowCompleted", output={"invoices": 12})]
    assert cli("import", "jsonl", written(tmp_path / "invoice.jsonl", lines)).code == 0
    return cli


def names(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = getattr(command, "commands", {})
    return [path, *(found for name, child in inner.items() for found in names(child, (*path, name)))]


@pytest.mark.parametrize("path", [p for c in COMMANDS for p in names(c, (str(c.name),))], ids=" ".join)
def test_every_command_explains_itself_with_an_example(
    path: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    answer = CommandLine(capfd)(*path, "--help")
    assert answer.code == 0
    assert "Example:" in answer.out
    assert f"ledger-pipeline {path[0]}" in answer.out.partition("Example:")[2]


def test_help_loads_neither_a_database_driver_nor_dagster() -> None:
    program = (
        "import sys; from ledger_pipeline.cli import run; run(['roll', '--help']); "
        "print([m for m in ('psycopg', 'duckdb', 'dagster', 'rich', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_command_the_help_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    answer = CommandLine(capfd)()
    assert (answer.code, answer.err) == (0, "")
    assert "replay" in answer.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["roll", "--no-such-option"],
        ["simulate", "--executions", "0", "--days", "1"],
        ["replay", "not-an-id"],
        ["migrate", "--check", "--to", "head"],
        ["up", "--port", "70000"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    answer = CommandLine(capfd)(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1


@pytest.mark.mission("B6")
def test_migrate_check_says_yes_to_a_migrated_database(cli: CommandLine) -> None:
    answer = cli("migrate", "--check", "--json")
    assert answer.code == 0
    assert answer.data["ok"] is True


@pytest.mark.mission("B6")
def test_migrate_check_says_no_to_an_empty_database(
    cli: CommandLine, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", empty_database_url)
    answer = cli("migrate", "--check")
    assert answer.code == 1
    assert "run `ledger-pipeline migrate`" in answer.out


@pytest.mark.mission("B6")
def test_migrate_goes_up_and_down(cli: CommandLine, empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", empty_database_url)
    assert cli("migrate").code == 0
    assert cli("migrate", "--check").code == 0
    assert cli("migrate", "--to", "base").code == 0
    assert cli("migrate", "--check").code == 1


@pytest.mark.mission("B6")
def test_a_downgrade_that_would_drop_events_is_refused(invoice: CommandLine) -> None:
    answer = invoice("migrate", "--to", "base")
    assert answer.code == 2
    assert "would drop events" in answer.err
    assert len(invoice("events", EXECUTION, "--json").out.splitlines()) == 4


def test_events_lists_what_was_stored(invoice: CommandLine) -> None:
    answer = invoice("events", EXECUTION, "--json")
    listed = [json.loads(line) for line in answer.out.splitlines()]
    assert [row["event_type"] for row in listed] == [
        "WorkflowCreated",
        "WorkflowStarted",
        "TokensUpdated",
        "WorkflowCompleted",
    ]
    assert listed[2]["cost_usd"] == "0.003800000000"
    assert "TokensUpdated" in invoice("events", EXECUTION).out


@pytest.mark.mission("A15")
def test_replay_shows_the_state_as_of_an_event_or_an_instant(invoice: CommandLine) -> None:
    assert invoice("replay", EXECUTION, "--json").data["status"] == "completed"
    assert invoice("replay", EXECUTION, "--as-of", "2", "--json").data["status"] == "running"
    before = invoice("replay", EXECUTION, "--as-of", "2025-01-07T08:59:59Z", "--json").data
    assert before["last_sequence"] == 0
    assert "completed" in invoice("replay", EXECUTION).out


def test_replay_diff_names_what_changed(invoice: CommandLine) -> None:
    changed = {item["path"]: item for item in invoice("replay", EXECUTION, "--diff", "2", "4", "--json").data}
    assert (changed["status"]["before"], changed["status"]["after"]) == ("running", "completed")


def test_verify_answers_yes(invoice: CommandLine) -> None:
    answer = invoice("verify", "--json")
    assert answer.code == 0
    assert answer.data == {"ok": True, "events": 4, "resumed_events": 0, "problems": [], "removed": []}


def test_verify_answers_no_and_names_the_event_that_was_changed(invoice: CommandLine) -> None:
    altered = invoice("events", EXECUTION, "--json").out.splitlines()[2]
    event_id = json.loads(altered)["event_id"]
    tamper = (
        "SET session_replication_role = replica; "
        "ALTER TABLE workflow_events DISABLE TRIGGER USER; "
        f"UPDATE workflow_events SET input_tokens = 1 WHERE event_id = '{event_id}'; "
        "ALTER TABLE workflow_events ENABLE ALWAYS TRIGGER workflow_events_append_only"
    )
    assert invoice("psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", tamper).code == 0
    answer = invoice("verify", "--json")
    assert answer.code == 1
    assert [problem["event_id"] for problem in answer.data["problems"]] == [event_id]


def test_export_and_import_are_a_round_trip(
    invoice: CommandLine, make_ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exported = tmp_path / "all.jsonl"
    assert invoice("export", "jsonl", "--output", exported).code == 0
    printed = invoice("export", "jsonl")
    assert printed.out == exported.read_text(), printed
    monkeypatch.setenv("LEDGER_DATABASE_URL", make_ledger())
    assert invoice("import", "jsonl", exported, "--json").data[0]["new_events"] == 4
    ours = {"recorded_at", "week", "epoch", "tx", "leaf", "hash"}
    again = [json.loads(line) for line in invoice("export", "jsonl").out.splitlines()]
    first = [json.loads(line) for line in exported.read_text().splitlines()]
    assert [{k: v for k, v in row.items() if k not in ours} for row in again] == [
        {k: v for k, v in row.items() if k not in ours} for row in first
    ]


def test_a_failed_export_leaves_the_file_as_it_was(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("before")
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert cli("export", "jsonl", "--output", target).code == 2
    assert target.read_text() == "before"
    assert list(tmp_path.glob(".out*")) == []


def test_psql_finds_the_tables_and_prints_only_psqls_output(invoice: CommandLine) -> None:
    answer = invoice("psql", "-Atc", "SELECT count(*) FROM workflow_events")
    assert (answer.code, answer.out, answer.err) == (0, "4\n", "")


def test_psql_gives_its_own_exit_code(cli: CommandLine) -> None:
    assert cli("psql", "-c", "SELECT no_such_column").code == 1


def test_prices_cost_explains_a_call(cli: CommandLine) -> None:
    answer = cli(
        "prices", "cost", "--model", "gpt-4o", "--provider", "openai", "--input", 1200, "--output", 80, "--json"
    )
    assert answer.code == 0
    assert answer.data["status"] == "priced"
    parts = [Decimal(part["cost_usd"]) for part in answer.data["components"]]
    assert Decimal(answer.data["total_cost_usd"]) == sum(parts) > 0


@pytest.mark.mission("A13")
def test_prices_cost_of_an_unknown_model_is_an_estimate_and_no_cost(cli: CommandLine) -> None:
    answer = cli("prices", "cost", "--model", "no-such-model", "--input", 100, "--output", 0, "--json")
    assert answer.data["status"] == "unpriced"
    assert answer.data["total_cost_usd"] is None
    assert Decimal(answer.data["estimated_cost_usd"]) == Decimal(1)


@pytest.mark.mission("A12")
def test_a_price_is_set_and_withdrawn_without_a_deployment(cli: CommandLine) -> None:
    start = "2025-01-01T00:00:00Z"
    decided = ("--valid-from", start, "--reason", "our contract", "--operator", "ada")
    rates = ("--rate", "input=1.25", "--rate", "output=5")
    answer = cli("prices", "set", "--provider", "acme", "--model", "in-house", *rates, *decided)
    assert answer.out.splitlines()[0] == "acme/in-house input: 1.25 USD per million from 2025-01-01 00:00:00 UTC on"
    call = ("prices", "cost", "--model", "in-house", "--input", 10**6, "--output", 0, "--json")
    assert cli(*call).data["total_cost_usd"] == "1.25"
    assert cli(*call, "--known-at", "2025-06-01T00:00:00Z").data["status"] == "unpriced"
    (listed, _) = cli("prices", "list", "--provider", "acme", "--json").data
    assert (listed["source"], listed["operator_id"], listed["reason"]) == ("admin", "ada", "our contract")
    assert cli("prices", "withdraw", "--provider", "acme", "--model", "in-house", *decided).code == 0
    assert cli(*call).data["status"] == "unpriced"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--rate", "input=cheap"), "'cheap' is no number"),
        (("--rate", "input"), "'input' names no rate"),
        (("--rate", "input=1", "--rate", "input=2"), "twice"),
        (("--rate", "input=-1"), "is no price"),
        (("--rate", "inputs=1"), "allowed: input, cache_read"),
    ],
)
def test_a_rate_that_is_none_is_refused(cli: CommandLine, wrong: tuple[str, ...], message: str) -> None:
    answer = cli("prices", "set", "--provider", "acme", "--model", "m", "--reason", "r", "--operator", "o", *wrong)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_prices_list_filters(cli: CommandLine) -> None:
    prices = cli("prices", "list", "--provider", "openai", "--model", "gpt-4o", "--json").data
    assert prices
    assert {price["provider"] for price in prices} == {"openai"}
    assert {price["model"] for price in prices} == {"gpt-4o"}
    assert "gpt-4o" in cli("prices", "list", "--model", "gpt-4o", "--at", "2025-01-07T00:00:00Z").out


@pytest.mark.mission("A14")
def test_a_second_price_sync_changes_nothing(cli: CommandLine) -> None:
    cli("prices", "sync", "--json")
    answer = cli("prices", "sync", "--json")
    assert answer.code == 0
    assert [source["status"] for source in answer.data["sources"]] == ["unchanged"]


def test_checkpoint_closes_what_is_new_once(invoice: CommandLine) -> None:
    assert invoice("checkpoint", "--json").data["events"] == 4
    assert "nothing new" in invoice("checkpoint").out


def test_adopt_opens_a_new_epoch(invoice: CommandLine) -> None:
    before = invoice("adopt", "--json").data
    after = invoice("adopt", "--clone", "--json").data
    assert after["epoch"] == before["epoch"] + 1
    assert after["instance_id"] != before["instance_id"]
    assert len(invoice("events", EXECUTION, "--json").out.splitlines()) == 4


@pytest.mark.mission("A5")
def test_roll_moves_what_is_old_and_says_so_before(invoice: CommandLine) -> None:
    planned = invoice("roll", "--now", "2025-06-01T00:00:00Z", "--dry-run", "--json").data
    assert [week["week"] for week in planned] == ["2025-01-06"]
    assert invoice("psql", "-Atc", "SELECT count(*) FROM workflow_events").out == "4\n"
    rolled = invoice("roll", "--now", "2025-06-01T00:00:00Z", "--json").data
    assert [week["events"] for week in rolled] == [4]
    assert invoice("psql", "-Atc", "SELECT count(*) FROM workflow_events").out == "0\n"
    assert invoice("replay", EXECUTION, "--json").data["status"] == "completed"
    assert invoice("verify").code == 0


@pytest.mark.mission("C5")
def test_prune_takes_what_is_cold_and_in_the_marts_and_replays_it_still(
    invoice: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "LEDGER_PRUNE_AFTER_DAYS" in invoice("prune", "--dry-run").err
    invoice("daily", "--now", "2025-06-01T00:00:00Z")
    assert invoice("prune", "--after-days", "365", "--now", "2025-06-01T00:00:00Z", "--json").data["executions"] == 0
    monkeypatch.setenv("LEDGER_PRUNE_AFTER_DAYS", "90")
    assert invoice("prune", "--now", "2025-06-01T00:00:00Z", "--dry-run").out == "1 executions would be pruned\n"
    state = invoice("replay", EXECUTION, "--json").data
    invoice("daily", "--now", "2025-06-01T00:00:00Z")
    assert invoice("psql", "-Atc", "SELECT count(*) FROM workflow_executions").out == "0\n"
    assert invoice("replay", EXECUTION, "--json").data == state
    assert len(invoice("events", EXECUTION, "--json").out.splitlines()) == 4
    assert invoice("sql", "SELECT status FROM marts.executions", "--format", "csv").out == "status\ncompleted\n"
    assert invoice("verify").code == 0


def test_keep_days_takes_the_place_of_the_setting(invoice: CommandLine) -> None:
    now = "2025-01-20T00:00:00Z"
    assert invoice("roll", "--now", now, "--dry-run", "--json").data == []
    assert len(invoice("roll", "--now", now, "--keep-days", "7", "--dry-run", "--json").data) == 1


def test_files_that_no_week_names_are_found_and_removed(invoice: CommandLine, tmp_path: Path) -> None:
    invoice("roll", "--now", "2025-06-01T00:00:00Z")
    archived = next((tmp_path / "home" / "cold").rglob("*.parquet"))
    stray = archived.with_name("stray.parquet")
    stray.write_bytes(archived.read_bytes())
    assert len(invoice("roll", "--orphans", "--json").data) == 1
    assert stray.exists()
    invoice("roll", "--orphans", "--remove")
    assert not stray.exists()
    assert archived.exists()


def test_a_rolled_week_is_restored_for_a_look_and_dropped(invoice: CommandLine) -> None:
    assert invoice("restore", "--json").data == []
    (rolled,) = invoice("roll", "--now", "2025-06-01T00:00:00Z", "--json").data
    (restored,) = invoice("restore", "--week", rolled["week"], "--json").data
    assert restored["events"] == rolled["events"] == 4
    counted = invoice("psql", "-Atc", f"SELECT count(*), min(week) FROM {restored['table']}").out
    assert counted == f"4|{rolled['week']}\n"
    assert invoice("restore", "--json").data == [rolled["week"]]
    again = invoice("restore", "--week", rolled["week"])
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "is restored already" in again.err
    assert invoice("restore", "--week", rolled["week"], "--drop").out == "1 copies dropped\n"
    for wrong in (("--week", "2024-12-30"), ("--week", "2025-01-01"), ("--week", "yesterday"), ("--drop",)):
        refused = invoice("restore", *wrong)
        assert refused.code == 2
        assert "week" in refused.err
    assert invoice("restore").out == "no week is restored\n"


def test_a_simulation_is_the_same_for_the_same_seed(cli: CommandLine) -> None:
    arguments = ("simulate", "--executions", 12, "--days", 5, "--seed", 3, "--now", "2025-03-01T00:00:00Z", "--json")
    first = cli(*arguments).data
    assert first["new_events"] == first["events"] > 100
    assert cli(*arguments).data == first | {"new_events": 0}


@pytest.mark.slow
def test_sql_and_report_answer_from_the_marts(invoice: CommandLine) -> None:
    # A process of its own: Dagster's imports warn, and warnings are errors here.
    daily = [sys.executable, "-m", "ledger_pipeline", "daily", "--now", "2025-06-01T00:00:00Z", "--json"]
    done = subprocess.run(daily, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]
    query = "SELECT model, input_tokens, cost_usd, mode, priced FROM marts.model_usage"
    assert invoice("sql", query, "--format", "json").data == [
        {"model": "gpt-4o", "input_tokens": 1200, "cost_usd": "0.003800000000", "mode": None, "priced": True}
    ]
    read = list(csv.reader(io.StringIO(invoice("sql", query, "--format", "csv").out)))
    assert read == [
        ["model", "input_tokens", "cost_usd", "mode", "priced"],
        ["gpt-4o", "1200", "0.003800000000", "", "true"],
    ]
    assert "gpt-4o" in invoice("sql", query).out
    report = invoice("report", "--by", "month", "--by", "model", "--json").data
    assert [(line["month"], line["model"], line["cost_usd"]) for line in report] == [
        ("2025-01", "gpt-4o", "0.003800000000")
    ]
    assert "0.00" in invoice("report").out
    for forbidden in ("COPY (SELECT 1) TO '/tmp/x.csv'", "SELECT * FROM read_text('/etc/hostname')", "SELEC 1"):
        answer = invoice("sql", forbidden)
        assert answer.code == 2
        assert answer.err.count("\n") == 1


def test_sql_without_marts_says_how_to_build_them(cli: CommandLine) -> None:
    answer = cli("sql", "SELECT 1")
    assert answer.code == 2
    assert "ledger-pipeline daily" in answer.err
