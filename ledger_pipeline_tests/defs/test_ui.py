"""The Dagster UI in a real browser: the asset graph, a run of `daily` started there, its success, its metadata."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline_tests.browser import end, free_port, shown, wait_for
from ledger_pipeline_tests.defs.small_ledger import AGES_IN_DAYS, EVENTS_OF_EACH, fill

pytestmark = pytest.mark.slow

RUN_SECONDS = 300
LOCATION = "/locations/ledger_pipeline"
GROUPS = {
    "hot_store": {"workflow_events", "price_sources", "model_prices", "execution_snapshots"},
    "cold_store": {"due_weeks", "event_archive", "signed_notes"},
    "mart_facts": {name for name, mart in marts().items() if mart.kind == "fact"},
    "mart_aggregates": {name for name, mart in marts().items() if mart.kind == "aggregate"},
    "mart_audit": {name for name, mart in marts().items() if mart.kind == "audit"},
}


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
