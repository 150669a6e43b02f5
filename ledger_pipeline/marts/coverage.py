"""What a build says of itself: of which ledger it is, and up to where in the feed it holds the events."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from ledger_pipeline.cold.feed import Position
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.marts import publish
from ledger_pipeline.marts.ledger_source import LedgerSource
from ledger_pipeline.marts.source import Cursor, Identity
from ledger_pipeline.settings import Settings


@dataclass(frozen=True)
class Noted:
    """The note that a build carries: what made it, of which ledger and price book, the cursor behind its last event."""

    fingerprint: str
    identity: Identity
    end: Cursor
    price_book: str


def noted(path: Path) -> Noted | None:
    """A build's note; None for a file of another version or a damaged one: the ledger has everything that it held."""
    try:
        connection = reading(path)
        try:
            row = connection.execute(
                "SELECT fingerprint, instance_id, epoch, checkpoint, checkpoint_root, removed_weeks, cursor_epoch, "
                "cursor_tx, cursor_execution_id, cursor_sequence, price_book FROM staging.build"
            ).fetchone()
        finally:
            connection.close()
    except duckdb.Error:
        return None
    return None if row is None else Noted(row[0], Identity(*row[1:6]), Cursor(*row[6:10]), row[10])


def published_position(connection: Connection, settings: Settings) -> Position:
    """Up to where in the ledger's feed the published marts hold every event.

    Raises NotFound when there are none, InvalidInput when they are another ledger's, or of a time before a restore.
    """
    path = publish.current(settings)
    found = noted(path)
    if found is None or not LedgerSource(connection, settings).holds(found.identity, found.end):
        raise InvalidInput(f"{path}: these marts are not of this ledger as it is now: run `ledger-pipeline daily`")
    return Position(*found.end)
