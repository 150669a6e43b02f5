"""models.dev: USD per million tokens, by provider and model; context tiers in a list, or as one above 200,000."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.events.columns import MAX_TOKENS
from ledger_pipeline.pricing.sources.document import number_at, object_at, read_document
from ledger_pipeline.pricing.sources.fetch import Web
from ledger_pipeline.pricing.sources.naming import book_provider
from ledger_pipeline.pricing.sources.source import PriceCatalogue
from ledger_pipeline.pricing.sources.today import Slot, TodaysList

URL = "https://models.dev/api.json"

FIELDS: dict[str, str] = {
    "input": "input",
    "output": "output",
    "reasoning": "reasoning",
    "cache_read": "cache_read",
    "cache_write": "cache_write_5m",
    "input_audio": "input_audio",
    "output_audio": "output_audio",
}
_LONG_CONTEXT = 200_000
_OTHERS_MODELS = frozenset({"google-vertex", "google-vertex-anthropic"})
"""Providers whose models the book knows under other providers, at other prices of the same name."""


class ModelsDev:
    """The database of models.dev."""

    name = "models.dev"

    def __init__(self, web: Web, url: str = URL) -> None:
        self._web, self._url = web, url

    def read(self, now: datetime) -> PriceCatalogue:
        """The database as it is now."""
        return self._web.read(self.name, self._url, now, catalogue_of)


def catalogue_of(body: bytes, version: str) -> PriceCatalogue:
    """The catalogue of one document."""
    listed = TodaysList(ModelsDev.name)
    for provider, given in object_at(read_document(body), "the answer").items():
        if provider in _OTHERS_MODELS:
            continue
        try:
            models = object_at(object_at(given, "the provider").get("models"), "models")
        except LedgerError as error:
            listed.refuse(provider, str(error))
            continue
        for model, entry in models.items():
            try:
                # A model by subscription, or one that nobody knows the price of, has no cost at all.
                if (priced := object_at(entry, "the model").get("cost")) is not None:
                    listed.add(book_provider(provider), model, _rates(object_at(priced, "cost")))
            except LedgerError as error:
                listed.refuse(f"{provider}/{model}", str(error))
    return listed.catalogue(version)


def _rates(cost: Mapping[str, Any]) -> dict[Slot, Decimal]:
    rates = _rates_above(cost, 0)
    tiers = cost.get("tiers")
    if isinstance(tiers, list):
        for tier in tiers:  # pyright: ignore[reportUnknownVariableType]
            entry = object_at(tier, "a tier")
            rates |= _rates_above(entry, _threshold(object_at(entry.get("tier"), "tier")))
    elif cost.get("context_over_200k") is not None:
        rates |= _rates_above(object_at(cost["context_over_200k"], "context_over_200k"), _LONG_CONTEXT)
    return rates


def _rates_above(entry: Mapping[str, Any], threshold: int) -> dict[Slot, Decimal]:
    rates = {
        Slot(kind, threshold): rate for field, kind in FIELDS.items() if (rate := number_at(entry, field)) is not None
    }
    for kind in ("input", "output"):
        if Slot(kind, threshold) not in rates:
            raise LedgerError(f"has no price of {kind}")
    return rates


def _threshold(tier: Mapping[str, Any]) -> int:
    size = number_at(tier, "size")
    if tier.get("type") != "context" or size is None or not 1 <= size <= MAX_TOKENS or size % 1:
        raise LedgerError(f"has a tier of another kind than context, or of no whole size: {dict(tier)}")
    return int(size)
