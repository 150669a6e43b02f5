"""The notebooks, run whole on a simulated ledger: as programs, whose figures are compared, and in a real browser."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Page, expect
from psycopg import sql

from ledger_pipeline.cli import run
from ledger_pipeline.hot.database import connect
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts.sandbox import query
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.browser import end, free_port, wait_for

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def home(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a ledger with some months of traffic, half of it cold, and published marts."""
    home = tmp_path / "home"
    monkeypatch.setenv("LEDGER_HOME", str(home))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    for command in ("simulate --executions 60 --days 150 --seed 11", "roll"):
        assert run([*command.split(), "--now", NOW.isoformat()]) == 0
    with Ledger.open() as ledger:
        ledger.build_marts(NOW)
    return home


def cells_of(name: str) -> dict[str, Any]:
    """Runs a notebook from its first cell to its last; answers what its cells define."""
    from importlib import import_module

    _, defined = import_module(f"ledger_pipeline.notebooks.{name}").app.run()
    return dict(defined)


@pytest.mark.slow
def test_the_cost_notebook_shows_what_the_marts_hold(home: Path) -> None:
    cells = cells_of("cost")
    _, [(calls, cost, now)] = query(
        Settings.read(), "SELECT count(*), sum(cost_usd), sum(corrected_cost_usd) FROM marts.model_usage"
    )
    assert calls > 300
    assert (cells["overview"]["calls"], cells["overview"]["cost_usd"]) == (calls, cost)
    for frame in ("monthly", "by_group"):
        assert cells[frame]["cost_usd"].sum() == cost
        assert cells[frame]["corrected_cost_usd"].sum() == now
    assert cells["per_success"]["corrected_cost_usd"].sum() == now
    _, [(failed,)] = query(
        Settings.read(),
        "SELECT sum(corrected_cost_usd) FROM marts.cost_by_execution"
        " WHERE status IN ('failed', 'aborted', 'timeout', 'cancelled')",
    )
    by_reason = dict(cells["waste"].group_by("reason").agg(pl.col("wasted_usd").sum()).iter_rows())
    assert sum(usd for reason, usd in by_reason.items() if reason.startswith("execution_")) == failed > 0
    assert by_reason["attempt_repeated"] > 0
    assert cells["cache"]["saved_usd"].sum() > 0


@pytest.mark.slow
def test_other_prices_are_those_of_the_price_book(home: Path) -> None:
    """Calls at their own model's prices cost what they cost: the what-if repeats the recorded figures exactly."""
    from ledger_pipeline.notebooks.cost import app

    class Chosen:
        value = "anthropic/claude-sonnet-4-5"

    _, cells = app.run(defs={"from_model": Chosen, "to_model": Chosen})
    what_if = cells["what_if"]
    assert what_if["calls"].sum() > 20
    assert what_if["instead_usd"].to_list() == what_if["cost_usd"].to_list()
    Chosen.value = "openai/gpt-4o"
    _, cells = app.run(defs={"from_model": Chosen, "to_model": type("To", (), {"value": "openai/gpt-4o-mini"})})
    assert Decimal(0) < cells["what_if"]["instead_usd"].sum() < cells["what_if"]["cost_usd"].sum()


@pytest.mark.slow
@pytest.mark.mission("A15")
def test_the_audit_notebook_proves_an_execution_and_finds_a_changed_event(home: Path, ledger_url: str) -> None:
    cells = cells_of("audit")
    assert (cells["chain_faults"], cells["mart_faults"]) == ([], [])
    assert len(cells["stored"]) == len(cells["timeline"]) == cells["execution"]["event_count"]
    assert cells["checks"][0] == cells["checks"][1] > 0
    _, [(decisions,)] = query(Settings.read(), "SELECT count(decided_at) FROM marts.approvals")
    assert cells["latency"]["decisions"].sum() == cells["by_person"]["decisions"].sum() == decisions > 0

    with connect(ledger_url, autocommit=True) as connection:
        event = connection.execute(
            "SELECT event_id, execution_id, sequence, tableoid::regclass::text AS leaf FROM workflow_events LIMIT 1"
        ).fetchone()
        assert event is not None
        leaf = sql.Identifier(event["leaf"])
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(leaf))
        connection.execute(
            sql.SQL("UPDATE {} SET operator_id = 'somebody else' WHERE event_id = %s").format(leaf),
            (event["event_id"],),
        )
    from ledger_pipeline.notebooks.audit import app

    _, found = app.run(defs={"execution_id": str(event["execution_id"])})
    assert found["chain_faults"] == [event["sequence"]]


def test_a_notebook_on_no_marts_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path))
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgresql://nowhere.invalid/x")
    ended = subprocess.run(
        [sys.executable, "-m", "ledger_pipeline", "notebook", "cost"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "ledger-pipeline daily" in ended.stderr


@pytest.fixture
def served(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a notebook that the command serves, with its token."""
    port, log = free_port(), tmp_path / "notebook.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger_pipeline", "notebook", request.param, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        address = re.search(r"http://\S+access_token=\S+", log.read_text())
        assert address is not None
        yield address.group()
    finally:
        end(process)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("served", "last_heading"), [("cost", "To look at"), ("audit", "Anomalies and reconciliation")], indirect=["served"]
)
def test_a_notebook_in_a_browser(page: Page, served: str, last_heading: str, screenshots: Path) -> None:
    page.set_viewport_size({"width": 1200, "height": 5000})
    page.goto(served)
    expect(page.get_by_role("heading", name=last_heading)).to_be_visible()
    expect(page.locator(".vega-embed canvas, .vega-embed svg").first).to_be_visible()
    assert page.get_by_text("Traceback").count() == 0
    page.wait_for_timeout(2_000)
    page.screenshot(path=screenshots / f"notebook-{last_heading.split()[0].lower()}.png")
    page.goto(served.partition("?")[0])
    expect(page.get_by_role("heading", name=last_heading)).to_have_count(0)
