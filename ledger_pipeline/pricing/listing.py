"""The prices that are booked, listed for people and scripts."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection
from rich.table import Table

from ledger_pipeline.arguments import text_or_none
from ledger_pipeline.pricing.book import load_book, read_sql
from ledger_pipeline.pricing.prices import ANY, EARLIEST, STANDARD, plain


def list_prices(
    conn: Connection[dict[str, Any]],
    *,
    provider: str | None = None,
    model: str | None = None,
    at: datetime | None = None,
    known_at: datetime | None = None,
) -> list[dict[str, Any]]:
    """Price rows of every source as known at `known_at` (None: now): those valid at `at`, or with None every dated one.

    A model may be named as calls name it; one that the book can't resolve is looked up by its name as given. Each row
    has the columns of `model_pricing`, `price_id` and the derived `valid_to`.
    """
    provider, model = text_or_none("provider", provider), text_or_none("model", model)
    if model is not None:
        resolved = load_book(conn, known_at).resolve(provider, model)
        if resolved.reason is None:
            provider, model = resolved.price_provider, resolved.model
    parameters = {"provider": provider, "model": model, "at": at, "known_at": known_at}
    return conn.execute(read_sql("listed_prices"), parameters).fetchall()


def _variant(row: Mapping[str, Any]) -> str:
    parts = (
        row["service_tier"] if row["service_tier"] != STANDARD else None,
        row["region"] if row["region"] != ANY else None,
        f"over {row['context_tier']:,} input tokens" if row["context_tier"] else None,
        f"{row['daily_window']} UTC" if row["daily_window"] != ANY else None,
    )
    return ", ".join(part for part in parts if part)


def price_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Price rows for the terminal."""
    table = Table(title="Prices in USD per million")
    for name in ("model", "variant", "usage"):
        table.add_column(name)
    table.add_column("USD", justify="right")
    for name in ("valid from", "to", "known from", "source"):
        table.add_column(name)
    for row in rows:
        starts = "" if row["valid_from"] == EARLIEST else f"{row['valid_from']:%Y-%m-%d}"
        ends = f"{row['valid_to']:%Y-%m-%d}" if row["valid_to"] else ""
        table.add_row(
            f"{row['provider']}/{row['model']}",
            _variant(row),
            row["usage_kind"],
            plain(row["usd_per_million"]),
            starts,
            ends,
            f"{row['known_from']:%Y-%m-%d %H:%M}",
            row["source"],
        )
    return table
