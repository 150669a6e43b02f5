"""Dagster's processes (code server, web server, daemon), started together and ended together."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ledger_pipeline.errors import InvalidInput, LedgerError

HOST = "127.0.0.1"
MODULE = "ledger_pipeline.definitions"
LOCATION = "ledger_pipeline"
START_SECONDS = 180
STOP_SECONDS = 15

Services = Mapping[str, "subprocess.Popen[bytes]"]

WORKSPACE = """\
load_from:
  - grpc_server:
      socket: {socket}
      location_name: {location}
"""


def check_port(port: int) -> None:
    """Raises InvalidInput when somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InvalidInput(
                f"port {port} of {HOST} can't be used ({error.strerror}): choose another, such as --port {port + 1}"
            ) from None


@contextmanager
def running_services(port: int, folder: Path, environment: Mapping[str, str]) -> Generator[Services]:
    """Dagster's processes, up and answering; ended, in order, when the block is left.

    `folder`, short and private, takes the socket between them; `environment` is added to this process's own.
    """
    code_socket = folder / "code.sock"
    workspace = folder / "workspace.yaml"
    workspace.write_text(WORKSPACE.format(socket=code_socket, location=LOCATION), encoding="utf-8")
    services: dict[str, subprocess.Popen[bytes]] = {}

    def start(name: str, *arguments: str) -> None:
        # A group of its own each: Ctrl-C reaches only this process, which ends them in order.
        services[name] = subprocess.Popen(
            [*_dies_with_parent(), sys.executable, "-m", *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    try:
        start(
            "code server",
            *("dagster", "code-server", "start", "--module-name", MODULE, "--location-name", LOCATION),
            *("--socket", str(code_socket), "--log-level", "warning"),
        )
        _wait_for(services, code_socket)
        # The options of both come before what they serve.
        start(
            "web server",
            *("dagster_webserver", "--host", HOST, "--port", str(port), "--workspace", str(workspace)),
            *("--code-server-log-level", "warning", "--dagster-log-level", "warning"),
        )
        start("daemon", "dagster._daemon", "run", "--workspace", str(workspace), "--log-level", "warning")
        _wait_for(services, (HOST, port))
        yield services
    finally:
        _stop(services)


def watch(services: Services) -> None:
    """Waits for ever; raises LedgerError when one of the processes ends."""
    while True:
        _check(services)
        time.sleep(0.5)


def _check(services: Services) -> None:
    for name, service in services.items():
        code = service.poll()
        if code is not None:
            raise LedgerError(f"Dagster's {name} ended with code {code}: its last lines above say why")


def _wait_for(services: Services, address: Path | tuple[str, int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(address):
        _check(services)
        if time.monotonic() > deadline:
            raise LedgerError(f"Dagster did not answer within {START_SECONDS} s")
        time.sleep(0.1)


def _answers(address: Path | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(address) if isinstance(address, Path) else address)
        except OSError:
            return False
    return True


def _stop(services: Services) -> None:
    """Ends the processes, the last started first, and whatever they started."""
    for service in reversed(list(services.values())):
        service.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for service in reversed(list(services.values())):
        with suppress(subprocess.TimeoutExpired):
            service.wait(max(0.1, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()


def _dies_with_parent() -> tuple[str, ...]:
    """A prefix that ends a program when this process is killed outright; empty where the system has none."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()
