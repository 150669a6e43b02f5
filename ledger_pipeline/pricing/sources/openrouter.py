"""OpenRouter's models: USD per token in decimal strings; -1 where the price varies, 0 where none is charged apart."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.sources.document import decimal_at, object_at, read_document
from ledger_pipeline.pricing.sources.fetch import Web
from ledger_pipeline.pricing.sources.source import PriceCatalogue
from ledger_pipeline.pricing.sources.today import Slot, TodaysList, per_million

URL = "https://openrouter.ai/api/v1/models"

ALWAYS: dict[str, str] = {"prompt": "input", "completion": "output"}
WHERE_CHARGED: dict[str, str] = {
    "internal_reasoning": "reasoning",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write_5m",
    "audio": "input_audio",
    "request": "requests",
}
"""Zero says that it is not charged apart: such tokens cost what `prompt` and `completion` cost.

`image` is a price an image, and `web_search` one a search: no bucket of tokens.
"""
_VARIES = Decimal(-1)


class OpenRouter:
    """The models that OpenRouter offers, as models of the provider `openrouter`."""

    name = "openrouter"

    def __init__(self, web: Web, url: str = URL) -> None:
        self._web, self._url = web, url

    def read(self, now: datetime) -> PriceCatalogue:
        """The offer as it is now."""
        return self._web.read(self.name, self._url, now, catalogue_of)


def catalogue_of(body: bytes, version: str) -> PriceCatalogue:
    """The catalogue of one document."""
    listed = TodaysList(OpenRouter.name)
    data = object_at(read_document(body), "the answer").get("data")
    if not isinstance(data, list):
        raise LedgerError("the answer has no list `data`: has the format changed?")
    for number, value in enumerate(data):  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
        name = f"data[{number}]"
        try:
            entry = object_at(value, "the model")
            if not isinstance(entry.get("id"), str):
                raise LedgerError("id is missing")
            name = entry["id"]
            rates = _rates(object_at(entry.get("pricing"), "pricing"))
        except LedgerError as error:
            listed.refuse(f"{OpenRouter.name}/{name}", str(error))
            continue
        if rates:
            listed.add(OpenRouter.name, name, rates)
    return listed.catalogue(version)


def _rates(pricing: Mapping[str, Any]) -> dict[Slot, Decimal]:
    """USD per million; none where the price varies."""
    rates: dict[Slot, Decimal] = {}
    for field, kind in ALWAYS.items():
        rate = decimal_at(pricing, field)
        if rate is None:
            raise LedgerError(f"has no price of {kind} ({field})")
        if rate == _VARIES:
            return {}
        rates[Slot(kind)] = per_million(rate)
    for field, kind in WHERE_CHARGED.items():
        if rate := decimal_at(pricing, field):
            rates[Slot(kind)] = per_million(rate)
    return rates
