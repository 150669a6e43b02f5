"""The ledger as a build's source: the feed, its own count of hot rows and cold files, prices and budgets."""

# pyarrow has no types.
# pyright: reportUnknownParameterType=false
# ruff: noqa: S608  names of tables and columns are our own; values are parameters

from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any, cast

import duckdb
import pyarrow as pa
from psycopg import sql

from ledger_pipeline.cold.feed import Position, Wanted, read_feed
from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.manifest import RolledWeekRow, committed_weeks
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.retention import removed_costs
from ledger_pipeline.cold.sessions import own_transactions, sole
from ledger_pipeline.engines.duckdb.tables import dict_rows
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.marts import staging
from ledger_pipeline.marts.source import MEASURES, Cursor, Identity, Reading
from ledger_pipeline.settings import Settings

PUBLISH_LOCK = 2002
_PATIENCE_SECONDS = 600.0
_HOT = "hot"


@contextmanager
def publish_lock(connection: Connection, patience_seconds: float = _PATIENCE_SECONDS) -> Generator[None]:
    """Lets one process at a time build and publish; raises Held, naming the holder, when it takes too long."""
    with (
        own_transactions(connection),
        sole(connection, PUBLISH_LOCK, "the marts are being published by", wait_seconds=patience_seconds),
    ):
        yield


