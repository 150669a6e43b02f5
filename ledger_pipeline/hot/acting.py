"""On whose behalf a connection acts, and why: settings that the database reads."""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from ledger_pipeline.arguments import id_or_none, text_or_none
from ledger_pipeline.hot.database import Connection, translated


def act_for(connection: Connection, user_id: UUID | None) -> None:
    """Makes the rest of the session act for a user; None: for nobody.

    It counts for logins of the application only, and never for a login that is itself a user's.
    """
    user_id = id_or_none("user_id", user_id)
    connection.execute("SELECT set_config('ledger.user_id', %s, false)", (str(user_id or ""),))


def act_like(connection: Connection, other: Connection) -> None:
    """Makes the rest of the session act for whom another one acts for."""
    row = other.execute("SELECT current_setting('ledger.user_id', true) AS user_id").fetchone()
    if row and row["user_id"]:
        connection.execute("SELECT set_config('ledger.user_id', %s, false)", (row["user_id"],))


@contextmanager
def acting(connection: Connection, user_id: UUID | None = None, reason: str | None = None) -> Generator[None]:
    """One transaction that acts for a user and records its reason in `admin_log`; an append may be its first write."""
    user_id, reason = id_or_none("user_id", user_id), text_or_none("reason", reason)
    with translated(), connection.transaction():
        if user_id is not None:
            connection.execute("SELECT set_config('ledger.user_id', %s, true)", (str(user_id),))
        if reason is not None:
            connection.execute("SELECT set_config('ledger.reason', %s, true)", (reason,))
        yield
