"""The ledger's own naming rules: provider aliases, prefixes and what may surround a model's name."""

import tomllib
from functools import cache
from importlib.resources import files

from ledger_pipeline.pricing.clauses import Clause, exact_names
from ledger_pipeline.pricing.sources.source import NameRule, RuleKind


def _any_of(names: list[str]) -> Clause:
    return {"or": [{"equals": name} for name in names]}


@cache
def naming_rules() -> tuple[NameRule, ...]:
    """The rules of `names.toml`."""
    data = tomllib.loads(files("ledger_pipeline.pricing").joinpath("names.toml").read_text(encoding="utf-8"))
    return (
        *(NameRule(RuleKind.PROVIDER, _any_of(names), provider) for provider, names in data["provider"].items()),
        *(NameRule(RuleKind.PREFIX, _any_of(names), provider) for provider, names in data["prefix"].items()),
        *(NameRule(RuleKind(kind), _any_of(names)) for kind, names in data["names"].items()),
        *(NameRule(RuleKind(kind), {"regex": pattern}) for kind, pattern in data["around"].items()),
    )


@cache
def _book_providers() -> dict[str, str]:
    return {
        name: rule.provider
        for rule in naming_rules()
        if rule.kind is RuleKind.PROVIDER
        for name in exact_names(rule.match)
    }


def book_provider(name: str) -> str:
    """The book's name of a provider that a source lists; a name that no rule knows is the book's own."""
    lower = name.lower()
    return _book_providers().get(lower, lower)
