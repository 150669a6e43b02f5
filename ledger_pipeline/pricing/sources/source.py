"""What a price source is: something that yields a catalogue of prices and naming rules."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from ledger_pipeline.pricing.clauses import Clause
from ledger_pipeline.pricing.prices import Price


class RuleKind(StrEnum):
    """What a naming rule decides. `provider` and `model` of the rule are empty where the kind needs none."""

    PROVIDER = "provider"
    """The provider that a call names is this provider."""
    PREFIX = "prefix"
    """A model name whose first segment matches is this provider's."""
    OWNER = "owner"
    """A model name without a provider is this provider's."""
    FALLBACK = "fallback"
    """Models that this provider doesn't list are priced as at these providers, in their order."""
    MODEL = "model"
    """A name at this provider is this model."""
    GATEWAY = "gateway"
    """A provider that only passes calls on."""
    PLACEHOLDER = "placeholder"
    """A name that hides the model."""
    STANDARD_TIER = "standard_tier"
    """A service tier that is the standard one."""
    QUALIFIER = "qualifier"
    """A word that makes a name another product's."""
    LEAD = "lead"
    """What may stand before a model's name."""
    TAIL = "tail"
    """What may stand after a model's name."""


@dataclass(frozen=True, slots=True)
class NameRule:
    """One rule of how names become providers and models."""

    kind: RuleKind
    match: Clause
    provider: str = ""
    model: str = ""


@dataclass(frozen=True)
class PriceCatalogue:
    """All that a source says at one time.

    `dated`: its prices carry their starts, future and past, so a start that it no longer lists was withdrawn;
    otherwise it lists only today's prices. Keys (with `valid_from`) and rules are unique within a catalogue.
    """

    source: str
    version: str
    dated: bool
    prices: tuple[Price, ...]
    rules: tuple[NameRule, ...]
    faults: tuple[str, ...] = ()
    """Entries that are no prices, and why; they are not among `prices`."""
    zero: frozenset[tuple[str, str]] = frozenset()
    """(provider, model) listed at nothing, which may mean free, by subscription or unknown: not among `prices`."""

    @cached_property
    def content_hash(self) -> bytes:
        """SHA-256 over the sorted content, whatever its order in the source."""
        lines = [
            json.dumps([*price.key, str(price.valid_from), str(price.usd_per_million)], ensure_ascii=False)
            for price in self.prices
        ]
        lines += [
            json.dumps([rule.kind, rule.provider, rule.model, rule.match], ensure_ascii=False, sort_keys=True)
            for rule in self.rules
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).digest()


class PriceSource(Protocol):
    """A catalogue that can be read again; anything that goes wrong while reading is raised as a LedgerError.

    Reading converts to USD per million at 12 decimals, to the boundary "more than" of context tiers, and to the
    book's provider names, so that no unit of the source's own gets past its edge.
    """

    @property
    def name(self) -> str:
        """Stable name, as in `model_pricing.source` and in the setting of price sources."""
        ...

    def read(self, now: datetime) -> PriceCatalogue:
        """The source's catalogue as it is now."""
        ...
