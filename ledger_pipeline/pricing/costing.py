"""What one model call costs: computed before its event is appended, and from then on a fact of the event.

Each token bucket is charged by itself: component = tokens × USD per million / 10^6, rounded half up to 12 decimals;
the total is the sum of the components. A bucket without tokens has no component (NULL, not 0). The call's time, its
service tier and region, and its number of input tokens (all input buckets, cached ones included) choose the prices.
A call whose model, time, tier or some used bucket has no price is unpriced as a whole: no cost, an estimate of $0.01 a
token, and the reason. What the source recorded as cost is never used.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from ledger_pipeline.events.catalogue import USAGE_KINDS, TokensUpdated
from ledger_pipeline.events.columns import MAX_USD
from ledger_pipeline.events.enums import PricingStatus
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.prices import INPUT_KINDS, REQUESTS
from ledger_pipeline.pricing.rates import PICO_USD, RateCard

logger = logging.getLogger(__name__)

ESTIMATED_USD_PER_TOKEN = Decimal("0.01")
MILLION = 10**6
MAX_PICO_USD = int(MAX_USD) * PICO_USD
EXACT = Context(prec=60)
"""Wide enough for every amount in range, so that the default 28 digits never round one."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What costing needs to know of a call; `tokens` are the disjoint buckets, in the order of `USAGE_KINDS`."""

    provider: str | None
    model: str
    time: datetime
    tokens: tuple[int, ...]
    requests: int = 1
    service_tier: str | None = None
    region: str | None = None


class Component(NamedTuple):
    """The cost of one bucket, with the price that it names."""

    usage_kind: str
    tokens: int
    cost_usd: Decimal
    price: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a call in USD: components and total when priced, estimate and reason when not.

    `model` is the book's name, `provider/model`; `context_tier` the highest threshold of input tokens that one of its
    prices starts above.
    """

    provider: str | None
    model: str | None = None
    context_tier: int = 0
    components: tuple[Component, ...] = ()
    total_usd: Decimal | None = None
    estimate_usd: Decimal | None = None
    reason: UnpricedReason | None = None

    @property
    def status(self) -> PricingStatus:
        """Whether the call is priced."""
        return PricingStatus.PRICED if self.reason is None else PricingStatus.UNPRICED


def _usd(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-12, EXACT)


def _rounded(count: int, pico_usd_per_million: int) -> int:
    """ROUND_HALF_UP(count × rate / 10^6) in whole 10^-12 USD; neither is negative."""
    return (2 * count * pico_usd_per_million + MILLION) // (2 * MILLION)


_INPUT_PLACES = tuple(place for place, kind in enumerate(USAGE_KINDS) if kind in INPUT_KINDS)


def _unpriced(usage: Usage, reason: UnpricedReason, provider: str | None, model: str | None = None) -> Cost:
    estimate = ESTIMATED_USD_PER_TOKEN * sum(usage.tokens)
    return Cost(provider, model, estimate_usd=estimate, reason=reason)


def _components(usage: Usage, card: RateCard) -> tuple[list[Component], int, int] | None:
    """Components, their sum in 10^-12 USD and the highest context tier; None when a used bucket has no price."""
    components: list[Component] = []
    total = context_tier = 0
    charged = [(kind, count) for kind, count in zip(USAGE_KINDS, usage.tokens, strict=True) if count]
    if usage.requests and REQUESTS in card:
        charged.append((REQUESTS, usage.requests))
    for kind, count in charged:
        rate = card.get(kind)
        if rate is None:
            return None
        pico = _rounded(count, rate.pico_usd_per_million)
        total += pico
        context_tier = max(context_tier, rate.context_tier)
        price: dict[str, Any] = {
            "usage_kind": kind,
            "tokens": count,
            "usd_per_million": rate.usd_per_million,
            "price_id": rate.price_id,
        }
        if rate.priced_as != kind:
            price["priced_as"] = rate.priced_as
        components.append(Component(kind, count, _usd(pico), price))
    return components, total, context_tier


def cost(book: PriceBook, usage: Usage) -> Cost:
    """The cost of one call as the book knows it."""
    resolved = book.resolve(usage.provider, usage.model)
    if resolved.reason:
        return _unpriced(usage, resolved.reason, resolved.provider)
    model = f"{resolved.price_provider}/{resolved.model}"
    input_tokens = sum(usage.tokens[place] for place in _INPUT_PLACES)
    card = book.card(resolved, book.service_tier(usage.service_tier), usage.region, usage.time, input_tokens)
    if isinstance(card, UnpricedReason):
        return _unpriced(usage, card, resolved.provider, model)
    found = _components(usage, card)
    if found is None:
        return _unpriced(usage, UnpricedReason.NO_KIND, resolved.provider, model)
    components, total, context_tier = found
    if total > MAX_PICO_USD:
        return _unpriced(usage, UnpricedReason.OUT_OF_RANGE, resolved.provider, model)
    return Cost(resolved.provider, model, context_tier, tuple(components), _usd(total))


_tokens_of = attrgetter(*(f"{kind}_tokens" for kind in USAGE_KINDS))
_COST_COLUMNS = {kind: f"{kind}_cost_usd" for kind in (*USAGE_KINDS, REQUESTS)}


def usage_of(event: TokensUpdated) -> Usage:
    """What costing needs of a usage event."""
    return Usage(
        event.provider,
        event.model,
        event.occurred_at,
        _tokens_of(event),
        event.requests,
        event.service_tier,
        event.region,
    )


def price(book: PriceBook, event: TokensUpdated) -> TokensUpdated:
    """The event with its cost filled in; one that has a pricing status already is returned as it is.

    `provider` is filled when the client left it out, `priced_model` is the book's `provider/model`, `context_tier` the
    threshold of input tokens that the call exceeded (`0`: the base price). Each of the payload's `prices` names bucket,
    tokens, USD per million and price version, and `priced_as` where another kind's price stood in. An unpriced model is
    logged as a warning once per book.
    """
    if event.pricing_status is not None:
        return event
    found = cost(book, usage_of(event))
    update: dict[str, Any] = {
        "provider": event.provider or found.provider,
        "priced_model": found.model,
        "pricing_status": found.status,
    }
    if found.reason is None:
        update["cost_usd"] = found.total_usd
        update["context_tier"] = str(found.context_tier)
        update["prices"] = tuple(component.price for component in found.components)
        for component in found.components:
            update[_COST_COLUMNS[component.usage_kind]] = component.cost_usd
    else:
        update["estimated_cost_usd"] = found.estimate_usd
        update["unpriced_reason"] = found.reason.value
        _warn_once(book, event, found.reason)
    return event.model_copy(update=update)


def _warn_once(book: PriceBook, event: TokensUpdated, reason: UnpricedReason) -> None:
    names = (event.provider, event.model)
    if names not in book.warned:
        book.warned.add(names)
        logger.warning(
            "unpriced: model %r of provider %r: %s; estimated at $%s a token until it has a price",
            event.model,
            event.provider or "(not given)",
            reason.value,
            ESTIMATED_USD_PER_TOKEN,
        )
