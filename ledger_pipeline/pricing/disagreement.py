"""Where price sources disagree about the same price of the same model, whatever each of them calls it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import Connection

from ledger_pipeline.pricing.book import PriceBook, load_book, read_sql
from ledger_pipeline.pricing.prices import ADMIN, PriceKey

TOLERATED = Decimal("0.01")
"""The greater of two rates may be this part more than the smaller one."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two sources' rates of one price in force, in USD per million; the book's is the better source's."""

    key: PriceKey
    source: str
    usd_per_million: Decimal
    other_source: str
    other_model: str
    other_usd_per_million: Decimal


def disagreements(conn: Connection[dict[str, Any]], sources: Sequence[str], now: datetime) -> list[Disagreement]:
    """Every rate in force that differs by more than 1 % from that of the best source that has it; best source first.

    A model of a worse source is the one that the book takes its name for.
    """
    book = load_book(conn)
    rates = rates_in_force(conn, [source for source in sources if source != ADMIN], now)
    best: dict[PriceKey, tuple[str, Decimal]] = {}
    found: list[Disagreement] = []
    for source, listed in rates.items():
        new: dict[PriceKey, tuple[str, Decimal]] = {}
        for key, rate in listed:
            canonical = as_named_by(book, key)
            known = best.get(canonical)
            if known is None:
                new.setdefault(canonical, (source, rate))
            elif max(known[1], rate) > min(known[1], rate) * (1 + TOLERATED):
                found.append(Disagreement(canonical, *known, source, key.model, rate))
        best |= new
    return found


def rates_in_force(
    conn: Connection[dict[str, Any]], sources: Sequence[str], now: datetime
) -> dict[str, list[tuple[PriceKey, Decimal]]]:
    """What each source says that its models cost now, in the order of the sources."""
    parameters = {"provider": None, "model": None, "at": now, "known_at": None}
    rates: dict[str, list[tuple[PriceKey, Decimal]]] = {source: [] for source in sources}
    for row in conn.execute(read_sql("listed_prices"), parameters):
        if row["source"] in rates:
            key = PriceKey(**{name: row[name] for name in PriceKey._fields})
            rates[row["source"]].append((key, row["usd_per_million"]))
    return rates


def as_named_by(book: PriceBook, key: PriceKey) -> PriceKey:
    """The key under the name of the model that the book takes the key's own name for; itself where that is none."""
    resolved = book.resolve(key.provider, key.model)
    if resolved.reason is None and resolved.provider == resolved.price_provider:
        return key._replace(provider=resolved.price_provider, model=resolved.model)
    return key
