"""The leaf of an event as DuckDB expressions, derived from the catalogue: a second reading of the canonical text."""

from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, EVENT_TYPES
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.schema import canonical_columns

_TEXT_OF = {ColumnKind.TIMESTAMP: "epoch_us({})"}
_SEPARATOR = "chr(31)"


def canonical_text_expression() -> str:
    """SQL that gives the canonical text from the columns of `ARROW_SCHEMA`; NULL for an unknown type."""
    profiles: list[str] = []
    own: list[str] = []
    for name, event_class in EVENT_TYPES.items():
        columns = canonical_columns(name)[len(ENVELOPE) :]
        profiles.append(f"WHEN '{name}' THEN '{event_class.profile}'")
        own.append(f"WHEN '{name}' THEN {_joined([*map(_text, columns), 'payload'])}")
    # The envelope is joined once for all types.
    parts = [f"CASE event_type {' '.join(profiles)} END", *map(_text, ENVELOPE), f"CASE event_type {' '.join(own)} END"]
    known = ", ".join(f"'{name}'" for name in EVENT_TYPES)
    return f"CASE WHEN event_type IN ({known}) THEN {_joined(parts)} END"


def leaf_expression() -> str:
    """SQL that gives the leaf in lower-case hex from the columns of `ARROW_SCHEMA`; NULL for an unknown type."""
    return f"sha256({canonical_text_expression()})"


def _text(name: str) -> str:
    return _TEXT_OF.get(EVENT_COLUMNS[name], "{}").format(name)


def _joined(parts: list[str]) -> str:
    # concat takes NULL as the empty text, as the canonical text has it, and is twice as fast as coalesce of each part.
    return f"concat({f', {_SEPARATOR}, '.join(parts)})"
