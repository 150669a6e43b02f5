"""The Dagster UI in a real browser: the asset graph, a run of `daily` started there, its success, an asset's metadata.

Screenshots go to `LEDGER_SCREENSHOTS`, by default the test's own folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline_tests.defs.small_ledger import AGES_IN_DAYS, EVENTS_OF_EACH, fill

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 300
PAGE_SECONDS = 90
RUN_SECONDS = 300
STOP_SECONDS = 90

LOCATION = "/locations/ledger_pipeline"
GROUPS = {
    "hot_store": {"workflow_events", "price_sources", "model_prices", "execution_snapshots"},
    "cold_store": {"due_weeks", "event_archive", "signed_notes"},
    "mart_facts": {name for name, mart in marts().items() if mart.kind == "fact"},
    "mart_aggregates": {name for name, mart in marts().items() if mart.kind == "aggregate"},
    "mart_audit": {name for name, mart in marts().items() if mart.kind == "audit"},
}


@pytest.fixture
def browser_program() -> str:
    """The path of an installed browser; skips, saying what to install, where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser among {', '.join(BROWSERS)} (Debian: apt install chromium)")
    return found


@pytest.fixture
def ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Dagster UI that `ledger-pipeline up` serves, on a small embedded ledger of its own."""
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LEDGER_DATABASE_URL", raising=False)
    with Ledger.open() as ledger:
        fill(ledger, datetime.now(UTC))
    port = free_port()
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger_pipeline", "up", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/server_info", process, log)
        yield address
    finally:
        end(process)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once the URL answers; fails with the log when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the UI did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks `up` to end, and ends by force what is left of its group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def page(browser_program: str) -> Iterator[Page]:
    """A page of a headless browser, big enough for the asset graph."""
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=arguments)
        opened = browser.new_page(viewport={"width": 3200, "height": 2000})
        opened.set_default_timeout(PAGE_SECONDS * 1000)
        opened.set_default_navigation_timeout(PAGE_SECONDS * 1000)
        expect.set_options(timeout=PAGE_SECONDS * 1000)
        yield opened
        browser.close()


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder that screenshots are written to."""
    folder = Path(os.environ.get("LEDGER_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(page: Page, text: str, seconds: float = PAGE_SECONDS) -> None:
    """Waits until the page shows exactly this text somewhere."""
    expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=seconds * 1000)


def test_daily_is_run_and_looked_at_in_a_browser(page: Page, ui: str, screenshots: Path) -> None:
    for group, assets in GROUPS.items():
        page.goto(f"{ui}{LOCATION}/asset-groups/{group}")
        for asset in sorted(assets):
            shown(page, asset)
        page.screenshot(path=screenshots / f"graph-{group}.png")

    page.goto(f"{ui}{LOCATION}/jobs/daily")
    page.get_by_role("button", name="Materialize all").click()
    expect(page.get_by_text("Launched run").first).to_be_visible()
    page.screenshot(path=screenshots / "job.png")

    page.goto(f"{ui}/runs")
    page.locator("a[href^='/runs/']").first.click()
    shown(page, "Success", RUN_SECONDS)
    page.screenshot(path=screenshots / "run.png")

    usages = len(AGES_IN_DAYS) * (EVENTS_OF_EACH - 5)
    page.goto(f"{ui}/assets/marts/model_usage")
    shown(page, "Row count")
    shown(page, str(usages))
    shown(page, marts()["model_usage"].columns[0].description)
    page.screenshot(path=screenshots / "asset.png")

    page.goto(f"{ui}/assets/marts/model_usage?view=events")
    expect(page.locator("tr", has_text="dagster/row_count").first).to_contain_text(str(usages))
    shown(page, "cost by month")
    page.screenshot(path=screenshots / "asset-events.png")

    page.goto(f"{ui}/assets/marts/reconciliation?view=checks")
    shown(page, "marts_reconcile_to_the_events")
    shown(page, "Passed")
    page.screenshot(path=screenshots / "checks.png")

    page.goto(f"{ui}/assets/event_archive?view=partitions")
    page.wait_for_timeout(3_000)
    page.screenshot(path=screenshots / "archive.png")
