"""The JSON text of an event's payload: kept as received, so what `jsonb` cannot hold is refused with its path."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import simplejson

from ledger_pipeline.errors import InvalidInput

MAX_NUMBER_DIGITS = 131_072
"""Digits before the decimal point that PostgreSQL's numeric, and so jsonb, can hold."""
MAX_NUMBER_SCALE = 16_383
MAX_NESTING = 200
"""Levels of lists and objects: a bound of our own, so that no reader's stack decides what can be replayed."""


def _faults(value: Any, path: str, depth: int = 0) -> str | None:
    if depth >= MAX_NESTING and isinstance(value, (dict, list, tuple)):
        return f"payload: is nested deeper than {MAX_NESTING} levels"
    if isinstance(value, str):
        if "\x00" in value:
            return f"{path}: the character U+0000 cannot be stored"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return f"{path}: a lone surrogate cannot be stored"
    elif isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if not value.is_finite() or not isinstance(exponent, int):
            return f"{path}: {value} is not a JSON number"
        if value.adjusted() >= MAX_NUMBER_DIGITS or -exponent > MAX_NUMBER_SCALE:
            return f"{path}: a number of that magnitude cannot be stored"
    elif isinstance(value, dict):
        for key, item in value.items():
            fault = _faults(key, f"{path}.{key!r} (name)") or _faults(item, f"{path}.{key}", depth + 1)
            if fault:
                return fault
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            fault = _faults(item, f"{path}[{index}]", depth + 1)
            if fault:
                return fault
    return None


def parse_payload(text: str) -> dict[str, Any]:
    """The payload's value, numbers as int or Decimal; raises InvalidInput with the path of what can't be stored."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise InvalidInput(f"payload: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"payload: must be a JSON object, not {type(value).__name__}")
    fault = _faults(value, "payload")
    if fault:
        raise InvalidInput(fault)
    return value


def _encode(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form: use strings, numbers, lists and objects")


def dump_payload(value: dict[str, Any]) -> str:
    """Compact JSON text of a payload; raises InvalidInput with the path of what can't be stored."""
    fault = _faults(value, "payload")
    if fault:
        raise InvalidInput(fault)
    try:
        return simplejson.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_encode, allow_nan=False, use_decimal=True
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"payload: {error}") from None
