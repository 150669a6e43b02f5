"""The embedded catalogue: the data of the installed `genai-prices` package, read without any network call."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from genai_prices import types as genai

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.pricing.clauses import Clause
from ledger_pipeline.pricing.prices import ANY, EARLIEST, Price, PriceKey, quantized_rate
from ledger_pipeline.pricing.sources.genai_timeline import Label, Timeline, standard_timeline, variant_timelines
from ledger_pipeline.pricing.sources.naming import naming_rules
from ledger_pipeline.pricing.sources.source import NameRule, PriceCatalogue, RuleKind

CLAUSE_KINDS: Final = {
    genai.ClauseEquals: "equals",
    genai.ClauseStartsWith: "starts_with",
    genai.ClauseEndsWith: "ends_with",
    genai.ClauseContains: "contains",
    genai.ClauseRegex: "regex",
    genai.ClauseOr: "or",
    genai.ClauseAnd: "and",
}
FREE_SUFFIX: Final = ":free"


def clause_of(logic: Any) -> Clause:
    """A clause of the package as data."""
    kind = CLAUSE_KINDS[type(logic)]
    if kind in ("or", "and"):
        return {kind: [clause_of(part) for part in getattr(logic, f"{kind}_")]}
    return {kind: getattr(logic, kind)}


def _rows(provider: str, model: str, label: Label, timeline: Timeline) -> Iterator[Price]:
    for (window, kind, context_tier), steps in timeline.items():
        key = PriceKey(provider, model, label.service_tier, label.region, context_tier, window, kind)
        where = f"genai-prices: {provider}/{model} {kind}"
        for start, rate in steps:
            yield Price(key, start, None if rate is None else quantized_rate(rate, where))


def _model_prices(provider: str, model: genai.ModelInfo) -> Iterator[Price]:
    standard: Timeline = standard_timeline(model)
    if not standard and model.id.endswith(FREE_SUFFIX):
        # No price at all means many things here (free, by subscription, unknown): free only where the name says so.
        for kind in ("input", "output"):
            standard[ANY, kind, 0] = [(EARLIEST, Decimal(0))]
    yield from _rows(provider, model.id, Label(), standard)
    for label, timeline in variant_timelines(model).items():
        yield from _rows(provider, model.id, label, timeline)


def _rules(provider: genai.Provider) -> Iterator[NameRule]:
    if provider.model_match:
        yield NameRule(RuleKind.OWNER, clause_of(provider.model_match), provider.id)
    if provider.fallback_model_providers:
        others: Clause = {"or": [{"equals": other} for other in provider.fallback_model_providers]}
        yield NameRule(RuleKind.FALLBACK, others, provider.id)
    for model in provider.models:
        yield NameRule(RuleKind.MODEL, clause_of(model.match), provider.id, model.id)


@cache
def _catalogue() -> PriceCatalogue:
    # Not through the package's snapshot: an application that turned its updater on would replace that one.
    from genai_prices.data import providers

    prices = tuple(price for owner in providers for model in owner.models for price in _model_prices(owner.id, model))
    if len({(price.key, price.valid_from) for price in prices}) < len(prices):
        raise InvalidInput("genai-prices: two prices of one model variant start at the same time")
    rules = (*naming_rules(), *(rule for provider in providers for rule in _rules(provider)))
    return PriceCatalogue(GenaiPrices.name, version("genai-prices"), dated=True, prices=prices, rules=rules)


class GenaiPrices:
    """The `genai-prices` package: dated prices, context tiers, service tiers and daily windows, offline."""

    name = "genai-prices"

    def read(self, now: datetime) -> PriceCatalogue:
        """The installed package's catalogue, the same at any time."""
        del now
        return _catalogue()
