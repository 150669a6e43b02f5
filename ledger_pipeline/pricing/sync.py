"""The pricing sync: reads price sources and books what changed, never touching what was booked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import psycopg
from psycopg import Connection

from ledger_pipeline.errors import InvalidInput, LedgerError
from ledger_pipeline.pricing.book import LOCK, read_sql
from ledger_pipeline.pricing.doubts import (
    HeldModel,
    listed_columns,
    refuse_vanished_prices,
    without_jumps,
    zero_where_priced,
)
from ledger_pipeline.pricing.prices import PriceKey
from ledger_pipeline.pricing.sources.source import PriceCatalogue, PriceSource

MOST_FAULTS = 1000
MOST_OF_A_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One row that a sync booked."""

    source: str
    change: Literal["new", "changed", "withdrawn"]
    key: PriceKey
    valid_from: datetime
    old_usd_per_million: Decimal | None
    usd_per_million: Decimal | None


@dataclass(frozen=True)
class SourceStatus:
    """How one source's reading went. `loaded`: it said something new; `failed`: its old prices stay."""

    source: str
    status: Literal["loaded", "unchanged", "failed"]
    version: str = ""
    prices: int = 0
    changes: tuple[PriceChange, ...] = ()
    error: str | None = None
    faults: tuple[str, ...] = ()
    """What the reading listed that is no price; what was known of those models stays."""
    held: tuple[HeldModel, ...] = ()
    """Models whose prices jump: they wait for somebody's look, and what was known of them stays."""

    def count(self, change: str) -> int:
        """Rows booked of one kind of change."""
        return sum(one.change == change for one in self.changes)


@dataclass(frozen=True)
class SyncResult:
    """What a sync booked, over all its sources."""

    sources: tuple[SourceStatus, ...] = field(default=())

    @property
    def changes(self) -> list[PriceChange]:
        """Every row booked."""
        return [change for source in self.sources for change in source.changes]

    @property
    def rows_new(self) -> int:
        """Prices that were not known."""
        return sum(source.count("new") for source in self.sources)

    @property
    def rows_changed(self) -> int:
        """Prices known otherwise before."""
        return sum(source.count("changed") for source in self.sources)

    @property
    def rows_withdrawn(self) -> int:
        """Prices that a source took back."""
        return sum(source.count("withdrawn") for source in self.sources)


def sync(conn: Connection[dict[str, Any]], sources: Sequence[PriceSource], now: datetime) -> SyncResult:
    """Reads each source, best first, and books what it says differently; a source that fails changes nothing.

    Each source is booked in a transaction of its own (a savepoint when the caller has one open). Raises InvalidInput
    when two sources have one name.
    """
    if len({source.name for source in sources}) < len(sources):
        raise InvalidInput("price sources: two sources have the same name: name each once")
    return SyncResult(tuple(_sync_source(conn, source, rank, now) for rank, source in enumerate(sources)))


def _sync_source(conn: Connection[dict[str, Any]], source: PriceSource, rank: int, now: datetime) -> SourceStatus:
    try:
        return book_catalogue(conn, source.read(now), rank, now)
    except (LedgerError, psycopg.DataError, psycopg.IntegrityError) as error:
        # What the price book itself refuses is a fault of the source, too: the others are read all the same.
        status = SourceStatus(source.name, "failed", error=str(error)[:MOST_OF_A_MESSAGE])
        with conn.transaction():
            _record(conn, status, None, rank, now)
        return status


def book_catalogue(
    conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, rank: int, now: datetime
) -> SourceStatus:
    """Books what a catalogue says differently from what its source said before, in one transaction.

    Models whose prices jump are held for review. Raises LedgerError when a kind of price vanished from most models.
    """
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        unchanged = is_booked(conn, catalogue)
        refuse_vanished_prices(conn, catalogue, now)
        faults = (*catalogue.faults, *zero_where_priced(conn, catalogue, now))
        believed, held = without_jumps(conn, catalogue, now)
        changes: tuple[PriceChange, ...] = ()
        rules = 0
        if not unchanged:
            changes = book_prices(conn, believed, now)
            rules = _book_rules(conn, catalogue, now)
        status = SourceStatus(
            catalogue.source,
            "unchanged" if unchanged else "loaded",
            catalogue.version,
            len(catalogue.prices),
            changes,
            faults=faults[:MOST_FAULTS],
            held=held,
        )
        _record(conn, status, catalogue, rank, now, rules)
    return status


def is_booked(conn: Connection[dict[str, Any]], catalogue: PriceCatalogue) -> bool:
    """Whether the source's last good reading said just this."""
    row = conn.execute(
        """
        SELECT content_hash
        FROM price_sources
        WHERE source = %s AND status <> 'failed'
        ORDER BY recorded_at DESC
        LIMIT 1
        """,
        [catalogue.source],
    ).fetchone()
    return row is not None and bytes(row["content_hash"]) == catalogue.content_hash


def last_good_readings(conn: Connection[dict[str, Any]]) -> dict[str, datetime]:
    """When each source was last read well."""
    rows = conn.execute(
        "SELECT source, max(fetched_at) AS fetched_at FROM price_sources WHERE status <> 'failed' GROUP BY source"
    )
    return {row["source"]: row["fetched_at"] for row in rows}


def book_prices(
    conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime, since: datetime | None = None
) -> tuple[PriceChange, ...]:
    """Inserts the rows by which a catalogue differs from what was known of the models that it lists.

    `since`: where a source without dates is believed to have changed; None: now.
    """
    parameters = listed_columns(catalogue) | {"version": catalogue.version, "now": now, "since": since or now}
    return tuple(
        PriceChange(
            catalogue.source,
            row["change"],
            PriceKey(**{name: row[name] for name in PriceKey._fields}),
            row["valid_from"],
            row["old_usd_per_million"],
            row["usd_per_million"],
        )
        for row in conn.execute(read_sql("changed_prices"), parameters)
    )


def _book_rules(conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime) -> int:
    parameters = {
        "kind": [rule.kind.value for rule in catalogue.rules],
        "provider": [rule.provider for rule in catalogue.rules],
        "model": [rule.model for rule in catalogue.rules],
        "match": [json.dumps(rule.match, ensure_ascii=False) for rule in catalogue.rules],
        "source": catalogue.source,
        "version": catalogue.version,
        "now": now,
    }
    return conn.execute(read_sql("changed_rules"), parameters).rowcount


def _record(
    conn: Connection[dict[str, Any]],
    status: SourceStatus,
    catalogue: PriceCatalogue | None,
    rank: int,
    now: datetime,
    rules: int = 0,
) -> None:
    conn.execute(
        """
        INSERT INTO price_sources (
            source, version, fetched_at, content_hash, rank, status, error, prices, rules,
            rows_new, rows_changed, rows_withdrawn, faults
        )
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            status.source,
            status.version,
            now,
            catalogue.content_hash if catalogue else None,
            rank,
            status.status,
            status.error,
            status.prices,
            rules,
            *(status.count(change) for change in ("new", "changed", "withdrawn")),
            list(status.faults),
        ],
    )
