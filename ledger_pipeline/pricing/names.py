"""From the names that a call gives to a provider and a model of the price book, strictly.

A name that a rule spells out is that model. A rule that matches loosely (`starts_with`, `contains`, `ends_with`) counts
only when what it leaves over is a date, a revision or a region (rules `lead` and `tail`), and a name with a
`qualifier` such as `exp` or `free` is only ever a model whose own name has it: the free product is not the paid one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import product

from ledger_pipeline.pricing.clauses import Clause, Span, exact_names, match, without_contains
from ledger_pipeline.pricing.prices import STANDARD
from ledger_pipeline.pricing.sources.source import NameRule, RuleKind


class UnpricedReason(StrEnum):
    """Why a call has no cost; stored with its event."""

    PLACEHOLDER = "model name redacted"
    UNKNOWN_PROVIDER = "unknown provider"
    UNKNOWN_MODEL = "unknown model"
    OTHER_PRODUCT = "unknown variant of a known model"
    NO_PRICE = "no price at that time"
    NO_SERVICE_TIER = "no price for the service tier at that time"
    NO_KIND = "no price for a kind of its usage"
    OUT_OF_RANGE = "cost beyond what the ledger holds"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a call's names mean. `provider` serves the call; the price is that of `model` at `price_provider`.

    `reason` says what is missing when there is no model.
    """

    provider: str | None = None
    price_provider: str = ""
    model: str = ""
    reason: UnpricedReason | None = None


_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_WORDS = re.compile(r"[a-z0-9]+")


def _dashed_dates(name: str) -> str:
    """`-20251211` as `-2025-12-11`, the other common spelling."""

    def dashed(found: re.Match[str]) -> str:
        year, month, day = found.groups()
        try:
            date(int(year), int(month), int(day))
        except ValueError:
            return found[0]
        return f"-{year}-{month}-{day}"

    return _COMPACT_DATE.sub(dashed, name)


@dataclass
class _ProviderModels:
    """The models of one provider: by every name that is spelt out, and those with looser rules."""

    exact: dict[str, str] = field(default_factory=dict[str, str])
    loose: list[tuple[str, Clause]] = field(default_factory=list[tuple[str, Clause]])


