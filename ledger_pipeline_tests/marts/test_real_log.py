"""The marts of a real analytics log, from import to cold storage."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.aider import import_aider
from ledger_pipeline.marts.build import Build, build
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.catalogue import load_embedded
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.differences import differences

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.mission("C1")
@pytest.mark.mission("A12")
def test_the_marts_of_the_aider_log(connection: Connection, settings: Settings, test_data: Path) -> None:
    load_embedded(connection, NOW)
    log = test_data / "aider" / "aider-analytics-union.jsonl.gz"
    book = load_book(connection)
    imported = import_aider(connection, book, log, settings.home / "rejects")
    hot = build(connection, settings, NOW)
    roll(connection, settings, NOW)
    rolled = build(connection, settings, NOW)
    assert rolled.new_events == 0
    full = build(connection, settings, NOW, full=True)
    assert {build.rows["audit_log"] for build in (hot, rolled, full)} == {imported.events}
    assert differences(rolled.path, full.path) == {}
    assert _only_totals_moved(hot, rolled)

    # All of it is in Parquet and none in Postgres, so every execution below is replayed from the files alone.
    assert connection.execute("SELECT FROM workflow_events LIMIT 1").rowcount == 0
    assert sum(week.events for week in committed_weeks(connection)) == imported.events
    assert import_aider(connection, book, log, settings.home / "rejects").new_events == 0
    assert connection.execute("SELECT FROM workflow_events LIMIT 1").rowcount == 0
    replayed = check_projections(connection, settings.cold_dir)
    assert replayed.ok, replayed.first
    assert replayed.executions == imported.executions
    verified = verify(connection, settings.cold_dir)
    assert (verified.ok, verified.events) == (True, imported.events)

    with connect_readonly(settings) as marts:
        (usage,) = marts.execute(
            "SELECT count(*), sum(input_tokens), sum(output_tokens), sum(recorded_cost_usd) FROM marts.model_usage"
        ).fetchall()
        assert usage == (5563, 73020005, 2956951, pytest.approx(Decimal("10182.700381635998"), abs=Decimal("1e-9")))
        lines = "SELECT count(*), count(DISTINCT source_line) FROM marts.audit_log WHERE source_line IS NOT NULL"
        assert marts.execute(lines).fetchall() == [(39572, 39572)]
        leads = "SELECT rank, recorded_cost_usd, total_tokens FROM marts.cost_anomalies ORDER BY rank LIMIT 1"
        assert marts.execute(leads).fetchall() == [(1, pytest.approx(Decimal("9990.01"), abs=Decimal("0.01")), 10033)]
        free = "SELECT * FROM marts.unpriced_usage WHERE coalesce(estimated_cost_usd, 0) = 0"
        assert marts.execute(free).fetchall() == []
        redacted = "SELECT count(*) > 0 FROM marts.unpriced_usage WHERE model LIKE '%REDACTED%'"
        assert marts.execute(redacted).fetchall() == [(True,)]
        assert marts.execute("SELECT bool_and(ok) FROM marts.reconciliation").fetchall() == [(True,)]
        agreement, differing = (marts.execute(query).fetchall() for query in _queries_of_the_prices_page())
        calls = {row[0]: row[1] for row in agreement}
        # The table of the page: every cause but the first and the last two is a difference.
        differ = 505 + 40 + 5 + 1
        assert (calls["the same"], calls["recorded 0"], calls["another"]) == (3_465, 3, differ)
        assert sum(number for name, number in calls.items() if name.startswith("unpriced: ")) == 1_544
        # What was recorded at nothing costs nothing.
        assert sum(row[2] for row in differing) == differ
        assert max(row[6] for row in differing) > 1000


def _queries_of_the_prices_page() -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")
    return re.findall(r'^ledger-pipeline sql "(.*?)"$', page, re.DOTALL | re.MULTILINE)


def _only_totals_moved(hot: Build, rolled: Build) -> bool:
    """Whether a roll changed nothing but where events were counted, and closed the batches of their proofs."""
    moved = {name.split(",")[0] for name in differences(hot.path, rolled.path)}
    told = "SELECT * EXCLUDE (checkpoint, batch_index, tree_index) FROM {}.marts.audit_log"
    with duckdb.connect() as both:
        both.execute(f"ATTACH '{hot.path}' AS hot (READ_ONLY)")
        both.execute(f"ATTACH '{rolled.path}' AS rolled (READ_ONLY)")
        audit = both.execute(f"{told.format('hot')} EXCEPT ALL {told.format('rolled')}").fetchall()
    closed = {"staging.checkpoints", "staging.proof_positions", "marts.audit_log"}
    return moved <= {"staging.event_totals", *closed} and audit == []
