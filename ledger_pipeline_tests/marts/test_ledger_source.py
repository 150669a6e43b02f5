"""Builds of a real ledger: hot, partly cold, growing, taken over by another epoch."""

from datetime import datetime, timedelta

import pytest

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
