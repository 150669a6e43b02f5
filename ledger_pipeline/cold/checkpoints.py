"""Checkpoints: closed batches of the feed, each with its count, range of transactions and RFC 6962 root."""

import time
from dataclasses import dataclass
from datetime import datetime

from ledger_pipeline.cold.horizon import holding_back
from ledger_pipeline.cold.sessions import (
    CHECKPOINT_LOCK,
    UNSEEN,
    Held,
    own_transactions,
    retry_while_locked,
    sessions_holding,
)
from ledger_pipeline.hot.database import Connection, translated

HORIZON_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Checkpoint:
    """Batch `n` (from 1, gapless): the events of `epoch` with first_tx <= tx < end_tx, and their root in feed order."""

    n: int
    epoch: int
    first_tx: int
    end_tx: int
    events: int
    root: bytes
    closed_at: datetime


def close_checkpoint(
    connection: Connection,
    *,
    beyond: tuple[int, int] | None = None,
    wait_seconds: float = HORIZON_WAIT_SECONDS,
) -> Checkpoint | None:
    """Closes the feed up to its horizon; the newest batch closed, None when there was nothing new.

    `beyond` is a position (epoch, tx) that must come to lie below the horizon: while a running transaction of any
    database of the server holds that back, waits, then raises Held with the session's name.
    """
    with own_transactions(connection), translated():
        if beyond is not None:
            _await_horizon(connection, beyond, wait_seconds)

        def close() -> Checkpoint | None:
            with connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', '2s', true)")
                closed = connection.execute("SELECT * FROM close_checkpoint()").fetchall()
            return Checkpoint(**closed[-1]) if closed else None

        return retry_while_locked(
            close,
            wait_seconds,
            lambda: f"another checkpoint is being closed by {sessions_holding(connection, CHECKPOINT_LOCK)}: try again",
        )


def lies_below_checkpoint(connection: Connection, position: tuple[int, int]) -> bool:
    """Whether a closed batch covers the position (epoch, tx)."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM checkpoints WHERE epoch = %s AND end_tx > %s) AS covered", position
    ).fetchone()
    return bool(row and row["covered"])


def _await_horizon(connection: Connection, position: tuple[int, int], wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        row = connection.execute(
            """
            SELECT (current_epoch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint) > (%s, %s) AS past
            FROM ledger_state
            """,
            position,
        ).fetchone()
        if row and row["past"]:
            return
        if time.monotonic() >= deadline:
            raise Held(
                f"the feed's horizon is held back by {' and '.join(map(str, holding_back(connection))) or UNSEEN}: "
                "end that transaction, then try again"
            )
        time.sleep(0.05)
