"""`up`: Dagster's processes come up together and end together, and the embedded server with them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger_pipeline_tests.cli import running

START_SECONDS = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def up(tmp_path: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """A running `up` on an embedded server of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "DAGSTER_"))}
    environment |= {"LEDGER_HOME": str(tmp_path / "home")}
    with running(["up", "--port", str(port)], environment, f"http://127.0.0.1:{port}", tmp_path) as process:
        yield process


def asked(port: int, query: str) -> dict[str, object]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


@pytest.mark.slow
def test_the_ui_serves_the_job_and_everything_ends_with_it(
    up: "subprocess.Popen[str]", port: int, tmp_path: Path
) -> None:
    answer = asked(port, "{repositoriesOrError{... on RepositoryConnection{nodes{jobs{name}}}}}")
    assert '"daily"' in json.dumps(answer)
    assert "telemetry:\n  enabled: false" in (tmp_path / "home" / "dagster" / "dagster.yaml").read_text()

    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 128 + signal.SIGTERM
    assert not listens(port)
    assert not (tmp_path / "home" / "postgres" / "data" / "postmaster.pid").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a killed parent")
def test_when_it_is_killed_nothing_keeps_the_port(up: "subprocess.Popen[str]", port: int) -> None:
    up.kill()
    assert until(lambda: not listens(port), 60)
