"""What many model calls cost, as one set: the same rules, rates and rounding as `costing.cost`, call by call.

Which rates a request has is asked of the price book once for each variant that occurs: it answers every segment of
time, size and part of the day in which one rate card holds. DuckDB joins the calls to them and does the arithmetic, in
whole 10^-12 USD.
"""

# pyarrow and duckdb have no complete types.
# pyright: reportUnknownParameterType=false
# ruff: noqa: S608  names of columns are our own

import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import ESTIMATED_USD_PER_TOKEN, MAX_PICO_USD, MILLION
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.prices import INPUT_KINDS, REQUESTS
from ledger_pipeline.pricing.rates import MINUTES_A_DAY, PICO_USD, RateCard

VARIANT = ("provider", "model", "service_tier", "region")
COUNTS = {**{kind: f"{kind}_tokens" for kind in USAGE_KINDS}, REQUESTS: "requests"}
"""Charged kind -> the column that counts it."""
CALL_COLUMNS = (*VARIANT, "occurred_at", *COUNTS.values())
"""What a table of calls must have, named and typed as in `TokensUpdated`; it may have more."""
COST_COLUMNS = {kind: f"{kind}_cost_usd" for kind in COUNTS}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ENDLESS = 2**63 - 1
_INPUT = " + ".join(COUNTS[kind] for kind in INPUT_KINDS)
_TOKENS = " + ".join(COUNTS[kind] for kind in USAGE_KINDS)
_MINUTES_TO_BE_POSITIVE = MINUTES_A_DAY * 10**6
_PICO = pa.decimal128(38, 0)
_USD = pa.decimal128(38, 12)
_SEGMENTS = pa.schema(
    [
        *((name, pa.string()) for name in VARIANT),
        *((name, pa.int64()) for name in ("start_us", "end_us", "above", "upto", "first_minute", "minute_behind")),
        *((name, pa.string()) for name in ("serving_provider", "priced_model", "reason")),
        *((f"{kind}_rate", _PICO) for kind in COUNTS),
        *((f"{kind}_tier", pa.int64()) for kind in COUNTS),
    ]
)


def _charged(kind: str) -> str:
    """Whether a bucket is charged: one that has something; requests only where they have a price."""
    has_any = f"call.{COUNTS[kind]} > 0"
    return f"{has_any} AND segment.{kind}_rate IS NOT NULL" if kind == REQUESTS else has_any


def _pico(kind: str) -> str:
    """ROUND_HALF_UP(count × rate / 10^6) where the bucket is charged; exact: below 2 × 10^12 × 10^21."""
    product = f"2 * CAST(call.{COUNTS[kind]} AS HUGEINT) * CAST(segment.{kind}_rate AS HUGEINT)"
    return f"CASE WHEN {_charged(kind)} THEN ({product} + {MILLION}) // {2 * MILLION} END AS {kind}_pico"


def _component(kind: str) -> str:
    return f"CAST(CASE WHEN reason IS NULL THEN {kind}_pico END AS DECIMAL(38, 0)) AS {COST_COLUMNS[kind]}"


_ANY_WITHOUT_RATE = " OR ".join(f"(call.{COUNTS[kind]} > 0 AND segment.{kind}_rate IS NULL)" for kind in USAGE_KINDS)
_TOTAL = " + ".join(f"coalesce({kind}_pico, 0)" for kind in COUNTS)
_HIGHEST_TIER = ", ".join(f"CASE WHEN {_charged(kind)} THEN segment.{kind}_tier ELSE 0 END" for kind in COUNTS)
_COSTED = f"""
WITH charged AS (
    SELECT
        call.nth,
        segment.serving_provider,
        segment.priced_model,
        coalesce(segment.reason, CASE WHEN {_ANY_WITHOUT_RATE} THEN '{UnpricedReason.NO_KIND.value}' END) AS reason,
        call.tokens,
        greatest({_HIGHEST_TIER}) AS context_tier,
        {", ".join(map(_pico, COUNTS))}
    FROM (
        SELECT
            *,
            CAST({_INPUT} AS BIGINT) AS input_size,
            CAST({_TOKENS} AS BIGINT) AS tokens,
            epoch_us(occurred_at) AS us
        FROM calls
    ) AS call
    INNER JOIN segments AS segment
        ON {" AND ".join(f"call.{name} IS NOT DISTINCT FROM segment.{name}" for name in VARIANT)}
        AND call.us >= segment.start_us
        AND call.us < segment.end_us
        AND call.input_size > segment.above
        AND call.input_size <= segment.upto
        AND (call.us // 60000000 + {_MINUTES_TO_BE_POSITIVE}) % {MINUTES_A_DAY} >= segment.first_minute
        AND (call.us // 60000000 + {_MINUTES_TO_BE_POSITIVE}) % {MINUTES_A_DAY} < segment.minute_behind
),

totalled AS (
    SELECT *, {_TOTAL} AS total_pico
    FROM charged
),

judged AS (
    SELECT
        * REPLACE (
            CASE
                WHEN reason IS NULL AND total_pico > {MAX_PICO_USD} THEN '{UnpricedReason.OUT_OF_RANGE.value}'
                ELSE reason
            END AS reason
        )
    FROM totalled
)

SELECT
    nth,
    serving_provider AS provider,
    priced_model,
    CASE WHEN reason IS NULL THEN context_tier END AS context_tier,
    {", ".join(map(_component, COUNTS))},
    CAST(CASE WHEN reason IS NULL THEN total_pico END AS DECIMAL(38, 0)) AS cost_usd,
    CAST(
        CASE WHEN reason IS NOT NULL THEN tokens * CAST({int(ESTIMATED_USD_PER_TOKEN * PICO_USD)} AS HUGEINT) END
        AS DECIMAL(38, 0)
    ) AS estimated_cost_usd,
    reason AS unpriced_reason
FROM judged
ORDER BY nth
"""


