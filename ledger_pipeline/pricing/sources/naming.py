"""The ledger's own naming rules: provider aliases, prefixes and what may surround a model's name."""

import tomllib
from functools import cache
from importlib.resources import files

from ledger_pipeline.pricing.clauses import Clause
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
