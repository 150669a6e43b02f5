"""An S3 server on this machine, a ledger's settings for it, and a wire to it that can be cut.

The server is moto's, in a process of its own; it ends with the tests.
"""

import http.client
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ledger_pipeline.cold import object_store
from ledger_pipeline.settings import Bucket, Settings

SECRETS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY"}
_SERVER = """
import os
os.environ["S3_UPLOAD_PART_MIN_SIZE"] = "1"
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 server that all tests share, each in a bucket of its own."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        assert port, "moto's server doesn't start"
        yield f"http://127.0.0.1:{port}"
        server.kill()


@pytest.fixture
def use_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Points this process, and those that it starts, to an S3 server; nothing of the machine's AWS settings counts."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")

    def use(endpoint: str) -> None:
        forget_client()
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    yield use
    forget_client()


def forget_client() -> None:
    """The next request reads the environment anew."""
    if object_store.client.cache_info().currsize:
        object_store.client().close()
    object_store.client.cache_clear()


@pytest.fixture
def bucket(s3_endpoint: str, use_endpoint: Callable[[str], None], tmp_path: Path) -> Bucket:
    """An empty bucket's part, and a folder for copies."""
    use_endpoint(s3_endpoint)
    name = f"ledger-{uuid.uuid4().hex[:12]}"
    object_store.client().create_bucket(Bucket=name)
    return Bucket(name, "of/the/team", tmp_path / "home" / "cache" / "cold")


@pytest.fixture
def s3_settings(bucket: Bucket, tmp_path: Path) -> Settings:
    """Settings of a ledger whose cold store is a bucket's part."""
    settings = Settings(home=tmp_path / "home", cold_url=str(bucket))
    assert settings.cold_dir == bucket
    return settings


Hook = Callable[[str, str], None]
"""Is told a request's method and path; raises Cut to end the connection there."""


class Cut(Exception):
    """Ends a connection without an answer."""


class Wire:
    """Stands before the server and passes requests on; `before` and `after` see each, and may cut it off."""

    def __init__(self, server: str) -> None:
        self.server = server.removeprefix("http://")
        self.url = ""
        self.before: Hook = _pass
        self.after: Hook = _pass
        self.requests: list[tuple[str, str]] = []
        self.forbids = False


def _pass(method: str, path: str) -> None:
    """Lets a request go its way."""


@contextmanager
def wire_to(server: str) -> Iterator[Wire]:
    """A wire to a server, on a port of its own."""
    wire = Wire(server)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            wire.requests.append((self.command, self.path))
            self.close_connection = True
            with suppress(Cut, BrokenPipeError, ConnectionResetError):
                if wire.forbids:
                    self.send_response(403)
                    self.send_header("Connection", "close")
                    self.end_headers()
                    return
                wire.before(self.command, self.path)
                connection = http.client.HTTPConnection(wire.server)
                try:
                    connection.request(self.command, self.path, body, dict(self.headers))
                    answer = connection.getresponse()
                    content = answer.read()
                finally:
                    connection.close()
                wire.after(self.command, self.path)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", 0), Passing) as listening:
        wire.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            listening.shutdown()
            thread.join()