class ModelNames:
    """The naming rules of one price book; immutable."""

    def __init__(self, sources: Iterable[Iterable[NameRule]], admin_models: Iterable[tuple[str, str]] = ()) -> None:
        """`sources`: the rules of each, the best first: it names a model before the next one is asked.

        `admin_models`: (provider, model) priced by hand, known by that very name before any source.
        """
        self._clauses: dict[RuleKind, list[tuple[str, Clause]]] = {kind: [] for kind in RuleKind}
        by_hand = list(admin_models)
        named_by_hand: dict[str, _ProviderModels] = {}
        for provider, model in by_hand:
            named_by_hand.setdefault(provider, _ProviderModels()).exact[model.lower()] = model
        self._sources = [named_by_hand, *map(self._models_of, sources)]
        self._providers = frozenset(provider for models in self._sources for provider in models)
        self._admin_owners = {model.lower(): provider for provider, model in sorted(by_hand, reverse=True)}
        self._qualifiers = frozenset(
            word for _, clause in self._clauses[RuleKind.QUALIFIER] for word in exact_names(clause)
        )
        self._fallbacks = {
            provider: tuple(exact_names(clause)) for provider, clause in self._clauses[RuleKind.FALLBACK]
        }
        self._lead = self._around(RuleKind.LEAD)
        self._tail = self._around(RuleKind.TAIL)

    def _models_of(self, rules: Iterable[NameRule]) -> dict[str, _ProviderModels]:
        """The models that one source names, by provider; its other rules join those of all sources."""
        models: dict[str, _ProviderModels] = {}
        own_names: list[tuple[str, str]] = []
        for rule in rules:
            if rule.kind is RuleKind.MODEL:
                entry = models.setdefault(rule.provider, _ProviderModels())
                for name in exact_names(rule.match):
                    entry.exact.setdefault(name, rule.model)
                entry.loose.append((rule.model, rule.match))
                own_names.append((rule.provider, rule.model))
            else:
                self._clauses[rule.kind].append((rule.provider, rule.match))
        # After the names that rules spell out: some rule may give a model's own name to another one.
        for provider, model in own_names:
            models[provider].exact.setdefault(model.lower(), model)
        return models

    def _around(self, kind: RuleKind) -> re.Pattern[str]:
        patterns = [str(clause["regex"]) for _, clause in self._clauses[kind]]
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))

    def _first(self, kind: RuleKind, name: str) -> str | None:
        return next((provider for provider, clause in self._clauses[kind] if match(clause, name)), None)

    def is_standard_tier(self, service_tier: str) -> bool:
        """Whether a service tier, in lower case, is the standard one under whatever name."""
        return service_tier == STANDARD or self._first(RuleKind.STANDARD_TIER, service_tier) is not None

    def resolve(self, provider: str | None, model: str) -> ResolvedModel:
        """The provider and model that a call's names mean, or the reason why they mean none."""
        name = model.strip().lower()
        hidden = self._first(RuleKind.PLACEHOLDER, name.rsplit("/", 1)[-1]) is not None
        serving, candidates = self._serving(provider.strip().lower() if provider else None, name)
        if hidden:
            return ResolvedModel(serving, reason=UnpricedReason.PLACEHOLDER)
        if serving is None:
            bare = provider is None and "/" not in name
            return ResolvedModel(
                reason=UnpricedReason.UNKNOWN_MODEL if bare else UnpricedReason.UNKNOWN_PROVIDER,
            )
        reason = UnpricedReason.UNKNOWN_MODEL
        spellings = tuple(dict.fromkeys((*candidates, *map(_dashed_dates, candidates))))
        places = product(self._sources, (serving, *self._fallbacks.get(serving, ())), spellings)
        for source, priced_at, spelling in places:
            models = source.get(priced_at)
            found, rejected = self._model_among(models, spelling) if models else (None, False)
            if found:
                return ResolvedModel(serving, priced_at, found)
            if rejected:
                reason = UnpricedReason.OTHER_PRODUCT
        return ResolvedModel(serving, reason=reason)

    def _named_provider(self, kind: RuleKind, name: str) -> str | None:
        return name if name in self._providers else self._first(kind, name)

    def _serving(self, provider: str | None, name: str) -> tuple[str | None, tuple[str, ...]]:
        """The provider that serves a call and the names that its model may have there."""
        first, _, rest = name.partition("/")
        prefixed = self._named_provider(RuleKind.PREFIX, first) if rest else None
        if provider is not None and self._first(RuleKind.GATEWAY, provider) is None:
            serving = self._named_provider(RuleKind.PROVIDER, provider)
            return serving, (name, rest) if prefixed and prefixed == serving else (name,)
        if prefixed:
            return prefixed, (rest, name)
        # A path that no prefix explains may hold any provider's model names: only rules that anchor them count.
        found = [
            (span.length, owner)
            for owner, clause in self._clauses[RuleKind.OWNER]
            if (usable := without_contains(clause) if rest else clause) and (span := match(usable, name))
        ]
        if found:
            return max(found)[1], (name,)
        return self._admin_owners.get(name), (name,)

    def _model_among(self, models: _ProviderModels, name: str) -> tuple[str | None, bool]:
        """The model of that name among a provider's, and whether one was rejected as another product."""
        words = frozenset(_WORDS.findall(name)) & self._qualifiers
        exact = models.exact.get(name)
        if exact and words <= frozenset(_WORDS.findall(exact.lower())):
            return exact, False
        best: tuple[int, str] | None = None
        rejected = exact is not None
        for model, clause in models.loose:
            span = match(clause, name)
            if span is None:
                continue
            if words <= frozenset(_WORDS.findall(model.lower())) and self._nothing_left(name, span):
                best = max(best or (0, ""), (span.length, model))
            else:
                rejected = True
        return (best[1], False) if best else (None, rejected)

    def _nothing_left(self, name: str, span: Span) -> bool:
        """Whether what a loose rule leaves over of a name makes no other model of it."""
        end = span.end
        # A rule may end within a word, such as a date's year: that whole word has to be accounted for.
        if end < len(name) and name[end].isalnum():
            while end > span.start and name[end - 1].isalnum():
                end -= 1
        return bool(self._lead.fullmatch(name[: span.start]) and self._tail.fullmatch(name[end:]))
