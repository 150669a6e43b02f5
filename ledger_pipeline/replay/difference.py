"""The difference between two states: what changed from one point of an execution to another."""

from dataclasses import dataclass
from typing import Any, cast

from ledger_pipeline.events.fold import ExecutionState, parse_json
from ledger_pipeline.events.state_text import state_text

_MISSING: Any = object()


@dataclass(frozen=True)
class Difference:
    """One value that differs; None where the state has none. `path` is like `steps[2/0].status`."""

    path: str
    before: Any
    after: Any


def _keyed(name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{name}[{record['path' if name == 'steps' else 'id']}]": record for record in records}


def _value(state: ExecutionState) -> dict[str, Any]:
    value: dict[str, Any] = parse_json(state_text(state))
    for name in ("steps", "calls", "artifacts", "approvals"):
        value |= _keyed(name, value.pop(name))
    value["progress_percentage"] = str(state.progress_percentage)
    return value


def _compare(path: str, before: Any, after: Any) -> list[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        found: list[Difference] = []
        for name in [*old, *(name for name in new if name not in old)]:
            inner = f"{path}.{name}" if path else name
            found += _compare(inner, old.get(name, _MISSING), new.get(name, _MISSING))
        return found
    if before == after and type(before) is type(after):
        return []
    return [Difference(path, None if before is _MISSING else before, None if after is _MISSING else after)]


def difference(before: ExecutionState, after: ExecutionState) -> list[Difference]:
    """Every value that differs, in the order of the state's text; the last events' list is left out."""
    old, new = _value(before), _value(after)
    for value in (old, new):
        value.pop("events")
        for name, item in value.items():
            if name.startswith("calls["):
                item.pop("events")
    return _compare("", old, new)
