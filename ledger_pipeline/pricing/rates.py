"""The rates of one model over time, and the rate card of one request."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, product

from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.prices import ANY, FALLBACKS, REQUESTS, STANDARD, BookedPrice, PriceKey, plain

PICO_USD = 10**12
"""Rates and costs are whole numbers of 10^-12 USD inside, so that no rounding hides in the arithmetic."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a usage kind costs on a rate card. `priced_as` is the kind whose price it is, after fallbacks."""

    price_id: str
    priced_as: str
    context_tier: int
    usd_per_million: str
    pico_usd_per_million: int


RateCard = Mapping[str, Rate]
"""The rate of each usage kind that has one."""


MINUTES_A_DAY = 24 * 60
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Segment:
    """The rate card of all requests from `start` to before `end` (None: without bound), of more than `above` and at
    most `upto` input tokens, in the minutes of the day from `first_minute` to before `minute_behind`, UTC.
    """

    start: datetime | None
    end: datetime | None
    above: int
    upto: int | None
    first_minute: int
    minute_behind: int
    card: RateCard | UnpricedReason


class _Series:
    """The prices of one key over time."""

    __slots__ = ("prices", "starts")

    def __init__(self, prices: Iterable[BookedPrice]) -> None:
        self.prices = sorted(prices, key=lambda price: price.valid_from)
        self.starts = [price.valid_from for price in self.prices]

    def at(self, time: datetime) -> BookedPrice | None:
        index = bisect_right(self.starts, time) - 1
        price = self.prices[index] if index >= 0 else None
        return price if price and price.usd_per_million is not None else None


def _in_window(window: str, minute: int) -> bool:
    start, end = (int(bound[:2]) * 60 + int(bound[3:]) for bound in window.split("-"))
    return start <= minute < end if start <= end else minute >= start or minute < end


class ModelPrices:
    """The prices of one model in all its variants.

    An admin's price wins over the catalogue's of the same key only: of the same context tier and daily window too.
    """

    def __init__(self, catalogue: Iterable[BookedPrice], admin: Iterable[BookedPrice]) -> None:
        by_source: tuple[dict[PriceKey, list[BookedPrice]], ...] = ({}, {})
        for prices, rows in zip(by_source, (catalogue, admin), strict=True):
            for row in rows:
                prices.setdefault(row.key, []).append(row)
        self._catalogue, self._admin = ({key: _Series(rows) for key, rows in prices.items()} for prices in by_source)
        keys = self._catalogue.keys() | self._admin.keys()
        self._starts = sorted(
            {s for series in (self._catalogue, self._admin) for v in series.values() for s in v.starts}
        )
        self._thresholds = sorted({key.context_tier for key in keys} | {0})
        self._windows = sorted({key.daily_window for key in keys} - {ANY})
        self._regions = {key.region for key in keys}
        self._kinds = sorted({key.usage_kind for key in keys})
        self._keys = {(k.service_tier, k.region, k.daily_window, k.usage_kind): k for k in sorted(keys, reverse=True)}
        self._cards: dict[tuple[str, str, int, tuple[str, ...], int], RateCard | UnpricedReason] = {}

    def card(self, service_tier: str, region: str, time: datetime, input_tokens: int) -> RateCard | UnpricedReason:
        """The rates of a request of that variant, time and number of input tokens, or why there are none."""
        windows: tuple[str, ...] = ()
        if self._windows:
            utc = time.astimezone(UTC)
            windows = self._windows_at(utc.hour * 60 + utc.minute)
        tier_number = max(bisect_left(self._thresholds, input_tokens), 1)
        return self._card(service_tier, region, time, windows, tier_number)

    def segments(self, service_tier: str, region: str) -> Iterator["Segment"]:
        """The rate cards of every request of that variant; each request is in exactly one segment."""
        periods = pairwise((None, *self._starts, None))
        above_base = self._thresholds[1:]
        sizes = enumerate(zip([-1, *above_base], [*above_base, None], strict=True), start=1)
        bounds = {int(bound[:2]) * 60 + int(bound[3:]) for window in self._windows for bound in window.split("-")}
        minutes = pairwise(sorted({0, MINUTES_A_DAY, *bounds}))
        for (start, end), (number, (above, upto)), (first, behind) in product(periods, sizes, minutes):
            card = self._card(service_tier, region, start or BEFORE_ALL, self._windows_at(first), number)
            yield Segment(start, end, above, upto, first, behind, card)

    def _windows_at(self, minute: int) -> tuple[str, ...]:
        return tuple(window for window in self._windows if _in_window(window, minute))

    def _card(
        self, service_tier: str, region: str, time: datetime, windows: tuple[str, ...], tier_number: int
    ) -> RateCard | UnpricedReason:
        """The rate card of a period, a part of the day and a number of the context tiers that a request exceeds."""
        period = bisect_right(self._starts, time)
        place = (service_tier, region if region in self._regions else ANY, period, windows, tier_number)
        card = self._cards.get(place)
        if card is None:
            card = self._cards[place] = self._build(*place[:2], time, windows, self._thresholds[:tier_number])
        return card

    def _price(self, key: PriceKey, time: datetime) -> BookedPrice | None:
        admin = self._admin.get(key)
        catalogue = self._catalogue.get(key)
        return (admin and admin.at(time)) or (catalogue.at(time) if catalogue else None)

    def _layer(
        self, tier: str, region: str, window: str, time: datetime, tiers: Sequence[int]
    ) -> dict[str, BookedPrice]:
        """Per kind the price at its highest context tier that the request exceeds."""
        found: dict[str, BookedPrice] = {}
        for kind in self._kinds:
            sample = self._keys.get((tier, region, window, kind))
            if sample is None:
                continue
            prices = (self._price(sample._replace(context_tier=threshold), time) for threshold in reversed(tiers))
            price = next((price for price in prices if price), None)
            if price:
                found[kind] = price
        return found

    def _build(
        self, tier: str, region: str, time: datetime, windows: tuple[str, ...], tiers: Sequence[int]
    ) -> RateCard | UnpricedReason:
        own: dict[str, BookedPrice] = {}
        has_tier = False
        for layer_tier in dict.fromkeys((tier, STANDARD)):
            for layer_region in dict.fromkeys((region, ANY)):
                # A daily window that is priced replaces the rest of the day's prices as a whole.
                layers = (self._layer(layer_tier, layer_region, window, time, tiers) for window in (*windows, ANY))
                layer = next((layer for layer in layers if layer), {})
                has_tier = has_tier or (layer_tier == tier and bool(layer))
                own = layer | own
        if not own:
            return UnpricedReason.NO_PRICE
        if not has_tier:
            return UnpricedReason.NO_SERVICE_TIER
        card: dict[str, Rate] = {}
        for kind, chain in (*FALLBACKS.items(), (REQUESTS, (REQUESTS,))):
            priced_as = next((candidate for candidate in chain if candidate in own), None)
            if priced_as:
                card[kind] = _rate(own[priced_as], priced_as)
        return card


def _rate(price: BookedPrice, priced_as: str) -> Rate:
    rate = price.usd_per_million
    if rate is None:
        raise ValueError(f"price {price.price_id} is an end, not a price")
    return Rate(str(price.price_id), priced_as, price.key.context_tier, plain(rate), int(rate * PICO_USD))
