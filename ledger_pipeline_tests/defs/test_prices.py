"""The daily price sync on sources that fail: the old prices stay, a check says why, and the day's run goes on."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.prices import every_source_is_fresh, model_prices, sources_agree
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.pricing.sources import fetch
from ledger_pipeline_tests.pricing.sources.conftest import HASTE, SAMPLES
from ledger_pipeline_tests.pricing.sources.web_server import Answer, WebServer, web_server

pytestmark = [pytest.mark.mission("A14"), pytest.mark.slow]

SOURCES = ("litellm", "models.dev", "openrouter")


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def servers(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, WebServer]]:
    """A server for each source that is read over HTTP, with its sample; the settings name them all."""
    with ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(fetch, "Patience", lambda: HASTE)
        running = {name: stack.enter_context(web_server()) for name in SOURCES}
        for name, server in running.items():
            server.serve(Answer((SAMPLES / f"{name}.json").read_bytes(), etag=f'"{name}-1"'))
        named = ",".join(f"{name}={server.url}" for name, server in running.items())
        patched.setenv("LEDGER_PRICE_SOURCES", f"genai-prices,{named}")
        patched.setenv("LEDGER_HOME", str(tmp_path_factory.mktemp("home")))
        patched.setenv("LEDGER_DATABASE_URL", module_ledger_url)
        yield running


@pytest.fixture(scope="module")
def first_day(servers: dict[str, WebServer], now: datetime) -> "Day":
    """The day on which every source answered."""
    return Day(now)


@pytest.fixture
def litellm(servers: dict[str, WebServer], first_day: "Day") -> Iterator[WebServer]:
    """The server of one of them, which a test lets fail."""
    yield servers["litellm"]
    servers["litellm"].serve(Answer((SAMPLES / "litellm.json").read_bytes(), etag='"litellm-1"'))


@pytest.fixture
def connection(module_ledger_url: str) -> Iterator[Connection]:
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


class Day:
    """What a run of the prices and their checks showed."""

    def __init__(self, now: datetime) -> None:
        result = dg.materialize(
            [model_prices, every_source_is_fresh, sources_agree],
            resources={"ledger": LedgerResource()},
            tags={NOW_TAG: now.isoformat()},
        )
        assert result.success
        self.checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
        (made,) = result.get_asset_materialization_events()
        self.metadata = made.materialization.metadata

    @property
    def failed(self) -> set[str]:
        return {name for name, check in self.checks.items() if not check.passed}

    def said(self, check: str) -> str:
        return json.dumps({name: str(value.value) for name, value in self.checks[check].metadata.items()})


def booked(connection: Connection) -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT source, count(*) AS n FROM current_model_pricing WHERE source <> 'genai-prices' GROUP BY 1 ORDER BY 1"
    ).fetchall()


def test_every_source_is_booked_and_what_changed_is_a_table(first_day: Day, connection: Connection) -> None:
    assert [row["source"] for row in booked(connection)] == ["litellm", "models.dev", "openrouter"]
    assert first_day.failed == set()
    assert "openrouter-1" in str(first_day.metadata["sources"].value)
    assert "| new |" in str(first_day.metadata["changes"].value)


def million_rows() -> bytes:
    row = b'"m%07d": {"litellm_provider": "acme", "input_cost_per_token": 1e-06},'
    return b"{" + b"".join(row % number for number in range(10_000)) + b'"": {}}'


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(b"late", before=0.5), "did not answer in time"),
        (Answer(status=500), "answered 500"),
        (Answer(b"<!DOCTYPE html>"), "is no JSON"),
        (Answer((SAMPLES / "litellm.json").read_bytes()[:-30]), "is no JSON"),
        (Answer((SAMPLES / "litellm.json").read_bytes().replace(b"_per_token", b"_a_token")), "format changed"),
        (Answer(million_rows()), "more than 200,000 bytes"),
    ],
    ids=["late", "500", "html", "truncated", "renamed", "huge"],
)
def test_a_source_that_fails_leaves_its_prices_and_the_run_goes_on(
    litellm: WebServer, now: datetime, connection: Connection, answer: Answer, message: str
) -> None:
    before = booked(connection)
    litellm.serve(answer)
    day = Day(now + timedelta(days=1))
    assert booked(connection) == before
    assert "every_source_answers" in day.failed
    assert message in day.said("every_source_answers")
    assert "| openrouter | openrouter-1 | unchanged |" in str(day.metadata["sources"].value)


def sample_with(**changes: object) -> bytes:
    document = json.loads((SAMPLES / "litellm.json").read_text())
    document["gpt-4o"] |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("rate", "check", "message"),
    [
        (-1e-06, "every_listed_price_is_one", "is no price"),
        (float("nan"), "every_listed_price_is_one", "NaN"),
        ("cheap", "every_listed_price_is_one", "expected a number"),
        (0, "no_price_jumps", "input: 2.5 -> 0"),
        (2.6e-05, "no_price_jumps", "input: 2.5 -> 26"),
    ],
)
def test_a_price_that_is_none_or_jumps_is_named_and_not_booked(
    litellm: WebServer, now: datetime, connection: Connection, rate: object, check: str, message: str
) -> None:
    before = booked(connection)
    litellm.serve(sample_with(input_cost_per_token=rate))
    day = Day(now + timedelta(days=1))
    assert check in day.failed
    assert message in day.said(check)
    assert booked(connection) == before


def test_a_source_that_was_not_read_well_for_days_is_stale_and_two_that_differ_are_listed(
    litellm: WebServer, now: datetime
) -> None:
    litellm.serve(sample_with(input_cost_per_token=3e-06))
    day = Day(now + timedelta(days=2))
    assert "every_source_is_fresh" not in day.failed
    assert "| openai | gpt-4o | input | 0 | standard | genai-prices | 2.5 | litellm | gpt-4o | 3 |" in str(
        day.checks["sources_agree"].metadata["rates"].value
    )
    litellm.serve(Answer(status=404))
    day = Day(now + timedelta(days=6))
    assert "every_source_is_fresh" in day.failed
    assert day.said("every_source_is_fresh").count("stale |") == 1
