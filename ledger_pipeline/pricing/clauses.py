"""Match clauses: the small JSON language in which rules say which names they mean.

`{"equals": …}`, `{"starts_with": …}`, `{"ends_with": …}`, `{"contains": …}`, `{"regex": …}`, `{"or": […]}`,
`{"and": […]}`, as in the genai-prices catalogue. Names are compared in lower case.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ledger_pipeline.errors import InvalidInput

Clause = Mapping[str, Any]


class Span(NamedTuple):
    """The part of a name that a clause accounts for; what lies outside it is up to the reader to judge."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Characters accounted for."""
        return self.end - self.start


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"price rule: the regular expression {pattern!r} is not valid: {error}") from None


def _longest(spans: Iterator[Span | None]) -> Span | None:
    return max((span for span in spans if span), key=lambda span: span.length, default=None)


def match(clause: Clause, name: str) -> Span | None:
    """The longest part of the lower-case `name` that the clause accounts for, None when it doesn't match.

    Raises InvalidInput for a clause of an unknown kind.
    """
    ((kind, operand),) = clause.items()
    if kind == "or":
        return _longest(match(part, name) for part in operand)
    if kind == "and":
        spans = [match(part, name) for part in operand]
        return _longest(iter(spans)) if all(spans) else None
    if kind == "regex":
        found = _compiled(operand).search(name)
        return Span(*found.span()) if found else None
    text = operand.lower()
    if kind == "equals":
        return Span(0, len(name)) if name == text else None
    if kind == "starts_with":
        return Span(0, len(text)) if name.startswith(text) else None
    if kind == "ends_with":
        return Span(len(name) - len(text), len(name)) if name.endswith(text) else None
    if kind == "contains":
        start = name.find(text)
        return Span(start, start + len(text)) if start >= 0 else None
    raise InvalidInput(
        f"price rule: the clause {kind!r} is not known; "
        "allowed: equals, starts_with, ends_with, contains, regex, or, and"
    )


def exact_names(clause: Clause) -> Iterator[str]:
    """The names, in lower case, that a clause spells out in full."""
    ((kind, operand),) = clause.items()
    if kind == "equals":
        yield operand.lower()
    elif kind == "or":
        for part in operand:
            yield from exact_names(part)


def without_contains(clause: Clause) -> Clause | None:
    """The clause without its loosest kind, None when nothing is left."""
    ((kind, operand),) = clause.items()
    if kind in ("contains", "ends_with"):
        return None
    if kind == "or":
        parts = [part for part in map(without_contains, operand) if part]
        return {"or": parts} if parts else None
    return clause
