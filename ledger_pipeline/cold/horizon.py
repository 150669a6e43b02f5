"""The feed's horizon: how far consumers may read, who holds it back and since when."""

from dataclasses import dataclass
from datetime import datetime

from ledger_pipeline.hot.database import Connection, translated

PATIENCE_SECONDS = 300
"""How long an open transaction may hold the feed back before that is worth a warning."""
MOST_COUNTED = 1_000_000

# pg_stat_activity shows the low 32 bits of a transaction's number.
_HOLDERS = """
WITH horizon AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296 AS tx)
SELECT
    a.pid, a.application_name, a.usename AS role, a.datname, a.state, a.xact_start AS since,
    extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS age
FROM pg_stat_activity a, horizon h
WHERE a.backend_xid::text::bigint = h.tx AND a.pid <> pg_backend_pid()
UNION ALL
SELECT
    NULL, 'prepared transaction ' || p.gid, p.owner, p.database, 'prepared', p.prepared,
    extract(epoch FROM clock_timestamp() - p.prepared)::bigint
FROM pg_prepared_xacts p, horizon h
WHERE p.transaction::text::bigint = h.tx
"""

# Counted up to a bound: a reader that has just begun is as far behind as the log is long.
_HOT_BETWEEN = """
SELECT count(*) AS events FROM (
    SELECT FROM workflow_events
    WHERE (epoch, tx, execution_id, sequence) > (%(epoch)s, %(tx)s, %(execution_id)s, %(sequence)s)
        AND epoch >= %(epoch)s AND (epoch > %(epoch)s OR tx >= %(tx)s) AND (epoch, tx) < (%(end_epoch)s, %(end_tx)s)
    LIMIT %(most)s
) e
"""


@dataclass(frozen=True)
class Holder:
    """A transaction, of any database of the server, that is the oldest that writes: no consumer may read beyond it.

    `pid` is None for a prepared transaction; what this role may not see is None, too.
    """

    pid: int | None
    application: str | None
    role: str | None
    database: str | None
    state: str | None
    since: datetime | None
    seconds: int

    def __str__(self) -> str:
        who = f"session {self.pid} ({self.application or 'no application name'})" if self.pid else self.application
        since = "" if self.since is None else f" since {self.since.isoformat(timespec='seconds')}"
        return f"{who} of {self.role} on database {self.database}, {self.state or 'open'}{since}, for {self.seconds} s"


@dataclass(frozen=True)
class Consumer:
    """A named consumer: where it stands, and how many hot events it may read and has not yet (a million at most)."""

    name: str
    epoch: int
    tx: int
    updated_at: datetime
    behind: int


@dataclass(frozen=True)
class FeedStatus:
    """The feed now: its end, events that are committed but lie beyond it, who holds it back, and its consumers."""

    epoch: int
    horizon: int
    waiting: int
    holders: tuple[Holder, ...]
    consumers: tuple[Consumer, ...]

    @property
    def held_seconds(self) -> int:
        """For how long the oldest open transaction has held the feed back; 0 when none does."""
        return max((holder.seconds for holder in self.holders), default=0)

    @property
    def warning(self) -> str | None:
        """What to do about a transaction that has held the feed back for too long; None when there is none."""
        if not self.holders or self.held_seconds < PATIENCE_SECONDS:
            return None
        return (
            f"the feed is held back by {self.holders[0]}: {self.waiting:,} events that are recorded reach no consumer; "
            f"end that transaction, such as with SELECT pg_terminate_backend({self.holders[0].pid})"
            if self.holders[0].pid
            else f"the feed is held back by {self.holders[0]}: commit it or roll it back"
        )


def holding_back(connection: Connection) -> tuple[Holder, ...]:
    """The transactions that hold the feed's horizon back, the oldest first; none where nobody else writes."""
    rows = connection.execute(_HOLDERS).fetchall()
    holders = [
        Holder(
            row["pid"],
            row["application_name"],
            row["role"],
            row["datname"],
            row["state"],
            row["since"],
            row["age"] or 0,
        )
        for row in rows
    ]
    return tuple(sorted(holders, key=lambda holder: -holder.seconds))


def feed_status(connection: Connection) -> FeedStatus:
    """How the feed stands, for a role that sees every drive."""
    with translated():
        now = connection.execute(
            """
            SELECT s.current_epoch AS epoch, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon
            FROM ledger_state s
            """
        ).fetchone()
        assert now is not None
        end = {"end_epoch": now["epoch"], "end_tx": now["horizon"], "most": MOST_COUNTED}
        waiting = connection.execute(
            "SELECT count(*) AS events FROM workflow_events WHERE epoch = %(end_epoch)s AND tx >= %(end_tx)s", end
        ).fetchone()
        assert waiting is not None
        consumers: list[Consumer] = []
        for row in connection.execute("SELECT * FROM feed_cursors ORDER BY consumer").fetchall():
            behind = connection.execute(_HOT_BETWEEN, {**row, **end}).fetchone()
            assert behind is not None
            consumers.append(Consumer(row["consumer"], row["epoch"], row["tx"], row["updated_at"], behind["events"]))
        return FeedStatus(now["epoch"], now["horizon"], waiting["events"], holding_back(connection), tuple(consumers))
