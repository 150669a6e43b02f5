"""From genai-prices' conditional price blocks to dated prices of each kind.

There, of a model's blocks the last active one counts, whole: a price that it lacks is absent, whatever an earlier block
had. Blocks are bounded by a start date or by a daily window. Variants override single prices, the first active match
first (`ModelInfo.get_prices`). Here each price has a timeline of its own, so an absence is written as a step to None.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import NamedTuple

from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.pricing.prices import ANY, EARLIEST, STANDARD

KINDS: dict[str, tuple[str, int]] = {
    "input_mtok": ("input", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_5m_mtok": ("cache_write_5m", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "output_mtok": ("output", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "input_audio_mtok": ("input_audio", 1),
    "cache_audio_read_mtok": ("cache_audio_read", 1),
    "output_audio_mtok": ("output_audio", 1),
    "input_image_mtok": ("input_image", 1),
    "output_image_mtok": ("output_image", 1),
    "requests_kcount": ("requests", 1000),
}
"""Price keys of the package -> usage kind and how many of its units make a million.

Searches, pages, characters, hours and video have no bucket in TokensUpdated and are left out.
"""


class Label(NamedTuple):
    """The variant that prices are for."""

    service_tier: str = STANDARD
    region: str = ANY


LABELS: dict[tuple[str, str], Label | None] = {
    ("processing", "batch"): Label("batch"),
    ("service_tier", "priority"): Label("priority"),
    ("service_tier", "flex"): Label("flex"),
    ("service_tier", "fast"): Label("fast"),
    ("speed", "fast"): Label("fast"),
    ("route", "mistral/eu"): Label(region="eu"),
    # Says only that nothing is overridden.
    ("service_tier", "default"): None,
    # Prices of searches, which have no bucket.
    ("search_type", "fast"): None,
    ("search_type", "web"): None,
}
"""A variant's condition -> our service tier and region; None, like a condition not listed: nothing that we price."""

Slot = tuple[str, str, int]
"""Daily window, usage kind, context tier."""
Step = tuple[datetime, Decimal | None]
Timeline = dict[Slot, list[Step]]
"""Per slot its prices in USD per million in order of their starts."""


def _start(constraint: object) -> datetime:
    if isinstance(constraint, StartDateConstraint):
        return datetime.combine(constraint.start_date, time(), UTC)
    return EARLIEST


def _window(constraint: TimeOfDateConstraint) -> str:
    bounds = (constraint.start_time, constraint.end_time)
    if any(bound.utcoffset() or bound.second or bound.microsecond for bound in bounds):
        raise InvalidInput(f"genai-prices: the daily window {bounds} is not in whole minutes of UTC")
    return "-".join(bound.strftime("%H:%M") for bound in bounds)


def _kind_rates(prices: ModelPrice) -> Iterator[tuple[str, int, Decimal]]:
    """Each price of a block by kind and context tier, in USD per million."""
    given = {KINDS[key]: value for key, value in prices.__dict__.items() if key in KINDS and value is not None}
    rates = {kind: (value, units) for (kind, units), value in given.items()}
    if plain_write := rates.pop("cache_write", None):
        # The package's plain cache write covers the durations that have no price of their own.
        if "cache_write_5m" in rates:
            rates.setdefault("cache_write_1h", plain_write)
        rates.setdefault("cache_write_5m", plain_write)
    for kind, (value, units) in rates.items():
        if isinstance(value, TieredPrices):
            yield kind, 0, value.base * units
            for tier in value.tiers:
                if tier.start < 1:
                    raise InvalidInput(f"genai-prices: a context tier of {kind} starts at {tier.start}, below 1")
                yield kind, tier.start, tier.price * units
        else:
            yield kind, 0, value * units


def _steps(sections: Iterable[tuple[datetime, dict[Slot, Decimal]]]) -> Timeline:
    """The timeline of full sections in order: a step only where a price begins, changes or ends."""
    timeline: Timeline = {}
    for start, rates in sections:
        for slot in sorted(timeline.keys() | rates.keys()):
            rate = rates.get(slot)
            steps = timeline.setdefault(slot, [])
            if rate != (steps[-1][1] if steps else None):
                steps.append((start, rate))
    return timeline


def _section(blocks: list[ConditionalPrice], start: datetime) -> dict[Slot, Decimal]:
    dated = [
        number
        for number, block in enumerate(blocks)
        if not isinstance(block.constraint, TimeOfDateConstraint) and _start(block.constraint) <= start
    ]
    # Where no block is active, the package takes the first.
    base = max(dated, default=0)
    rates = {(ANY, kind, tier): rate for kind, tier, rate in _kind_rates(blocks[base].prices)}
    for block in blocks[base + 1 :] if dated else []:
        if isinstance(block.constraint, TimeOfDateConstraint):
            window = _window(block.constraint)
            rates |= {(window, kind, tier): rate for kind, tier, rate in _kind_rates(block.prices)}
    return rates


def standard_timeline(model: ModelInfo) -> Timeline:
    """The prices of requests without a service tier."""
    blocks = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    if not blocks:
        return {}
    starts = sorted({EARLIEST, *(_start(block.constraint) for block in blocks)})
    return _steps((start, _section(blocks, start)) for start in starts)


def _label(variant: PriceVariant) -> Label | None:
    condition, *others = variant.when.items()
    return None if others else LABELS.get(condition)


def _variant_section(variants: list[PriceVariant], start: datetime) -> dict[Slot, Decimal]:
    rates: dict[Slot, Decimal] = {}
    taken: set[str] = set()
    for variant in variants:
        if isinstance(variant.constraint, TimeOfDateConstraint):
            raise InvalidInput("genai-prices: a price variant with a daily window is not supported")
        if _start(variant.constraint) <= start:
            found = [(kind, tier, rate) for kind, tier, rate in _kind_rates(variant.prices) if kind not in taken]
            rates |= {(ANY, kind, tier): rate for kind, tier, rate in found}
            taken |= {kind for kind, _, _ in found}
    return rates


def variant_timelines(model: ModelInfo) -> dict[Label, Timeline]:
    """The prices of each service tier and region that has its own."""
    by_label: dict[Label, list[PriceVariant]] = {}
    for variant in model.price_variants or ():
        if label := _label(variant):
            by_label.setdefault(label, []).append(variant)
    timelines: dict[Label, Timeline] = {}
    for label, variants in by_label.items():
        starts = sorted({_start(variant.constraint) for variant in variants})
        timelines[label] = _steps((start, _variant_section(variants, start)) for start in starts)
    return timelines
