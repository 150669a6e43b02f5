"""LiteLLM's map of models: USD per token, context tiers and service tiers in the names of its fields."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.prices import STANDARD
from ledger_pipeline.pricing.sources.document import number_at, object_at, read_document
from ledger_pipeline.pricing.sources.fetch import Web
from ledger_pipeline.pricing.sources.naming import book_provider
from ledger_pipeline.pricing.sources.source import PriceCatalogue
from ledger_pipeline.pricing.sources.today import Slot, TodaysList, per_million

URL = "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"

FIELDS: dict[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "cache_read_input_audio_token_cost": "cache_audio_read",
    "output_cost_per_audio_token": "output_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_request": "requests",
}
"""Field -> usage kind. Pixels, characters, seconds, queries and sessions have no bucket and are left out."""
_FIELD = re.compile(
    rf"(?P<field>{'|'.join(sorted(FIELDS, key=len, reverse=True))})"
    r"(?:_above_(?P<thousands>\d{1,6})k_tokens)?(?:_(?P<tier>batches|priority|flex))?"
)
_TIERS = {None: STANDARD, "batches": "batch", "priority": "priority", "flex": "flex"}
_NO_MODEL = frozenset({"sample_spec"})
_BOTH_PRICED = frozenset({"chat", "completion", "responses"})
_OTHER_NAMES = {"text-completion-openai": "openai", "azure_text": "azure", "text-completion-codestral": "mistral"}


class LiteLLM:
    """The map that LiteLLM publishes; models of Vertex AI are left out where Gemini's own name the same ones."""

    name = "litellm"

    def __init__(self, web: Web, url: str = URL) -> None:
        self._web, self._url = web, url

    def read(self, now: datetime) -> PriceCatalogue:
        """The map as it is now."""
        return self._web.read(self.name, self._url, now, catalogue_of)


def catalogue_of(body: bytes, version: str) -> PriceCatalogue:
    """The catalogue of one document."""
    listed = TodaysList(LiteLLM.name)
    for name, value in object_at(read_document(body), "the map").items():
        if name in _NO_MODEL:
            continue
        try:
            entry = object_at(value, "the entry")
            given = entry.get("litellm_provider")
            if not isinstance(given, str):
                raise LedgerError("litellm_provider is missing")
            if given.startswith("vertex_ai"):
                continue
            rates = _rates(entry)
        except LedgerError as error:
            listed.refuse(name, str(error))
            continue
        if rates:
            provider = _OTHER_NAMES.get(given) or book_provider(given)
            first, _, rest = name.partition("/")
            listed.add(provider, rest if rest and book_provider(first) == provider else name, rates)
    return listed.catalogue(version)


def _rates(entry: Mapping[str, Any]) -> dict[Slot, Decimal]:
    rates: dict[Slot, Decimal] = {}
    for field in entry:
        found = _FIELD.fullmatch(field)
        if found and (rate := number_at(entry, field)) is not None:
            threshold = int(found["thousands"] or 0) * 1000
            rates[Slot(FIELDS[found["field"]], threshold, _TIERS[found["tier"]])] = per_million(rate)
    both = {Slot("input"), Slot("output")}
    if str(entry.get("mode")) in _BOTH_PRICED and len(both & rates.keys()) == 1:
        (missing,) = both - rates.keys()
        raise LedgerError(f"has no price of {missing.usage_kind}")
    return rates
