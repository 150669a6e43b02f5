"""The canonical JSON text of a state: equal states give equal bytes, wherever their events were read."""

import hashlib
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import simplejson

from ledger_pipeline.events.columns import USD_PLACES
from ledger_pipeline.events.fold import parse_json
from ledger_pipeline.events.state import (
    ApprovalState,
    ArtifactState,
    CallState,
    EventMark,
    ExecutionState,
    FoldProblem,
    StepState,
)

_Record = TypeVar("_Record")
_RECORDS: dict[str, type[Any]] = {
    "steps": StepState,
    "calls": CallState,
    "artifacts": ArtifactState,
    "approvals": ApprovalState,
}
_EXACT = Context(prec=60)


def time_text(value: datetime) -> str:
    """A time as the state's text writes it: UTC, microseconds, `Z`."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _usd_text(value: Decimal) -> str:
    return format(value.quantize(USD_PLACES, context=_EXACT), "f")


@cache
def _codecs(record: type[Any]) -> dict[str, tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]]:
    """How the fields that JSON has no type for are written and read; a field of free JSON stays as it is."""
    codecs: dict[str, tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]] = {}
    for name, hint in get_type_hints(record).items():
        kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
        for kind in kinds:
            if kind is datetime:
                codecs[name] = (time_text, datetime.fromisoformat)
            elif kind is Decimal:
                codecs[name] = (_usd_text, Decimal)
            elif isinstance(kind, type) and issubclass(kind, StrEnum):
                codecs[name] = (str, kind)
    return codecs


@cache
def _absent(record: type[Any]) -> dict[str, None]:
    return dict.fromkeys(field.name for field in fields(record))


def _record_value(record: Any) -> dict[str, Any]:
    codecs = _codecs(type(record))
    value: dict[str, Any] = {name: item for name, item in record.__dict__.items() if item is not None}
    for name, (encode, _) in codecs.items():
        if encode is not None and name in value:
            value[name] = encode(value[name])
    if "events" in value:
        value["events"] = [[mark.sequence, mark.event_type, time_text(mark.occurred_at)] for mark in record.events]
    return value


def _record_of(record: type[_Record], value: dict[str, Any]) -> _Record:
    codecs = _codecs(record)
    if "events" in value:
        marks = [EventMark(sequence, kind, datetime.fromisoformat(at)) for sequence, kind, at in value["events"]]
        value["events"] = tuple(marks)
    given = {name: codecs[name][1](item) if name in codecs else item for name, item in value.items()}
    return record(**{**_absent(record), **given})


def state_text(state: ExecutionState) -> str:
    """ASCII JSON, names sorted, no blanks, absent values left out, money and times as text, other numbers exact."""
    value = _record_value(state)
    value["problems"] = [list(problem) for problem in state.problems]
    for name in _RECORDS:
        value[name] = [_record_value(record) for record in value[name].values()]
    # ASCII, because a damaged log may hold what no encoding can write, and its state must have a text all the same.
    return simplejson.dumps(value, separators=(",", ":"), sort_keys=True, use_decimal=True, ensure_ascii=True)


def state_hash(text: str) -> bytes:
    """SHA-256 of a state's text."""
    return hashlib.sha256(text.encode("ascii")).digest()


def state_from_text(text: str) -> ExecutionState:
    """The state that a text was made of; raises ValueError, KeyError or TypeError for a text that is none."""
    value = parse_json(text)
    value["problems"] = tuple(FoldProblem(*problem) for problem in value["problems"])
    for name, record in _RECORDS.items():
        records = [_record_of(record, item) for item in value[name]]
        value[name] = {item.id: item for item in records}
    return _record_of(ExecutionState, value)
