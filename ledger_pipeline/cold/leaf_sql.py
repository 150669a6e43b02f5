"""The leaf of an event as expressions, derived from the catalogue: a second reading of the canonical text.

In DuckDB for all types at once; in PostgreSQL for one, which takes half as long as the ledger's own function of all.
"""

from ledger_pipeline.events.catalogue import (
    ENVELOPE,
    EVENT_COLUMNS,
    EVENT_TYPES,
    Event,
    by_version,
    typed_columns,
    versions_of,
)
from ledger_pipeline.events.columns import ColumnKind

_TEXT_OF = {ColumnKind.TIMESTAMP: "epoch_us({})"}
_HOT_TEXT_OF = {
    # Exact to the microsecond up to the year 2106; the ledger's own function goes by decimals, which takes longer.
    ColumnKind.TIMESTAMP: "(date_part('epoch', {}) * 1000000)::bigint",
    ColumnKind.BOOLEAN: "{}::text",
}
_SEPARATOR = "chr(31)"


def canonical_text_expression() -> str:
    """SQL that gives the canonical text from the columns of `ARROW_SCHEMA`; NULL for an unknown type."""
    profiles = [f"WHEN '{name}' THEN {by_version(name, 'event_version', _profile)}" for name in EVENT_TYPES]
    own = [f"WHEN '{name}' THEN {by_version(name, 'event_version', _own)}" for name in EVENT_TYPES]
    # The envelope is joined once for all types.
    parts = [f"CASE event_type {' '.join(profiles)} END", *map(_text, ENVELOPE), f"CASE event_type {' '.join(own)} END"]
    known = ", ".join(f"'{name}'" for name in EVENT_TYPES)
    return f"CASE WHEN event_type IN ({known}) THEN {_joined(parts)} END"


def leaf_expression() -> str:
    """SQL that gives the leaf in lower-case hex from the columns of `ARROW_SCHEMA`; NULL for an unknown type."""
    return f"sha256({canonical_text_expression()})"


def hot_leaf_expression(event_type: str) -> str:
    """SQL of PostgreSQL that gives the leaf of one type's rows of `workflow_events`; NULL for an unknown version."""

    def text(event_class: type[Event]) -> str:
        names = [*ENVELOPE, *(typed.name for typed in typed_columns(event_class)), "payload"]
        shown = (_HOT_TEXT_OF.get(EVENT_COLUMNS[name], "{}").format(name) for name in names)
        parts = [f"'{event_class.profile}'", *shown]
        # A function takes a hundred arguments.
        chunks = [_joined(parts[start : start + 50]) for start in range(0, len(parts), 50)]
        return f" || {_SEPARATOR} || ".join(chunks)

    cases = " ".join(
        f"WHEN {version} THEN {text(event_class)}" for version, event_class in versions_of(event_type).items()
    )
    return f"sha256(convert_to(CASE event_version {cases} END, 'UTF8'))"


def _profile(event_class: type[Event]) -> str:
    return f"'{event_class.profile}'"


def _own(event_class: type[Event]) -> str:
    return _joined([*(_text(typed.name) for typed in typed_columns(event_class)), "payload"])


def _text(name: str) -> str:
    return _TEXT_OF.get(EVENT_COLUMNS[name], "{}").format(name)


def _joined(parts: list[str]) -> str:
    # concat takes NULL as the empty text, as the canonical text has it, and is twice as fast as coalesce of each part.
    return f"concat({f', {_SEPARATOR}, '.join(parts)})"
