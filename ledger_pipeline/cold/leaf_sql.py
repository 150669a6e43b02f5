"""The leaf of an event as a DuckDB expression, derived from the catalogue: a second reading of the canonical text."""

from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, EVENT_TYPES
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.schema import canonical_columns

_TEXT_OF = {ColumnKind.TIMESTAMP: "epoch_us({})::VARCHAR"}


def _text(name: str) -> str:
    return f"coalesce({_TEXT_OF.get(EVENT_COLUMNS[name], '{}::VARCHAR').format(name)}, '')"


def leaf_expression() -> str:
    """SQL that gives the leaf in lower-case hex from the columns of `ARROW_SCHEMA`; NULL for an unknown type."""
    profiles: list[str] = []
    own: list[str] = []
    for name, event_class in EVENT_TYPES.items():
        columns = canonical_columns(name)[len(ENVELOPE) :]
        profiles.append(f"WHEN '{name}' THEN '{event_class.profile}'")
        own.append(f"WHEN '{name}' THEN concat_ws(chr(31), {', '.join([*map(_text, columns), 'payload'])})")
    # concat_ws leaves NULLs out, so an unknown type needs the outer test; the envelope is joined once for all types.
    parts = [f"CASE event_type {' '.join(profiles)} END", *map(_text, ENVELOPE), f"CASE event_type {' '.join(own)} END"]
    known = ", ".join(f"'{name}'" for name in EVENT_TYPES)
    return f"CASE WHEN event_type IN ({known}) THEN sha256(concat_ws(chr(31), {', '.join(parts)})) END"
