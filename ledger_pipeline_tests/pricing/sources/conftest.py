"""A web server, and a client that does not wait long."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_pipeline.pricing.sources.fetch import Patience, Web
from ledger_pipeline_tests.pricing.sources.web_server import WebServer, web_server

SAMPLES = Path(__file__).parent / "samples"
HASTE = Patience(connect=2, read=0.3, whole=1, attempts=3, first_pause=0.001, most_bytes=200_000)


@pytest.fixture
def served() -> Iterator[WebServer]:
    """A web server of the test's own."""
    with web_server() as server:
        yield server


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that the client waited between its tries."""
    return []


@pytest.fixture
def web(tmp_path: Path, pauses: list[float]) -> Web:
    """The client under test, in haste."""
    return Web(tmp_path / "prices", HASTE, sleep=pauses.append)
