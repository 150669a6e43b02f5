"""JSON objects read without loss: numbers keep their text, and a name that occurs twice is an error."""

import json
from decimal import Decimal
from typing import Any

from ledger_pipeline.errors import InvalidInput

MAX_DEPTH = 100
"""Of nesting; a bound of our own, since where Python gives up depends on the caller."""


class ExactNumber(Decimal):
    """A number that keeps its text: `1.10e-07` is written to a payload as it was received."""

    text: str

    def __new__(cls, text: str) -> "ExactNumber":
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise InvalidInput(f"the name {next(n for n in names if names.count(n) > 1)!r} occurs twice in one object")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_float=ExactNumber, parse_constant=Decimal)


def _deeper(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def decode_object(text: str) -> dict[str, Any]:
    """The object that the text holds; raises InvalidInput for anything else. NaN and Infinity become Decimals."""
    try:
        value = _DECODER.decode(text)
    except InvalidInput:
        raise
    except ArithmeticError:
        raise InvalidInput("not valid JSON: a number beyond every bound") from None
    except RecursionError:
        raise InvalidInput(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidInput(f"not valid JSON: {error}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper(value):
        raise InvalidInput(f"nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict):
        raise InvalidInput(f"must be a JSON object, not {type(value).__name__}")
    return value


def shown(value: Any) -> str:
    """A value as an error message quotes it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
