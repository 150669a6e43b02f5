"""Reviews of held prices: what waits, and how somebody accepts it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from ledger_pipeline.arguments import text_of
from ledger_pipeline.errors import NotFound
from ledger_pipeline.hot.acting import acting
from ledger_pipeline.pricing.book import LOCK, read_sql
from ledger_pipeline.pricing.doubts import catalogue_from_json
from ledger_pipeline.pricing.sync import PriceChange, book_prices


@dataclass(frozen=True, slots=True)
class Review:
    """A model's new prices that wait since `seen_at` for somebody to look at them."""

    source: str
    provider: str
    model: str
    jumps: tuple[str, ...]
    seen_at: datetime


def open_reviews(conn: Connection[dict[str, Any]]) -> list[Review]:
    """The last jump of each model and source that nobody has accepted, the oldest first."""
    return [
        Review(row["source"], row["provider"], row["model"], tuple(row["jumps"]), row["seen_at"])
        for row in conn.execute(read_sql("open_reviews"))
    ]


def accept(
    conn: Connection[dict[str, Any]],
    source: str,
    provider: str,
    model: str,
    *,
    reason: str,
    operator: str,
    now: datetime,
) -> tuple[PriceChange, ...]:
    """Books what was held of a model, known from `now` on; where the source gives no dates, valid since it was seen.

    Raises NotFound when nothing of that model waits.
    """
    reason, operator = text_of("reason", reason), text_of("operator", operator)
    with acting(conn, reason=reason):
        conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        held = next(
            (
                row
                for row in conn.execute(read_sql("open_reviews"))
                if (row["source"], row["provider"], row["model"]) == (source, provider, model)
            ),
            None,
        )
        if held is None:
            raise NotFound(f"no price of {provider}/{model} of {source} waits for a review: see `prices reviews`")
        conn.execute(
            """
            INSERT INTO price_reviews (
                source, provider, model, listed_hash, status, listed, jumps, seen_at, operator_id, reason
            )
            SELECT source, provider, model, listed_hash, 'accepted', listed, jumps, seen_at, %s, %s
            FROM price_reviews
            WHERE id = %s
            """,
            [operator, reason, held["id"]],
        )
        return book_prices(conn, catalogue_from_json(source, held["listed"]), now, since=held["seen_at"])
