"""What callers give, read once at the public edge: an id, a name, a choice, a number, a time, an object, filters.

Each refusal names the argument, what was given and what is allowed.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from ledger_pipeline.errors import InvalidFilter, InvalidIdentifier, InvalidInput, InvalidTime

E = TypeVar("E", bound=StrEnum)
_MOST_WHOLE = 2**63 - 1


def shown(value: object) -> str:
    """A value for a message, cut when it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def id_of(field: str, value: object) -> UUID:
    """An id, of a UUID or its text; raises InvalidIdentifier."""
    try:
        return value if isinstance(value, UUID) else UUID(value)  # pyright: ignore[reportArgumentType]
    except (ValueError, AttributeError, TypeError):
        raise InvalidIdentifier(f"{field}: {shown(value)} is not a UUID") from None


def id_or_none(field: str, value: object) -> UUID | None:
    """An id that may be left out; raises InvalidIdentifier."""
    return None if value is None else id_of(field, value)


def text_of(field: str, value: object) -> str:
    """Text with something to read in it; raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field}: is {shown(value)}; allowed: text")
    if not value.strip():
        raise InvalidInput(f"{field}: is empty; a {field} of at least one character is needed")
    if "\0" in value:
        raise InvalidInput(f"{field}: {shown(value)} has a NUL character; allowed: text without one")
    return value


def text_or_none(field: str, value: object) -> str | None:
    """Text that may be left out; raises InvalidInput."""
    return None if value is None else text_of(field, value)


def one_of(field: str, value: object, kind: type[E]) -> E:
    """One of an enumeration's members, or its text; raises InvalidInput with those there are."""
    try:
        return kind(value)
    except ValueError:
        raise InvalidInput(f"{field}: {shown(value)} is not known; allowed: {', '.join(kind)}") from None


def whole_or_none(field: str, value: object, least: int = 0) -> int | None:
    """A whole number that may be left out; raises InvalidInput."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_WHOLE):
        return value
    raise InvalidInput(f"{field}: is {shown(value)}; allowed: a whole number, {least} or more")


def time_of(field: str, value: object) -> datetime:
    """An instant; raises InvalidTime, of a time without a zone too: nobody can say which instant it means."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidTime(f"{field}: is {shown(value)}; allowed: a datetime with its time zone")
    return value


def object_or_none(field: str, value: object) -> dict[str, Any] | None:
    """A JSON object that may be left out; raises InvalidInput."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidInput(f"{field}: is {shown(value)}; allowed: an object, whose names are text")
    return dict(value)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


def _storable(value: str) -> str:
    if "\0" in value or not value.isprintable():
        raise ValueError("must be printable text")
    return value


Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_storable)]
"""A filter that is text."""


def filters_of(answer: str, kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters that are set, parsed; raises InvalidFilter that names one, what was wrong and what is allowed."""
    try:
        return TypeAdapter(kind).validate_python({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = str(fault["loc"][0]) if fault["loc"] else answer
        if fault["type"] == "extra_forbidden":
            allowed = ", ".join(kind.__annotations__) or "none"
            raise InvalidFilter(f"{name}: not a filter of {answer}; allowed: {allowed}") from None
        raise InvalidFilter(f"{name}: {fault['msg']} (got {str(fault['input'])[:80]!r})") from None
