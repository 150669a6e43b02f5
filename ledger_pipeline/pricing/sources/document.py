"""JSON as price sources write it, read exactly: numbers as Decimal, repeated names noticed, NaN kept for refusal."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from ledger_pipeline.errors import LedgerError

SHOWN = 60
_DECIMAL = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


class Repeated:
    """The value of a name that an object has more than once, with different values."""


def read_document(body: bytes) -> Any:
    """The document; raises LedgerError that shows how it begins when it is no JSON."""
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_float=Decimal,
            parse_constant=lambda name: Decimal(name.replace("Infinity", "Inf")),
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError, ArithmeticError) as error:
        beginning = body[:SHOWN].decode("utf-8", "replace").strip()
        raise LedgerError(f"the answer is no JSON ({_first_line(error)}); it begins with {beginning!r}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = Repeated() if name in found and found[name] != value else value
    return found


def object_at(value: Any, where: str) -> Mapping[str, Any]:
    """An object of the document; raises LedgerError that names where it was expected."""
    if not isinstance(value, dict):
        raise LedgerError(f"{where} is {_kind(value)}; expected an object: has the format changed?")
    return cast("Mapping[str, Any]", value)


def number_at(entry: Mapping[str, Any], name: str) -> Decimal | None:
    """A JSON number of an entry, None where it has none; raises LedgerError for anything else."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise LedgerError(f"{name} is {_kind(value)}; expected a number")
    return Decimal(value)


def decimal_at(entry: Mapping[str, Any], name: str) -> Decimal | None:
    """A decimal in a JSON string of an entry, None where it has none; raises LedgerError for anything else."""
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise LedgerError(f"{name} is {_kind(value)}; expected a decimal number in a string")
    try:
        return Decimal(value)
    except ArithmeticError:  # an exponent beyond any number
        raise LedgerError(f"{name} is {_kind(value)}; expected a number that can be one") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _kind(value: Any) -> str:
    if isinstance(value, Repeated):
        return "there twice, with different values"
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