@contextmanager
def computing() -> Generator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory, in UTC; what does not fit spills into the system's folder of temporary files."""
    spill = Path(tempfile.gettempdir()) / f"ledger-costs-{os.getuid()}-{os.getpid()}"
    connection = duckdb.connect(":memory:", config={"temp_directory": str(spill)})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def cost_calls(book: PriceBook, calls: pa.Table) -> pa.Table:
    """What each call costs as the book knows it, row by row in the order of `calls`.

    `provider` is who serves it, `priced_model` the book's `provider/model`; a cost in USD for each bucket that is
    charged and their sum, or an estimate and the reason.
    """
    with computing() as connection:
        numbered = calls.select(CALL_COLUMNS).append_column("nth", pa.array(range(len(calls)), pa.int64()))
        connection.register("calls", numbered)
        variants = connection.execute(f"SELECT DISTINCT {', '.join(VARIANT)} FROM calls").fetchall()
        rows = [row for variant in variants for row in _segments(book, *variant)]
        connection.register("segments", pa.Table.from_pylist(rows, _SEGMENTS))
        found = connection.sql(_COSTED).to_arrow_table()
    if len(found) != len(calls):
        raise AssertionError(f"{len(calls)} calls have {len(found)} costs: segments of rate cards overlap or have gaps")
    return pa.table({name: _in_usd(name, found.column(name)) for name in found.column_names if name != "nth"})


def _in_usd(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of whole 10^-12 USD as USD with 12 decimals: the same integers."""
    if not name.endswith("cost_usd"):
        return column
    chunks = [pa.Array.from_buffers(_USD, len(chunk), chunk.buffers(), offset=chunk.offset) for chunk in column.chunks]
    return pa.chunked_array(chunks, _USD)


def _segments(
    book: PriceBook, provider: str | None, model: str, service_tier: str | None, region: str | None
) -> Iterable[dict[str, Any]]:
    variant = dict(zip(VARIANT, (provider, model, service_tier, region), strict=True))
    resolved = book.resolve(provider, model)
    named = variant | {"serving_provider": resolved.provider}
    if resolved.reason:
        yield named | _bounds(None, None, -1, None, 0, MINUTES_A_DAY) | {"reason": resolved.reason.value}
        return
    named["priced_model"] = f"{resolved.price_provider}/{resolved.model}"
    segments = book.segments(resolved, book.service_tier(service_tier), region)
    if isinstance(segments, UnpricedReason):
        yield named | _bounds(None, None, -1, None, 0, MINUTES_A_DAY) | {"reason": segments.value}
        return
    for one in segments:
        bounds = _bounds(one.start, one.end, one.above, one.upto, one.first_minute, one.minute_behind)
        yield named | bounds | _rates(one.card)


def _bounds(
    start: datetime | None, end: datetime | None, above: int, upto: int | None, first_minute: int, minute_behind: int
) -> dict[str, int]:
    return {
        "start_us": -_ENDLESS if start is None else (start - _EPOCH) // _MICROSECOND,
        "end_us": _ENDLESS if end is None else (end - _EPOCH) // _MICROSECOND,
        "above": above,
        "upto": _ENDLESS if upto is None else upto,
        "first_minute": first_minute,
        "minute_behind": minute_behind,
    }


def _rates(card: RateCard | UnpricedReason) -> dict[str, Any]:
    if isinstance(card, UnpricedReason):
        return {"reason": card.value}
    return {f"{kind}_rate": rate.pico_usd_per_million for kind, rate in card.items()} | {
        f"{kind}_tier": rate.context_tier for kind, rate in card.items()
    }
