"""What is not believed of a price source at once: jumps, which wait for somebody's look, and prices that vanished."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import Connection

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.book import load_book, read_sql
from ledger_pipeline.pricing.disagreement import as_named_by, rates_in_force
from ledger_pipeline.pricing.prices import ANY, STANDARD, Price, PriceKey, plain
from ledger_pipeline.pricing.sources.source import PriceCatalogue

JUMP = 10
"""A price that is more than so many times another one is not believed at once; `jumps.sql` has the same."""
FEWEST_TO_VANISH = 3
"""Fewer prices of a kind than this may all end: that happens; more than half of many at once is a changed format."""


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A model whose prices a source changed more than tenfold; `jumps` says which, in words."""

    source: str
    provider: str
    model: str
    jumps: tuple[str, ...]


def listed_columns(catalogue: PriceCatalogue) -> dict[str, Any]:
    """A catalogue's prices as parameters of statements, an array a column."""
    columns: dict[str, Any] = {
        name: [price.key[place] for price in catalogue.prices] for place, name in enumerate(PriceKey._fields)
    }
    return columns | {
        "valid_from": [price.valid_from for price in catalogue.prices],
        "usd_per_million": [price.usd_per_million for price in catalogue.prices],
        "source": catalogue.source,
        "dated": catalogue.dated,
    }


def refuse_vanished_prices(conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime) -> None:
    """Raises LedgerError when a source without dates stopped listing most of its prices of some kind at once."""
    if catalogue.dated:
        return
    for row in conn.execute(read_sql("vanished_kinds"), listed_columns(catalogue) | {"now": now}):
        if row["known"] >= FEWEST_TO_VANISH and row["listed"] * 2 < row["known"]:
            raise LedgerError(
                f"lists {row['listed']:,} of {row['known']:,} prices of {row['usage_kind']} that it had: "
                "has the format changed?"
            )


def zero_where_priced(conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime) -> tuple[str, ...]:
    """The models that a source lists at nothing and had a price of."""
    if not catalogue.zero:
        return ()
    rows = conn.execute(
        """
        SELECT DISTINCT provider, model
        FROM current_model_pricing
        WHERE source = %s AND usd_per_million > 0 AND valid_from <= %s AND (valid_to IS NULL OR valid_to > %s)
        """,
        [catalogue.source, now, now],
    ).fetchall()
    priced = {(row["provider"], row["model"]) for row in rows}
    return tuple(
        f"{provider}/{model}: is listed at 0 USD, and had a price: if it is free now, set that by hand"
        for provider, model in sorted(priced & catalogue.zero)
    )


def without_jumps(
    conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime
) -> tuple[PriceCatalogue, tuple[HeldModel, ...]]:
    """The catalogue without the models whose prices jump and that nobody has accepted; those are held for review.

    A model that the source lists for the first time is compared with what the other sources say that it costs now.
    """
    jumps = _jumps_from_others(conn, catalogue, now)
    for row in conn.execute(read_sql("jumps"), listed_columns(catalogue) | {"now": now}):
        jumps.setdefault((row["provider"], row["model"]), []).append(_in_words(row))
    waiting = {
        (row["provider"], row["model"]): row
        for row in conn.execute(read_sql("open_reviews"))
        if row["source"] == catalogue.source
    }
    held: dict[tuple[str, str], HeldModel] = {}
    for model, changes in jumps.items():
        listed = _of_model(catalogue, model)
        if _is_accepted(conn, listed, model):
            continue
        held[model] = HeldModel(catalogue.source, *model, tuple(changes))
        if model not in waiting or bytes(waiting[model]["listed_hash"]) != listed.content_hash:
            _hold(conn, listed, held[model], now)
    for model in waiting.keys() - held.keys():
        conn.execute(
            """
            INSERT INTO price_reviews (source, provider, model, listed_hash, status, listed, jumps, seen_at)
            SELECT source, provider, model, listed_hash, 'settled', listed, jumps, seen_at
            FROM price_reviews
            WHERE id = %s
            """,
            [waiting[model]["id"]],
        )
    kept = (price for price in catalogue.prices if (price.key.provider, price.key.model) not in held)
    return (replace(catalogue, prices=tuple(kept)) if held else catalogue), tuple(held.values())


