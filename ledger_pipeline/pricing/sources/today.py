"""What a source without dates lists today, model by model; what is no price is left out and named."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import NamedTuple

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.prices import ANY, LONGEST_NAME, STANDARD, Price, PriceKey, quantized_rate
from ledger_pipeline.pricing.sources.source import NameRule, PriceCatalogue, RuleKind

MOST_MODELS = 20_000
MILLION = 10**6
_SHOWN_FAULTS = 3


class Slot(NamedTuple):
    """One price of a model that has a region and a daily window for none of them."""

    usage_kind: str
    context_tier: int = 0
    service_tier: str = STANDARD


class TodaysList:
    """Collects a source's models; `catalogue` answers what is sound of them."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._models: dict[tuple[str, str], dict[Slot, Decimal]] = {}
        self._zero: set[tuple[str, str]] = set()
        self._faults: dict[str, str] = {}

    def add(self, provider: str, model: str, rates: Mapping[Slot, Decimal]) -> None:
        """A model with its prices in USD per million, rounded here; faults of theirs leave the model out.

        One that costs nothing at all is priced only where its name says that it is free: elsewhere zero means free, by
        subscription or unknown.
        """
        name = f"{provider}/{model}"
        if not provider.strip() or not model.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            self.refuse(repr(name[:LONGEST_NAME]), "is no name of a model")
            return
        try:
            sound = {slot: quantized_rate(rate, slot.usage_kind) for slot, rate in rates.items()}
        except LedgerError as error:
            self.refuse(name, str(error))
            return
        key = (provider, model)
        if not any(sound.values()) and not model.lower().endswith((":free", "-free")):
            self._zero.add(key)
            return
        if self._models.setdefault(key, sound) != sound:
            self.refuse(name, "is listed twice, with different prices")
        if len(self._models) > MOST_MODELS:
            raise LedgerError(f"lists more than {MOST_MODELS:,} models: that is no price list that we know")

    def refuse(self, name: str, what: str) -> None:
        """Leaves an entry out, with the reason."""
        self._faults.setdefault(name, what)

    def catalogue(self, version: str) -> PriceCatalogue:
        """What was listed; raises LedgerError when nothing is, or when most of it is no price."""
        for key in [key for key in self._models if "/".join(key) in self._faults]:
            del self._models[key]
        faults = tuple(f"{name}: {what}" for name, what in sorted(self._faults.items()))
        if not self._models or len(faults) > len(self._models):
            shown = "; ".join(faults[:_SHOWN_FAULTS])
            raise LedgerError(
                f"of its entries {len(self._models):,} have prices and {len(faults):,} have none that can be read: has "
                f"the format changed? {shown}".rstrip()
            )
        prices = tuple(
            Price(
                PriceKey(provider, model, slot.service_tier, ANY, slot.context_tier, ANY, slot.usage_kind), None, rate
            )
            for (provider, model), rates in self._models.items()
            for slot, rate in rates.items()
        )
        rules = tuple(NameRule(RuleKind.MODEL, {"equals": model}, provider, model) for provider, model in self._models)
        zero = frozenset(self._zero - self._models.keys())
        return PriceCatalogue(self._source, version, dated=False, prices=prices, rules=rules, faults=faults, zero=zero)


def per_million(usd_per_unit: Decimal) -> Decimal:
    """USD per million of what costs this much each."""
    with localcontext() as context:
        context.prec = 60
        return usd_per_unit * MILLION
