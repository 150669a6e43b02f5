"""What a row of an event may hold, judged column by column: rows that no event class has made are judged by this.

The append function judges by the same rules, in the same words, what reaches it by SQL: `column_rules` in
`hot/sql/append.sql` is derived from here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import InvalidIdentifier, InvalidInput, InvalidTime
from ledger_pipeline.events.catalogue import (
    CLIENT_COLUMNS,
    ENVELOPE,
    EVENT_TYPES,
    SERVER_COLUMNS,
    TYPE_COLUMNS,
    EventRow,
    required_envelope,
    typed_columns,
)
from ledger_pipeline.events.columns import USD_PLACES, Column, ColumnKind, plain_text

FIRST_TIME = datetime(1970, 1, 1, tzinfo=UTC)
TIMES_END = datetime(9999, 1, 1, tzinfo=UTC)
"""Events lie before it: within what every reader can represent."""
_GIVEN_BY_THE_LEDGER = ("event_id", "execution_id", "sequence", "event_version", "execution_kind")


@dataclass(frozen=True)
class ColumnRule:
    """What one column takes from a client; `types` are those that have it, `required_by` those that need it."""

    name: str
    column: Column
    types: frozenset[str]
    required_by: frozenset[str]
    minimum: Any
    maximum: Any
    allowed: str


def _bounds(column: Column) -> tuple[Any, Any]:
    """The least and the greatest value; of times the greatest is excluded."""
    match column.kind:
        case ColumnKind.TIMESTAMP:
            return FIRST_TIME, TIMES_END
        case ColumnKind.INTEGER:
            return column.minimum, 2**31 - 1 if column.maximum is None else column.maximum
        case ColumnKind.BIGINT:
            return column.minimum, 2**63 - 1 if column.maximum is None else column.maximum
        case _:
            return column.minimum, column.maximum


def _allowed(column: Column) -> str:
    least, most = _bounds(column)
    match column.kind:
        case ColumnKind.TEXT if column.values:
            return ", ".join(column.values)
        case ColumnKind.TEXT:
            return "text of at least one character, without U+0000 and U+001F"
        case ColumnKind.UUID:
            return "a UUID"
        case ColumnKind.TIMESTAMP:
            return "a time with its zone, such as 2026-01-05T09:00:00Z, from 1970 to 9998"
        case ColumnKind.USD:
            return f"an amount from {least} to {most}, a decimal of at most 12 places"
        case ColumnKind.JSON:
            return "the JSON text of an object, without U+0000 and lone surrogates"
        case _:
            return f"a whole number from {least} to {most}"


def _rule(name: str) -> ColumnRule:
    if name == "payload":
        payload = Column(ColumnKind.JSON)
        return ColumnRule(name, payload, frozenset(EVENT_TYPES), frozenset(), None, None, _allowed(payload))
    if name in ENVELOPE:
        column = ENVELOPE[name].column
        types = frozenset(EVENT_TYPES)
        required = types if ENVELOPE[name].required else {t for t in types if name in required_envelope(EVENT_TYPES[t])}
    else:
        column = TYPE_COLUMNS[name].column
        own = {t: typed for t, c in EVENT_TYPES.items() for typed in typed_columns(c) if typed.name == name}
        types, required = frozenset(own), {t for t, typed in own.items() if typed.required}
    if name in _GIVEN_BY_THE_LEDGER:
        required = frozenset[str]()
    return ColumnRule(name, column, types, frozenset(required), *_bounds(column), _allowed(column))


COLUMN_RULES: dict[str, ColumnRule] = {name: _rule(name) for name in CLIENT_COLUMNS}
"""A rule for each column that a client gives, in order."""


@cache
def _required_of(event_type: str) -> tuple[str, ...]:
    return tuple(name for name, rule in COLUMN_RULES.items() if event_type in rule.required_by)


def _is_text(rule: ColumnRule, value: Any) -> bool:
    if not isinstance(value, str) or value == "":
        return False
    plain_text(value)
    return not rule.column.values or value in rule.column.values


def _is_whole(rule: ColumnRule, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return False
    return rule.minimum <= int(value) <= rule.maximum


def _is_amount(rule: ColumnRule, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):  # money is never a float
        return False
    amount = Decimal(value)
    return rule.minimum <= amount <= rule.maximum and amount == amount.quantize(USD_PLACES)


def _is_time(rule: ColumnRule, value: Any) -> bool:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return isinstance(time, datetime) and time.tzinfo is not None and rule.minimum <= time < rule.maximum


def _is_id(rule: ColumnRule, value: Any) -> bool:
    return isinstance(value, UUID) or (isinstance(value, str) and bool(UUID(value)) and len(value) in (32, 36))


def _is_json(rule: ColumnRule, value: Any) -> bool:
    return isinstance(value, str)  # the payload's shape is judged where it is stored


_TAKES: dict[ColumnKind, Callable[[ColumnRule, Any], bool]] = {
    ColumnKind.UUID: _is_id,
    ColumnKind.TEXT: _is_text,
    ColumnKind.INTEGER: _is_whole,
    ColumnKind.BIGINT: _is_whole,
    ColumnKind.USD: _is_amount,
    ColumnKind.TIMESTAMP: _is_time,
    ColumnKind.JSON: _is_json,
}


def _takes(rule: ColumnRule, value: Any) -> bool:
    try:
        return _TAKES[rule.column.kind](rule, value)
    except (ValueError, OverflowError, InvalidOperation):
        return False


def _shown(value: Any) -> str:
    text = repr(str(value)) if isinstance(value, (str, UUID, datetime)) else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _fault(rule: ColumnRule, event_type: str, where: str, value: Any) -> InvalidInput | None:
    """What is wrong with one value; the append function's `value_fault` says the same."""
    if value is None:
        if event_type not in rule.required_by:
            return None
        return InvalidInput(f"{where}: is missing; allowed: {rule.allowed}")
    if event_type not in rule.types:
        return InvalidInput(f"{where}: is no column of {event_type}; leave it out")
    if _takes(rule, value):
        return None
    if rule.column.kind is ColumnKind.UUID:
        return InvalidIdentifier(f"{where}: {_shown(value)} is not a UUID")
    kind = InvalidTime if rule.column.kind is ColumnKind.TIMESTAMP else InvalidInput
    return kind(f"{where}: is {_shown(value)}; allowed: {rule.allowed}")


def judged(where: str, row: Mapping[str, Any]) -> EventRow:
    """A row as it was given; raises InvalidInput, InvalidIdentifier or InvalidTime for the first value that is wrong.

    Columns that only the ledger assigns may be there, as in a row that was read; what they say is not looked at.
    """
    if isinstance(row, EventRow):
        return row
    event_type = row.get("event_type")
    if not isinstance(event_type, str) or event_type not in EVENT_TYPES:
        raise InvalidInput(f"{where}.event_type: is {_shown(event_type)}; allowed: {', '.join(EVENT_TYPES)}")
    for name in (*row, *(name for name in _required_of(event_type) if name not in row)):
        if name == "event_type" or name in SERVER_COLUMNS:
            continue
        rule = COLUMN_RULES.get(name)
        if rule is None:
            raise InvalidInput(f"{where}.{name}: is no column of an event; what has none belongs into the payload")
        if fault := _fault(rule, event_type, f"{where}.{name}", row.get(name)):
            raise fault
    return EventRow(row)