def _jumps_from_others(
    conn: Connection[dict[str, Any]], catalogue: PriceCatalogue, now: datetime
) -> dict[tuple[str, str], list[str]]:
    """The jumps, in words, of models of which the source has never said a price, by provider and model."""
    rows = conn.execute("SELECT DISTINCT provider, model FROM model_pricing WHERE source = %s", [catalogue.source])
    told = {(row["provider"], row["model"]) for row in rows}
    listed: dict[PriceKey, Price] = {}
    for price in catalogue.prices:
        if (price.key.provider, price.key.model) not in told and (price.valid_from or now) <= now:
            known = listed.get(price.key)
            if known is None or known.valid_from is None or (price.valid_from or now) > known.valid_from:
                listed[price.key] = price
    ranks = conn.execute(read_sql("known_ranks"), {"known_at": None}).fetchall()
    others = [row["source"] for row in sorted(ranks, key=lambda row: row["rank"]) if row["source"] != catalogue.source]
    if not listed or not others:
        return {}
    best: dict[PriceKey, tuple[str, Decimal]] = {}
    for source, rates in rates_in_force(conn, others, now).items():
        for key, rate in rates:
            best.setdefault(key, (source, rate))
    book = load_book(conn)
    jumps: dict[tuple[str, str], list[str]] = {}
    for key, price in listed.items():
        source, theirs = best.get(as_named_by(book, key), ("", None))
        ours = price.usd_per_million
        if theirs is not None and ours is not None and max(ours, theirs) > JUMP * min(ours, theirs):
            row = key._asdict() | {"old_usd_per_million": theirs, "usd_per_million": ours}
            jumps.setdefault((key.provider, key.model), []).append(_in_words(row, f" of {source}"))
    return jumps


def _in_words(row: dict[str, Any], whose: str = "") -> str:
    variant = (
        f"over {row['context_tier']:,} tokens" if row["context_tier"] else None,
        row["service_tier"] if row["service_tier"] != STANDARD else None,
        row["region"] if row["region"] != ANY else None,
    )
    what = ", ".join((row["usage_kind"], *(part for part in variant if part)))
    return f"{what}: {plain(row['old_usd_per_million'])}{whose} -> {plain(row['usd_per_million'])} USD per million"


def _of_model(catalogue: PriceCatalogue, model: tuple[str, str]) -> PriceCatalogue:
    prices = (price for price in catalogue.prices if (price.key.provider, price.key.model) == model)
    return replace(catalogue, prices=tuple(prices), rules=(), faults=(), zero=frozenset())


def _is_accepted(conn: Connection[dict[str, Any]], listed: PriceCatalogue, model: tuple[str, str]) -> bool:
    """Whether somebody accepted this very listing, and nothing else since."""
    row = conn.execute(
        """
        SELECT status, listed_hash
        FROM price_reviews
        WHERE source = %s AND provider = %s AND model = %s
        ORDER BY recorded_at DESC, id DESC
        LIMIT 1
        """,
        [listed.source, *model],
    ).fetchone()
    return row is not None and row["status"] == "accepted" and bytes(row["listed_hash"]) == listed.content_hash


def _hold(conn: Connection[dict[str, Any]], listed: PriceCatalogue, held: HeldModel, now: datetime) -> None:
    conn.execute(
        """
        INSERT INTO price_reviews (source, provider, model, listed_hash, status, listed, jumps, seen_at)
        VALUES (%s, %s, %s, %s, 'held', %s, %s, %s)
        """,
        [
            held.source,
            held.provider,
            held.model,
            listed.content_hash,
            json.dumps(catalogue_as_json(listed)),
            list(held.jumps),
            now,
        ],
    )


def catalogue_as_json(catalogue: PriceCatalogue) -> dict[str, Any]:
    """The prices of a catalogue as `price_reviews.listed` keeps them."""
    return {
        "version": catalogue.version,
        "dated": catalogue.dated,
        "prices": [
            {
                **price.key._asdict(),
                "valid_from": None if price.valid_from is None else price.valid_from.isoformat(),
                "usd_per_million": None if price.usd_per_million is None else str(price.usd_per_million),
            }
            for price in catalogue.prices
        ],
    }


def catalogue_from_json(source: str, kept: dict[str, Any]) -> PriceCatalogue:
    """A catalogue as it was kept."""
    return PriceCatalogue(source, kept["version"], kept["dated"], tuple(_prices_from_json(kept["prices"])), ())


def _prices_from_json(entries: Iterable[dict[str, Any]]) -> Iterable[Price]:
    for entry in entries:
        start, rate = entry["valid_from"], entry["usd_per_million"]
        yield Price(
            PriceKey(**{name: entry[name] for name in PriceKey._fields}),
            None if start is None else datetime.fromisoformat(start),
            None if rate is None else Decimal(rate),
        )
