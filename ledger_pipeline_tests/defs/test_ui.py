"""The Dagster UI in a real browser: the asset graph, a run of `daily` and a backfill of a year, both started there."""

import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline_tests.browser import end, free_port, shown, wait_for
from ledger_pipeline_tests.defs.small_ledger import AGES_IN_DAYS, EVENTS_OF_EACH, execution

pytestmark = pytest.mark.slow

RUN_SECONDS, BACKFILL_SECONDS = 300, 900
WEEKS, NEWEST_DUE = 52, 100
LOCATION = "/locations/ledger_pipeline"
GROUPS = {
    "hot_store": {"workflow_events", "period_budgets", "price_sources", "model_prices", "execution_snapshots"},
    "cold_store": {"due_weeks", "event_archive", "signed_notes"},
    "mart_facts": {name for name, mart in marts().items() if mart.kind == "fact"},
    "mart_aggregates": {name for name, mart in marts().items() if mart.kind == "aggregate"},
    "mart_audit": {name for name, mart in marts().items() if mart.kind == "audit"},
}


@contextmanager
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ages_in_days: Iterable[int]) -> Generator[str]:
    """The address of a UI that `ledger-pipeline up` serves, on an embedded ledger with executions of these ages."""
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LEDGER_DATABASE_URL", raising=False)
    with Ledger.open() as ledger:
        for age in ages_in_days:
            ledger.append_many(execution(datetime.now(UTC) - timedelta(days=age)), history=True)
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


@pytest.fixture
def ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The UI on the small ledger."""
    with serving(tmp_path, monkeypatch, AGES_IN_DAYS) as address:
        yield address


@pytest.fixture
def ui_of_a_year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The UI on a ledger with an execution in each of 52 weeks that are due for the archive."""
    with serving(tmp_path, monkeypatch, [NEWEST_DUE + 7 * week for week in range(WEEKS)]) as address:
        yield address


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
    page.locator("tr", has_text="cost by month, plotted").first.get_by_text("Show").click()
    plot = page.locator("img[alt='USD by month']")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 0
    page.screenshot(path=screenshots / "asset-plot.png")

    page.goto(f"{ui}/assets/marts/reconciliation?view=checks")
    shown(page, "marts_reconcile_to_the_events")
    shown(page, "Passed")
    page.screenshot(path=screenshots / "checks.png")

    page.goto(f"{ui}/assets/event_archive?view=partitions")
    page.wait_for_timeout(3_000)
    page.screenshot(path=screenshots / "archive.png")


def test_a_year_of_weeks_is_backfilled_from_the_ui(page: Page, ui_of_a_year: str, screenshots: Path) -> None:
    last = week_of(datetime.now(UTC) - timedelta(days=NEWEST_DUE))
    first = last - timedelta(weeks=WEEKS - 1)
    page.goto(f"{ui_of_a_year}/assets/event_archive?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Show all partitions").click()
    selection = page.get_by_role("dialog").locator("input[type=text]").first
    selection.fill(f"[{first}...{last}]")
    selection.press("Enter")
    shown(page, f"{WEEKS} partitions")
    page.screenshot(path=screenshots / "backfill.png")
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.goto(f"{ui_of_a_year}/runs")
    shown(page, "Success", BACKFILL_SECONDS)
    page.screenshot(path=screenshots / "backfill-run.png")
    page.goto(f"{ui_of_a_year}/assets/event_archive?view=partitions")
    expect(page.get_by_text(f"Materialized ({WEEKS})").first).to_be_visible()
    page.screenshot(path=screenshots / "backfill-weeks.png")

    with Ledger.open() as ledger:
        weeks = committed_weeks(ledger.connection)
    assert [week.week for week in weeks] == [first + timedelta(weeks=n) for n in range(WEEKS)]
    assert {week.events for week in weeks} == {EVENTS_OF_EACH}
