"""`api`: tokens are made, listed and removed; the server comes up on loopback, answers, and ends without a trace."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cli import CommandLine, running
from ledger_pipeline_tests.test_cli_up import free_port

pytestmark = pytest.mark.mission("C4")

USER = "01941f29-7c00-7585-b970-10875c90d530"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    return CommandLine(capfd)


def test_a_token_is_printed_once_and_listed_without_it(command: CommandLine) -> None:
    made = command("api", "token", "add", "--name", "ann", "--user", USER, "--expires", "2099-01-01T00:00:00+01:00")
    assert (made.code, made.err) == (0, f"token ann, for {USER}; it is shown this once:\n")
    assert made.out.startswith("ledger_")
    assert command("api", "token", "add", "--name", "job", "--service").code == 0
    listed = command("api", "token", "list", "--json")
    assert [(token["name"], token["acts_for"], token["expires_at"]) for token in listed.data] == [
        ("ann", USER, "2098-12-31T23:00:00Z"),
        ("job", "service", None),
    ]
    assert made.out.strip() not in listed.out + command("api", "token", "list").out
    assert command("api", "token", "remove", "ann").out == "token ann is removed\n"
    assert [token["name"] for token in command("api", "token", "list", "--json").data] == ["job"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "x"], "give either --user ID or --service"),
        (["--name", "x", "--service", "--user", USER], "give either --user ID or --service"),
        (["--service"], "Missing option '--name'"),
        (["--name", "a b", "--service"], "name: is 'a b'"),
        (["--name", "x", "--user", "me"], "'me' is not a valid UUID"),
        (["--name", "x", "--service", "--expires", "2020-01-01T00:00:00Z"], "expires: is 2020-01-01"),
        (["--name", "x", "--service", "--expires", "2099-01-01"], "has no time zone"),
    ],
)
def test_a_token_that_cannot_be_is_refused(command: CommandLine, arguments: list[str], message: str) -> None:
    refused = command("api", "token", "add", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert message in refused.err
    assert command("api", "token", "list", "--json").data == []


def test_an_unknown_token_cannot_be_removed(command: CommandLine) -> None:
    refused = command("api", "token", "remove", "ghost")
    assert refused.code == 2
    assert "no token is called 'ghost'" in refused.err


def test_the_file_of_tokens_is_where_the_setting_says(
    command: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_API_TOKENS_FILE", str(tmp_path / "elsewhere" / "tokens.json"))
    assert command("api", "token", "add", "--name", "job", "--service").code == 0
    assert (tmp_path / "elsewhere" / "tokens.json").exists()
    assert not (tmp_path / "home").exists()


def test_the_api_does_not_start_without_a_token(command: CommandLine, tmp_path: Path) -> None:
    refused = command("api", "serve")
    assert (refused.code, refused.out) == (2, "")
    assert (
        "holds no token that counts, so nobody could ask: make one with `ledger-pipeline api token add" in refused.err
    )
    assert not (tmp_path / "home" / "postgres").exists()


@pytest.fixture
def environment(tmp_path: Path, ledger_url: str) -> dict[str, str]:
    """The environment of a process on a ledger with the seeded scenarios."""
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(ledger_url))
    with Ledger.open(settings) as ledger:
        ledger.seed(datetime.now(UTC))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    return kept | {"LEDGER_HOME": str(tmp_path / "home"), "LEDGER_DATABASE_URL": ledger_url}


def ran(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ledger_pipeline", "api", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def token(environment: dict[str, str]) -> str:
    return ran(environment, "token", "add", "--name", "job", "--service")


@pytest.fixture
def process(
    request: pytest.FixtureRequest, environment: dict[str, str], token: str, port: int, tmp_path: Path
) -> Iterator["subprocess.Popen[str]"]:
    """A running `api serve`; a test's parameter gives more arguments."""
    assert token
    arguments = ["api", "serve", "--port", str(port), *getattr(request, "param", [])]
    with running(arguments, environment, f":{port}/api", tmp_path) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_api_answers_until_it_is_ended_and_logs_no_token(
    environment: dict[str, str], process: "subprocess.Popen[str]", port: int, token: str, ending: signal.Signals
) -> None:
    url = f"http://127.0.0.1:{port}/api/workflow?type=executions"
    with httpx2.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60) as client:
        assert len(client.get(url).json()["items"]) == 3
        assert client.get(f"{url}&cursor={token}").status_code == 400
        ran(environment, "token", "remove", "job")
        assert client.get(f"{url}&access_token={token}").status_code == 401
    process.send_signal(ending)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert [line.split(" INFO ")[1].partition(",")[0] for line in errors.split("\n") if line] == [
        "GET /api/workflow: 200",
        "GET /api/workflow: 400",
        "GET /api/workflow: 401",
    ]
    assert token not in errors


@pytest.mark.slow
@pytest.mark.parametrize("process", [["--host", "0.0.0.0"]], indirect=True)
def test_whoever_opens_it_to_others_is_warned(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert "warning: tokens and answers travel unencrypted: let a proxy with TLS stand before this address" in errors


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused_in_words(
    environment: dict[str, str], process: "subprocess.Popen[str]", port: int
) -> None:
    assert process.poll() is None
    second = subprocess.run(
        [sys.executable, "-m", "ledger_pipeline", "api", "serve", "--port", str(port)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (second.returncode, second.stdout) == (2, "")
    assert f"port {port} of 127.0.0.1 can't be used (Address already in use" in second.stderr
