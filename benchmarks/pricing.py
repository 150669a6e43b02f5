"""Costing a million calls as one set beside `genai-prices` in a loop on the same calls: `python -m benchmarks.pricing`.

Both price from the same catalogue: the embedded one, of the models that occur in the calls. The loop takes a part of
them and its rate is scaled; on that part every cost must be the same after our rounding. Its token counts include
the cached ones, ours are disjoint: the conversion is not timed.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from statistics import median
from typing import Any

import pyarrow as pa
from genai_prices import Usage, calc_price

from benchmarks.result import Result, print_table
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.pricing.book import book_of
from ledger_pipeline.pricing.set_costing import COUNTS, VARIANT, cost_calls
from ledger_pipeline.pricing.sources.genai import GenaiPrices

CALLS = 1_000_000
IN_A_LOOP = 20_000
ROUNDS = 3
TARGET_RATIO = 20.0
MODELS = (
    *(("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-opus-4-1"), ("openai", "gpt-4o"), ("openai", "gpt-5")),
    *(("google", "gemini-2.5-pro"), ("google", "gemini-2.5-flash"), ("openai", "gpt-4o-mini"), ("x-ai", "grok-4")),
)
START = datetime(2025, 11, 1, tzinfo=UTC)
_PLACES = Decimal("1e-12")


def run(calls: int = CALLS, baseline: int = IN_A_LOOP) -> list[Result]:
    """Medians over the rounds; raises AssertionError for a cost that differs."""
    table = calls_of(calls, Random(1))  # noqa: S311  the same calls in every run
    book = book_of(GenaiPrices().read(START))
    part = table.slice(0, min(calls, baseline)).to_pylist()
    usages = [
        (
            Usage(
                input_tokens=row["input_tokens"] + row["cache_read_tokens"],
                cache_read_tokens=row["cache_read_tokens"],
                output_tokens=row["output_tokens"],
            ),
            row,
        )
        for row in part
    ]
    loop_rates: list[float] = []
    set_rates: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        looped = [
            calc_price(usage, row["model"], provider_id=row["provider"], genai_request_timestamp=row["occurred_at"])
            for usage, row in usages
        ]
        loop_rates.append(len(usages) / (time.perf_counter() - began))
        began = time.perf_counter()
        costs = cost_calls(book, table)
        set_rates.append(calls / (time.perf_counter() - began))
        ours = costs.column("cost_usd").slice(0, len(looped)).to_pylist()
        differing = [
            (row, cost, price.total_price)
            for (_, row), cost, price in zip(usages, ours, looped, strict=True)
            if cost != price.total_price.quantize(_PLACES, ROUND_HALF_UP)
        ]
        assert not differing, f"{len(differing)} costs differ; the first: {differing[0]}"
    ratios = [ours / loop for ours, loop in zip(set_rates, loop_rates, strict=True)]
    return [
        Result("genai-prices in a loop", median(loop_rates), 1.0),
        Result("set-based costing", median(set_rates), median(ratios), TARGET_RATIO),
    ]


def calls_of(count: int, random: Random) -> pa.Table:
    """Calls of a year, of sizes around the context tiers."""
    columns: dict[str, list[Any]] = {f"{kind}_tokens": [0] * count for kind in USAGE_KINDS}
    columns["requests"] = [1] * count
    named = [random.choice(MODELS) for _ in range(count)]
    columns["provider"] = [provider for provider, _ in named]
    columns["model"] = [model for _, model in named]
    columns["service_tier"] = columns["region"] = [None] * count
    columns["occurred_at"] = [START + timedelta(seconds=random.randrange(365 * 86_400)) for _ in range(count)]
    for name, most in (("input_tokens", 250_000), ("cache_read_tokens", 60_000), ("output_tokens", 4_000)):
        columns[name] = [random.randrange(most) for _ in range(count)]
    types = {name: pa.string() for name in VARIANT} | {"occurred_at": pa.timestamp("us", tz="UTC")}
    names = (*types, *COUNTS.values())
    return pa.table({name: pa.array(columns[name], types.get(name, pa.int64())) for name in names})


def main() -> None:
    """Prints the table."""
    print_table("costing", run(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS), "× loop")


if __name__ == "__main__":
    main()