class LedgerSource:
    """Hot rows and cold files of one ledger."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._cold_dir = settings.cold_dir

    def identity(self) -> Identity:
        """Which ledger this is, now."""
        row = self._connection.execute(
            """
            SELECT s.instance_id::text, s.current_epoch AS epoch, c.n AS checkpoint, encode(c.root, 'hex') AS root,
                (SELECT count(*) FROM removed_weeks) AS removed
            FROM ledger_state AS s
            LEFT JOIN (SELECT n, root FROM checkpoints ORDER BY n DESC LIMIT 1) AS c ON true
            """
        ).fetchone()
        assert row is not None
        return Identity(row["instance_id"], row["epoch"], row["checkpoint"], row["root"], row["removed"])

    def holds(self, identity: Identity, end: Cursor) -> bool:
        """Whether a build can be continued: same ledger and epoch, and what it knew of them is still there.

        A removal under retention takes what was made of the events out of the marts, so they are built whole.
        A database copied back from an older file keeps ledger and epoch: the missing checkpoint gives it away, or
        transactions that the build has seen and that are still to come.
        """
        now = self.identity()
        horizon = self._connection.execute(
            "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS tx"
        ).fetchone()
        assert horizon is not None
        same = (now.instance_id, now.epoch, now.removed_weeks) == (
            identity.instance_id,
            identity.epoch,
            identity.removed_weeks,
        )
        if not same or end.tx > horizon["tx"]:
            return False
        known = self._connection.execute(
            "SELECT encode(root, 'hex') AS root FROM checkpoints WHERE n = %s", [identity.checkpoint]
        ).fetchone()
        return identity.checkpoint is None or (known is not None and known["root"] == identity.checkpoint_root)

    def read(self, after: Cursor | None) -> Reading:
        """Every event from a cursor on, hot and cold, exactly once."""
        position = None if after is None else Position(*after)
        # Marts don't depend on the order of events, and without it they come sooner.
        feed = read_feed(self._connection, self._cold_dir, position, ordered=False, wanted=Wanted(but_removed=True))
        end = feed.end
        return Reading(feed.batches, Cursor(end.epoch, end.tx, end.execution_id, end.sequence))

    def checkpoints(self) -> pa.Table:
        """The closed batches, each with its leaf's place in the tree."""
        rows = self._connection.execute(
            """
            SELECT c.n, c.epoch, c.first_tx, c.end_tx, c.events, t.place AS tree_index
            FROM checkpoints AS c
            LEFT JOIN tree_leaves AS t ON t.kind = 'checkpoint' AND t.key = c.n::text
            ORDER BY c.n
            """
        ).fetchall()
        return pa.Table.from_pylist(rows, staging.CHECKPOINT_SCHEMA)

    def price_book(self) -> str:
        """A digest of the price book's rows."""
        row = self._connection.execute(
            "SELECT md5(coalesce(string_agg(md5(p::text), '' ORDER BY p.id), '')) AS digest FROM model_pricing AS p"
        ).fetchone()
        assert row is not None
        return row["digest"]

    def prices(self) -> pa.Table:
        """The price book."""
        columns = [name for name in staging.PRICE_SCHEMA.names if name != "price_id"]
        query = sql.SQL("SELECT id::text AS price_id, {} FROM model_pricing").format(
            sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        return pa.Table.from_pylist(self._connection.execute(query).fetchall(), staging.PRICE_SCHEMA)

    def removed_costs(self) -> pa.Table:
        """What the calls of removed weeks cost, as it was kept at their removal."""
        schema = staging.REMOVED_COSTS_SCHEMA
        rows = [
            {
                field.name: None
                if row.get(field.name) is None  # also of what was kept before there was such a column
                else date.fromisoformat(row[field.name])
                if field.name == "day"
                else Decimal(row[field.name])
                if pa.types.is_decimal(field.type)
                else row[field.name]
                for field in schema
            }
            for row in removed_costs(self._connection)
        ]
        return pa.Table.from_pylist(rows, schema)

    def budgets(self) -> pa.Table:
        """The budgets that are set."""
        query = """
            SELECT
                id::text AS budget_id, drive_id::text, scope, workflow_name, agent_id::text, customer_id::text, period,
                limit_usd, limit_tokens, created_at
            FROM budgets
            """
        return pa.Table.from_pylist(self._connection.execute(query).fetchall(), staging.BUDGET_SCHEMA)

    def count_events(self, connection: duckdb.DuckDBPyConnection, end: Cursor) -> None:
        """Counts hot rows in PostgreSQL and each week's files on their own, up to the same horizon as the feed.

        A rolled week never changes, so it is counted once and its totals stay in the build.
        """
        with open_read(self._connection):
            weeks = [week for week in committed_weeks(self._connection) if week.removal is None]
            hot = self._count_hot(end)
        names = {f"{week.week} {week.root.hex() if week.root else ''}": week for week in weeks}
        known = {row[0] for row in connection.execute("SELECT DISTINCT source FROM staging.event_totals").fetchall()}
        for gone in known - names.keys():
            connection.execute("DELETE FROM staging.event_totals WHERE source = ?", [gone])
        rows = _long(_HOT, hot)
        for name in sorted(names.keys() - known):
            week = names[name]
            whole = week.last < (end.epoch, end.tx)
            # Rolled while this build ran: its last events are beyond the horizon, so it is counted anew next time.
            rows += _long(name if whole else f"{name} in part", self._count_cold(connection, week, end))
        staging.add(connection, "event_totals", pa.Table.from_pylist(rows, staging.TOTALS_SCHEMA))

    def _count_hot(self, end: Cursor) -> list[dict[str, Any]]:
        sums = sql.SQL(", ").join(sql.SQL("sum({0}) AS {0}").format(sql.Identifier(name)) for name in MEASURES)
        below = {"epoch": end.epoch, "tx": end.tx}
        # Sums only where something is measured: the other types' partitions need not be read for them.
        query = sql.SQL(
            """
            SELECT week, event_type, count(*) AS events, {sums} FROM workflow_events
            WHERE (epoch, tx) < (%(epoch)s, %(tx)s) AND event_type IN ('TokensUpdated', 'CostRecalculated')
            GROUP BY week, event_type
            """
        ).format(sums=sums)
        others = """
            SELECT week, event_type, count(*) AS events FROM workflow_events
            WHERE (epoch, tx) < (%(epoch)s, %(tx)s) AND event_type NOT IN ('TokensUpdated', 'CostRecalculated')
            GROUP BY week, event_type
            """
        measured = self._connection.execute(query, below).fetchall()
        return [*measured, *self._connection.execute(others, below).fetchall()]

    def _count_cold(
        self, connection: duckdb.DuckDBPyConnection, week: RolledWeekRow, end: Cursor
    ) -> list[dict[str, Any]]:
        sums = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
        cursor = connection.execute(
            f"SELECT week, event_type, count(*) AS events, {sums} FROM read_parquet(?, hive_partitioning = false) "
            "WHERE epoch < ? OR (epoch = ? AND tx < ?) GROUP BY week, event_type",
            [[str(check_file(self._cold_dir, file)) for file in week.files], end.epoch, end.epoch, end.tx],
        )
        return dict_rows(cursor)


def _long(source: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Totals a row a week and type as totals a row a measure; what is not measured on a type is left out."""
    measured = {"TokensUpdated": set(MEASURES) - {"difference_usd"}, "CostRecalculated": {"difference_usd"}}
    return [
        {
            "source": source,
            "week": row["week"],
            "event_type": row["event_type"],
            "measure": measure,
            "value": Decimal(cast("int | Decimal | None", row[measure]) or 0),
        }
        for row in rows
        for measure in ("events", *sorted(measured.get(row["event_type"], ())))
    ]
