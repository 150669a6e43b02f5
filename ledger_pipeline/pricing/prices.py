"""Prices as values: what a price is for, when it starts, and which price stands in where a kind has none."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import NamedTuple
from uuid import UUID

from ledger_pipeline.errors import InvalidInput

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""`valid_from` of a price that holds from the model's beginning: a catalogue's first price carries no date."""

STANDARD = "standard"
"""The service tier of a request that asks for none."""
ANY = "any"
"""Every region, or every time of day, that has no price of its own."""
ADMIN = "admin"
"""The source of prices that a person set: they win over every catalogue."""

LONGEST_NAME = 200
"""Characters of a provider's, a model's or a variant's name; longer ones are something else."""

RATE_PLACES = Decimal("1e-12")
MAX_RATE = Decimal(10) ** 9

FALLBACKS: dict[str, tuple[str, ...]] = {
    "input": ("input",),
    "cache_read": ("cache_read", "input"),
    "cache_write_5m": ("cache_write_5m", "input"),
    "cache_write_1h": ("cache_write_1h", "cache_write_5m", "input"),
    "output": ("output",),
    "reasoning": ("reasoning", "output"),
    "input_audio": ("input_audio", "input"),
    "cache_audio_read": ("cache_audio_read", "input_audio", "cache_read", "input"),
    "output_audio": ("output_audio", "output"),
    "input_image": ("input_image", "input"),
    "output_image": ("output_image", "output"),
}
"""Per token bucket, whose price it takes, best first: the most specific one that the model has.

It is the rule of `genai_prices.decompose`: tokens are charged at the most specific priced unit that includes them, and
a cache write's plain price covers both durations.
"""
REQUESTS = "requests"

INPUT_KINDS: tuple[str, ...] = tuple(kind for kind, chain in FALLBACKS.items() if chain[-1] == "input")
"""The buckets that together are a request's input, which context tiers count."""


class PriceKey(NamedTuple):
    """What one price is for: a usage kind of a model's variant.

    `context_tier`: applies, to the whole request, when it has MORE input tokens than this; 0 is the base price.
    `daily_window`: `HH:MM-HH:MM` UTC, start inclusive, end exclusive, or `any`.
    """

    provider: str
    model: str
    service_tier: str
    region: str
    context_tier: int
    daily_window: str
    usage_kind: str


@dataclass(frozen=True, slots=True)
class Price:
    """A price as a source states it, in USD per million tokens (for `requests`: per million requests).

    `valid_from` None: today's price of a source that gives no dates. `usd_per_million` None: from then on the source
    has no price of its own for this key.
    """

    key: PriceKey
    valid_from: datetime | None
    usd_per_million: Decimal | None


@dataclass(frozen=True, slots=True)
class BookedPrice:
    """A row of `model_pricing`, as one instant knows it."""

    price_id: UUID
    key: PriceKey
    valid_from: datetime
    usd_per_million: Decimal | None
    source: str


def quantized_rate(usd_per_million: Decimal, where: str) -> Decimal:
    """A rate rounded to 12 decimals, half up; raises InvalidInput when it is negative, not finite or absurd."""
    if not usd_per_million.is_finite() or not 0 <= usd_per_million <= MAX_RATE:
        raise InvalidInput(
            f"{where}: {usd_per_million} USD per million is no price; allowed: 0 to {MAX_RATE:,f}, finite"
        )
    with localcontext() as context:
        context.prec = 60
        return usd_per_million.quantize(RATE_PLACES, rounding=ROUND_HALF_UP)


def plain(amount: Decimal) -> str:
    """A decimal in plain digits without trailing zeros: `3.75`, never `3.750000000000` or `1E+1`."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
