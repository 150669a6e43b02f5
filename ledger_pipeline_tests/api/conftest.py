"""Whoever asks the API that a module serves."""

import httpx2
import pytest

from ledger_pipeline_tests.api.serving import Served


@pytest.fixture(scope="module")
def service(served: Served) -> httpx2.Client:
    """Asks with a token of the service."""
    return served.holder("service")
