"""Prices that an administrator sets and takes back: rows like a catalogue's, which win over every catalogue."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Connection

from ledger_pipeline.arguments import shown, text_of
from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.events.columns import MAX_TOKENS
from ledger_pipeline.hot.acting import acting
from ledger_pipeline.pricing.book import LOCK, load_book, read_sql
from ledger_pipeline.pricing.prices import ANY, FALLBACKS, LONGEST_NAME, REQUESTS, STANDARD, PriceKey, quantized_rate

PRICED_KINDS: tuple[str, ...] = (*FALLBACKS, REQUESTS)
"""The usage kinds that a price may be for."""

_DAILY_WINDOW = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class Variant:
    """Which requests of a model a price is for; the fields of `PriceKey` without the usage kind."""

    provider: str | None
    model: str
    service_tier: str = STANDARD
    region: str = ANY
    context_tier: int = 0
    daily_window: str = ANY
    exact_name: bool = False
    """The model is this very name, also where the book takes it for another one's."""


@dataclass(frozen=True, slots=True)
class SetPrice:
    """A row that was booked; `usd_per_million` None: an end, or a withdrawal."""

    price_id: UUID
    key: PriceKey
    valid_from: datetime
    known_from: datetime
    usd_per_million: Decimal | None
    withdrawn: bool


def set_prices(
    conn: Connection[dict[str, Any]],
    variant: Variant,
    rates: Mapping[str, Decimal | None],
    *,
    valid_from: datetime,
    reason: str,
    operator: str,
    now: datetime,
) -> list[SetPrice]:
    """Books USD per million of one or more usage kinds from `valid_from` on; None: from then on the catalogues' holds.

    A `valid_from` that was set before is corrected, known from `now`. The model may be named as calls name it. Raises
    InvalidInput for a kind that there is not, a rate that is no price, a variant that no request could have, a model
    without a provider that the book doesn't know, and one that its provider prices as another provider does.
    """
    rows: list[tuple[str, Decimal | None]] = []
    for kind, rate in rates.items():
        if kind not in PRICED_KINDS:
            raise InvalidInput(f"usage kind {kind!r} is not known; allowed: {', '.join(PRICED_KINDS)}")
        rows.append((kind, None if rate is None else quantized_rate(rate, kind)))
    if not rows:
        raise InvalidInput(f"rate: name at least one usage kind; allowed: {', '.join(PRICED_KINDS)}")
    return _book(conn, variant, rows, valid_from, reason, operator, now, withdrawn=False)


def withdraw_prices(
    conn: Connection[dict[str, Any]],
    variant: Variant,
    kinds: tuple[str, ...],
    *,
    valid_from: datetime,
    reason: str,
    operator: str,
    now: datetime,
) -> list[SetPrice]:
    """Takes back what an administrator set from `valid_from` on, as if it had never been; no kinds: all that was set.

    What was known before `now` stays known. Raises NotFound when nothing of that was set.
    """
    key = _key(conn, variant)
    standing = [
        row["usage_kind"]
        for row in conn.execute(read_sql("standing_admin_prices"), {**key._asdict(), "valid_from": valid_from})
        if not row["withdrawn"]
    ]
    missing = [kind for kind in kinds if kind not in standing]
    if missing or not standing:
        what = ", ".join(missing) or "price"
        raise NotFound(
            f"no {what} of {key.provider}/{key.model} was set by hand from {valid_from.isoformat()} on: "
            "`prices list` shows what was"
        )
    rows = [(kind, None) for kind in kinds or standing]
    return _book(conn, variant, rows, valid_from, reason, operator, now, withdrawn=True)


def _book(
    conn: Connection[dict[str, Any]],
    variant: Variant,
    rows: Sequence[tuple[str, Decimal | None]],
    valid_from: datetime,
    reason: str,
    operator: str,
    now: datetime,
    *,
    withdrawn: bool,
) -> list[SetPrice]:
    reason, operator = text_of("reason", reason), text_of("operator", operator)
    for name, time in (("valid_from", valid_from), ("now", now)):
        if time.tzinfo is None:
            raise InvalidInput(f"{name}: {time.isoformat()} has no time zone: give an offset such as +00:00")
    booked: list[SetPrice] = []
    with acting(conn, reason=reason):
        conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        variant_key = _key(conn, variant)
        for kind, rate in rows:
            key = variant_key._replace(usage_kind=kind)
            parameters = key._asdict() | {
                "valid_from": valid_from,
                "usd_per_million": rate,
                "withdrawn": withdrawn,
                "operator": operator,
                "reason": reason,
                "now": now,
            }
            row = conn.execute(read_sql("set_price"), parameters).fetchone()
            assert row is not None
            booked.append(SetPrice(row["id"], key, valid_from, row["known_from"], rate, withdrawn))
    return booked


def _key(conn: Connection[dict[str, Any]], variant: Variant) -> PriceKey:
    """The key of the variant's prices, its usage kind still empty."""
    if not 0 <= variant.context_tier <= MAX_TOKENS:
        raise InvalidInput(f"context tier: {variant.context_tier} is no number of tokens; allowed: 0 to {MAX_TOKENS}")
    if variant.daily_window != ANY and not _DAILY_WINDOW.fullmatch(variant.daily_window):
        raise InvalidInput(
            f"daily window: {variant.daily_window!r} is no part of a day; allowed: HH:MM-HH:MM in UTC, or {ANY}"
        )
    model = text_of("model", variant.model).strip()
    book = load_book(conn)
    resolved = book.resolve(variant.provider, model)
    if resolved.reason is None and not variant.exact_name:
        if resolved.provider != resolved.price_provider:
            raise InvalidInput(
                f"model: {resolved.provider} has no price of its own for {model!r}, it takes that of "
                f"{resolved.price_provider}/{resolved.model}: name that to change it for both, or set one apart with "
                f"provider {resolved.provider} and --exact-name"
            )
        provider, model = resolved.price_provider, resolved.model
    else:
        # The book's name of a provider first: a new one by another name of it would take all of its calls away.
        provider = (resolved.provider or variant.provider or "").strip().lower()
    if not provider:
        raise InvalidInput(f"provider: is missing, and the price book doesn't know whose model {model!r} is: name it")
    service_tier = book.service_tier(text_of("service tier", variant.service_tier))
    region = text_of("region", variant.region).lower()
    named = {"provider": provider, "model": model, "service tier": service_tier, "region": region}
    for field, name in named.items():
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InvalidInput(f"{field}: {shown(name)} is no name; allowed: up to {LONGEST_NAME} printable characters")
    return PriceKey(
        provider,
        model,
        service_tier,
        region,
        variant.context_tier,
        variant.daily_window,
        "",
    )
