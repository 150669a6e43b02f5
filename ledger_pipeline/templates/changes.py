"""What a new version changes: whether it breaks its users, and the tag that it gets."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from ledger_pipeline.events.enums import ChangeType
from ledger_pipeline.templates.definition import Definition

_SEMANTIC = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def breaking_changes(old: Definition, new: Definition) -> tuple[str, ...]:
    """What an input that the old version took may not survive: each parameter that went, is new and required, or is
    of another type."""
    before, after = _properties(old.parameter_schema), _properties(new.parameter_schema)
    found: list[str] = []
    for name, schema in before.items():
        if name not in after:
            found.append(f"parameter {name} is gone")
        elif not _types(schema) <= _types(after[name]):
            found.append(f"parameter {name} has another type")
    needed_before = _needed(old.parameter_schema)
    found += [f"parameter {name} is required now" for name in sorted(_needed(new.parameter_schema) - needed_before)]
    return tuple(found)


def next_tag(current: str | None, number: int, change: ChangeType, taken: Collection[str], *, breaking: bool) -> str:
    """The tag of a version that was given none: after 1.0.0 semantic versioning, as far as the last tag allows."""
    parsed = _SEMANTIC.fullmatch(current) if current else None
    if parsed is None:
        major, minor, patch = number, 0, 0
    else:
        major, minor, patch = map(int, parsed.groups())
        if breaking or change is ChangeType.MAJOR:
            major, minor, patch = major + 1, 0, 0
        elif change is ChangeType.MINOR:
            minor, patch = minor + 1, 0
        else:
            patch += 1
    while (tag := f"{major}.{minor}.{patch}") in taken:
        patch += 1
    return tag


def _properties(schema: Any) -> Mapping[str, Any]:
    return schema.get("properties", {}) if isinstance(schema, Mapping) else {}


def _needed(schema: Any) -> frozenset[str]:
    """Required parameters without a default: a caller must give them."""
    required = schema.get("required", ()) if isinstance(schema, Mapping) else ()
    properties = _properties(schema)
    return frozenset(
        n for n in required if not ("default" in p if isinstance(p := properties.get(n), Mapping) else False)
    )


def _types(schema: Any) -> frozenset[str]:
    """The JSON types that a schema takes, as far as its own `type` says."""
    given = schema.get("type") if isinstance(schema, Mapping) else None
    types = {given} if isinstance(given, str) else set(given or ())
    if not types:
        types = {"null", "boolean", "object", "array", "number", "string"}
    return frozenset(types | ({"integer"} if "number" in types else set()))
