"""Builds of a real ledger: hot, partly cold, growing, taken over by another epoch."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger_pipeline.budgets.budget import Budgets
from ledger_pipeline.budgets.judging import judge
from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.feed import Position
from ledger_pipeline.cold.notes import sign_tree
from ledger_pipeline.cold.proof import prove
from ledger_pipeline.cold.prune import prune
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.marts.build import build
from ledger_pipeline.marts.coverage import published_position
from ledger_pipeline.marts.ledger_source import publish_lock
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.differences import differences


@pytest.mark.slow
@pytest.mark.mission("C5")
def test_marts_follow_a_ledger_through_appends_rolls_and_a_prune(
    connection: Connection, settings: Settings, book: PriceBook, now: datetime
) -> None:
    run_simulation(connection, book, executions=20, days=200, seed=1, now=now - timedelta(days=40))
    first = build(connection, settings, now)
    roll(connection, settings, now)
    run_simulation(connection, book, executions=10, days=30, seed=2, now=now)
    second = build(connection, settings, now)
    roll(connection, settings, now + timedelta(days=60))
    third = build(connection, settings, now)
    assert prune(connection, published_position(connection, settings), now + timedelta(days=60), 90).executions > 0
    full = build(connection, settings, now, full=True)
    assert [built.whole for built in (first, second, third, full)] == [True, False, False, True]
    assert third.new_events == 0
    assert first.new_events + second.new_events == full.new_events == full.rows["audit_log"]
    assert differences(third.path, full.path) == {}
    assert full.rows["pricing_history"] == _prices(connection)


def test_another_epoch_is_built_from_all_events(connection: Connection, settings: Settings, now: datetime) -> None:
    build(connection, settings, now)
    connection.execute("SELECT adopt('restored')")
    assert build(connection, settings, now).whole


def test_only_marts_of_this_ledger_say_what_they_hold(
    connection: Connection, settings: Settings, now: datetime
) -> None:
    with pytest.raises(NotFound, match="there are no marts"):
        published_position(connection, settings)
    end = build(connection, settings, now).end
    assert published_position(connection, settings) == Position(*end)
    connection.execute("SELECT adopt('restored')")
    with pytest.raises(InvalidInput, match="not of this ledger"):
        published_position(connection, settings)


@pytest.mark.mission("C1")
def test_the_audit_log_says_where_the_proof_of_an_event_begins(
    connection: Connection, settings: Settings, book: PriceBook, now: datetime
) -> None:
    run_simulation(connection, book, executions=4, days=40, seed=1, now=now - timedelta(days=90))
    close_checkpoint(connection)
    sign_tree(connection, settings)
    build(connection, settings, now)
    roll(connection, settings, now)
    run_simulation(connection, book, executions=4, days=20, seed=2, now=now)
    close_checkpoint(connection)
    sign_tree(connection, settings)
    continued = build(connection, settings, now)
    run_simulation(connection, book, executions=1, days=2, seed=3, now=now)
    newest = build(connection, settings, now)
    assert (continued.whole, newest.whole) == (False, False)
    query = "SELECT event_id, checkpoint, batch_index, tree_index FROM marts.audit_log ORDER BY hash"
    with reading(newest.path) as marts:
        rows = marts.execute(query).fetchall()
    placed = [row for row in rows if row[1] is not None]
    assert len(placed) == continued.rows["audit_log"] < len(rows)
    assert {row[1] for row in placed} == {1, 2}
    for event_id, checkpoint, batch_index, tree_index in placed[::40]:
        proof = prove(connection, settings, event_id)
        assert (proof.batch, proof.in_batch.index, proof.in_tree.index) == (checkpoint, batch_index, tree_index)


def test_one_process_publishes_at_a_time(connection: Connection, ledger_url: str) -> None:
    with (
        publish_lock(connection),
        connect(ledger_url) as other,
        pytest.raises(Held, match="published by session"),
        publish_lock(other, patience_seconds=0.1),
    ):
        pass


def _prices(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) AS rows FROM model_pricing").fetchone()
    assert row is not None
    return row["rows"]


def test_budgets_burn_as_they_are_counted(connection: Connection, settings: Settings, book: PriceBook) -> None:
    """What the feed's consumer counted, and what the mart adds up, are the same to the last decimal."""
    now = datetime.now(UTC)
    run_simulation(connection, book, executions=20, days=20, seed=3, now=now)
    budgets = Budgets(connection)
    used = connection.execute(
        "SELECT workflow_name, agent_id, customer_id, drive_id FROM tokens_updated_events"
        " WHERE agent_id IS NOT NULL AND customer_id IS NOT NULL AND drive_id IS NOT NULL LIMIT 1"
    ).fetchone()
    assert used is not None
    for target in ("workflow_name", "agent_id", "customer_id"):
        budgets.set(period="year", limit_usd=1, **{target: used[target]})
        budgets.set(period="year", limit_tokens=10, drive_id=used["drive_id"], **{target: used[target]})
    judge(connection, settings.cold_dir)
    build(connection, settings, now)
    with connect_readonly(settings) as marts:
        burned = marts.execute(
            "SELECT budget_id, total_usd, total_tokens, counted FROM marts.budget_burn"
            " QUALIFY row_number() OVER (PARTITION BY budget_id ORDER BY day DESC) = 1"
        ).fetchall()
    counted = {each.id: (each.total_usd, each.total_tokens) for each in budgets.list()}
    assert {row[0]: (row[1], row[2]) for row in burned if row[3]} == counted
    assert len(counted) == 6
