"""The pricing sync: reads price sources and books what changed, never touching what was booked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from psycopg import Connection

from ledger_pipeline.errors import InvalidInput, LedgerError
from ledger_pipeline.pricing.book import read_sql
from ledger_pipeline.pricing.prices import PriceKey
from ledger_pipeline.pricing.sources.source import PriceCatalogue, PriceSource

LOCK = (0x4C44, 2004)
"""Advisory lock of the price book: one sync at a time."""


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
        catalogue = source.read(now)
    except LedgerError as error:
        status = SourceStatus(source.name, "failed", error=str(error))
        with conn.transaction():
            _record(conn, status, None, rank, now)
        return status
    return book_catalogue(conn, catalogue, rank, now)


def book_catalogue(
    conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, rank: int, now: datetime
) -> SourceStatus:
    """Books what a catalogue says differently from what its source said before, in one transaction."""
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        if is_booked(conn, catalogue):
            status = SourceStatus(catalogue.source, "unchanged", catalogue.version, len(catalogue.prices))
            rules = 0
        else:
            changes = _book_prices(conn, catalogue, now)
            rules = _book_rules(conn, catalogue, now)
            status = SourceStatus(catalogue.source, "loaded", catalogue.version, len(catalogue.prices), changes)
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


def _book_prices(conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime) -> tuple[PriceChange, ...]:
    columns: dict[str, list[Any]] = {
        name: [price.key[place] for price in catalogue.prices] for place, name in enumerate(PriceKey._fields)
    }
    parameters = columns | {
        "valid_from": [price.valid_from for price in catalogue.prices],
        "usd_per_million": [price.usd_per_million for price in catalogue.prices],
        "source": catalogue.source,
        "version": catalogue.version,
        "dated": catalogue.dated,
        "now": now,
    }
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
            rows_new, rows_changed, rows_withdrawn
        )
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
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
        ],
    )
