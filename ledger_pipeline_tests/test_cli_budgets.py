"""Budgets on the command line."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger_pipeline import Ledger, events
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


def test_a_budget_is_set_judged_listed_and_removed(cli: CommandLine) -> None:
    options = ("--workflow", "deploy", "--period", "year", "--tokens", "100", "--thresholds", "50,100")
    made = cli("budgets", "set", *options, "--reason", "too much", "--json").data
    assert (made["scope"], made["limit_tokens"], made["thresholds"]) == ("workflow", 100, [50, 100])
    assert cli("budgets", "set", *options).out.strip() == f"{made['id']} limits workflow deploy by year"
    assert cli("budgets", "judge").out.strip() == "1 budgets judged, 0 breaches recorded"
    now = datetime.now(UTC)
    with Ledger.open() as ledger:
        told = [
            events.WorkflowCreated(occurred_at=now, workflow_name="deploy"),
            events.TokensUpdated(occurred_at=now, model_call_id="the-call", model="gpt-4o", input_tokens=60),
        ]
        ledger.append(uuid.uuid4(), told)
    judged = cli("budgets", "judge")
    assert "1 budgets judged, 1 breaches recorded" in judged.out
    assert "the-call" in judged.out
    assert cli("budgets", "judge", "--json").data == {"budgets": 1, "breaches": []}
    (listed,) = cli("budgets", "list", "--json").data
    assert (listed["last_period"], listed["total_tokens"]) == (f"{now:%Y}", 60)
    assert made["id"] in cli("budgets", "list").out
    assert cli("budgets", "remove", made["id"]).out.strip() == f"{made['id']} is removed"
    assert cli("budgets", "list", "--json").data == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "--workflow", "w", "--period", "month"), "limit_usd: is missing, and limit_tokens too"),
        (("set", "--workflow", "w", "--period", "month", "--usd", "ten"), "limit_usd: is 'ten'"),
        (("set", "--workflow", "w", "--period", "month", "--usd", "-1"), "limit_usd: is '-1'"),
        (("set", "--workflow", "w", "--period", "month", "--usd", "0"), "allowed: more than 0"),
        (("set", "--workflow", "w", "--period", "month", "--tokens", "0"), "limit_tokens: is 0; allowed"),
        (("set", "--workflow", "w", "--period", "aeon", "--usd", "1"), "period: 'aeon' is not known; allowed: day"),
        (("set", "--workflow", "w", "--usd", "1"), "--period"),
        (("set", "--period", "day", "--usd", "1"), "workflow_name: 0 of workflow_name, agent_id, customer_id"),
        (("set", "--customer", str(uuid.UUID(int=7)), "--period", "day", "--usd", "1"), "customer_id: customer "),
        (("set", "--agent", str(uuid.UUID(int=7)), "--period", "day", "--usd", "1"), "agent_id: agent "),
        (("set", "--agent", "x", "--period", "day", "--usd", "1"), "is not a valid UUID"),
        (
            ("set", "--workflow", "w", "--period", "day", "--usd", "1", "--thresholds", "all"),
            "no list of whole percents",
        ),
        (("set", "--workflow", "w", "--period", "day", "--usd", "1", "--thresholds", "0"), "thresholds: 0 is none"),
        (("list", "--limit", "0"), "limit: must be a whole number from 1 to 1000"),
        (("remove", str(uuid.UUID(int=7))), "does not exist, or you may not remove it"),
    ],
)
def test_wrong_use_is_one_line(cli: CommandLine, arguments: tuple[str, ...], says: str) -> None:
    answer = cli("budgets", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert "Traceback" not in answer.err
    assert cli("budgets", "list", "--json").data == []
