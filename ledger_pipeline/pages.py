"""Pages of an answer: their size, and the cursor that says where the next one begins."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from ledger_pipeline.errors import InvalidCursor, InvalidPageSize

DEFAULT_PAGE_SIZE = 50
MOST_ITEMS = 500

T = TypeVar("T")
Key = tuple[Any, ...]
Part = Callable[[Any], Any]
"""Reads one part of a cursor's key; raises ValueError or TypeError for one that it isn't."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of an answer in its order; `next_cursor` asks for those behind them, None when there are none."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class Request:
    """One page of one answer: which filters it has, how many items, and behind which key it begins."""

    answer: str
    filters: Mapping[str, Any]
    page_size: int
    after: Key | None

    @classmethod
    def of(
        cls, answer: str, filters: Mapping[str, Any], cursor: str | None, page_size: int, key: Sequence[Part]
    ) -> "Request":
        """Raises InvalidPageSize for one out of range, InvalidCursor for one that isn't of this answer and filters."""
        check_size("page_size", page_size, MOST_ITEMS)
        return cls(answer, filters, page_size, None if cursor is None else _key_of(cursor, answer, filters, key))

    def page(self, items: Sequence[T], key: Callable[[T], Key]) -> Page[T]:
        """The page of items found, in order; one more than asked for says that there is a next."""
        shown = tuple(items[: self.page_size])
        more = len(items) > self.page_size
        return Page(shown, _cursor(self.answer, self.filters, key(shown[-1])) if more else None)


def check_size(field: str, value: Any, most: int) -> int:
    """A number of items; raises InvalidPageSize for one out of range."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidPageSize(f"{field}: must be a whole number from 1 to {most}, got {repr(value)[:80]}")
    return value


def optional(part: Part) -> Part:
    """A part of a key that may be NULL."""
    return lambda value: None if value is None else part(value)


def instant(value: str) -> datetime:
    """A part of a key that is an instant."""
    read = datetime.fromisoformat(value)
    if read.tzinfo is None:
        raise ValueError(value)
    return read


def whole(value: Any) -> int:
    """A part of a key that is a whole number, as the database can hold one."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise ValueError(value)
    return value


def text(value: Any) -> str:
    """A part of a key that is text."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    return value


def _digest(filters: Mapping[str, Any]) -> str:
    given = json.dumps({name: str(value) for name, value in filters.items()}, sort_keys=True)
    return hashlib.sha256(given.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, str)) else _as_text(value)


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _cursor(answer: str, filters: Mapping[str, Any], key: Key) -> str:
    content = json.dumps([answer, _digest(filters), *map(_plain, key)], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _key_of(cursor: str, answer: str, filters: Mapping[str, Any], parts: Sequence[Part]) -> Key:
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of_answer, digest, *values = json.loads(raw)
        key = tuple(part(value) for part, value in zip(parts, values, strict=True))
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InvalidCursor(
            f"cursor: {str(cursor)[:40]!r} is none of this ledger's: pass on `next_cursor` as the page before gave it"
        ) from None
    if of_answer != answer or digest != _digest(filters):
        raise InvalidCursor(
            "cursor: it belongs to another answer or to other filters: pass it on with those of the page before"
        )
    return key
