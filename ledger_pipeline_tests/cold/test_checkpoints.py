"""Checkpoints close the feed in gapless batches up to its horizon."""

import pytest

from ledger_pipeline.cold.checkpoints import close_checkpoint, lies_below_checkpoint
from ledger_pipeline.cold.merkle import merkle_root
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline_tests.cold.histories import fill


def test_checkpoint_has_count_range_and_root_in_feed_order(connection: Connection) -> None:
    events = fill(connection, batch_size=40)
    leaves = connection.execute(
        "SELECT leaf FROM workflow_events ORDER BY epoch, tx, execution_id, sequence"
    ).fetchall()
    checkpoint = close_checkpoint(connection)
    assert checkpoint is not None
    assert (checkpoint.n, checkpoint.first_tx, checkpoint.events) == (1, 0, events)
    assert checkpoint.root == merkle_root(row["leaf"] for row in leaves)


def test_nothing_new_closes_nothing(connection: Connection) -> None:
    assert close_checkpoint(connection) is None
    fill(connection, 2)
    assert close_checkpoint(connection) is not None
    assert close_checkpoint(connection) is None


def test_batches_follow_each_other_without_a_gap(connection: Connection) -> None:
    fill(connection, 2, seed=1)
    first = close_checkpoint(connection)
    fill(connection, 3, seed=2)
    second = close_checkpoint(connection)
    assert first is not None
    assert second is not None
    assert (second.n, second.first_tx, second.events) == (2, first.end_tx, 27)


def test_each_epoch_has_batches_of_its_own(connection: Connection) -> None:
    fill(connection, 2, seed=1)
    connection.execute("SELECT adopt('restored')")
    fill(connection, 3, seed=2)
    newest = close_checkpoint(connection)
    rows = connection.execute("SELECT n, epoch, first_tx, events FROM checkpoints ORDER BY n").fetchall()
    assert newest is not None
    assert newest.n == 2
    assert [(row["n"], row["events"]) for row in rows] == [(1, 18), (2, 27)]
    assert rows[1]["epoch"] == rows[0]["epoch"] + 1
    assert rows[1]["first_tx"] == 0


def test_an_open_transaction_that_holds_the_horizon_back_is_named(connection: Connection, ledger_url: str) -> None:
    with connect(ledger_url) as idle:
        idle.execute("SET application_name = 'forgotten notebook'")
        idle.execute("SELECT pg_current_xact_id()")
        fill(connection, 2)
        row = connection.execute("SELECT epoch, max(tx) AS tx FROM workflow_events GROUP BY 1").fetchone()
        assert row is not None
        position = (row["epoch"], row["tx"])
        with pytest.raises(Held, match=f"session {idle.info.backend_pid} .forgotten notebook"):
            close_checkpoint(connection, beyond=position, wait_seconds=0.1)
        assert close_checkpoint(connection) is None
        idle.rollback()
    assert not lies_below_checkpoint(connection, position)
    assert close_checkpoint(connection, beyond=position) is not None
    assert lies_below_checkpoint(connection, position)
