"""The weekly leaf tables of each event type: made ahead of time, one short transaction each."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from ledger_pipeline.events.columns import week_of
from ledger_pipeline.hot.database import Connection, translated

WEEKS_AHEAD = 3


def make_leaves(connection: Connection, leaves: Iterable[tuple[str, date]]) -> int:
    """Makes the (event type, Monday) leaves that are missing; answers how many. The connection must autocommit.

    A transaction each: the lock that attaching needs stops appends for no longer than one leaf takes.
    """
    made = 0
    with translated():
        for event_type, week in leaves:
            row = connection.execute("SELECT make_leaf(%s, %s) AS made", (event_type, week)).fetchone()
            made += bool(row and row["made"])
    return made


def make_leaves_ahead(connection: Connection, now: datetime) -> int:
    """Makes every type's leaves from this week to `WEEKS_AHEAD` weeks ahead."""
    weeks = [week_of(now) + timedelta(weeks=n) for n in range(WEEKS_AHEAD + 1)]
    with translated():
        missing = connection.execute("SELECT event_type, week FROM missing_leaves(%s::date[])", (weeks,)).fetchall()
    return make_leaves(connection, [(row["event_type"], row["week"]) for row in missing])


def may_make_leaves(connection: Connection) -> bool:
    """Whether the connection's role is one that makes leaves; a reader is not."""
    row = connection.execute("SELECT has_function_privilege('missing_leaves(date[])', 'EXECUTE') AS may").fetchone()
    return bool(row and row["may"])
