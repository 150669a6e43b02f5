"""What is derived from the catalogue outside the database: the Arrow schema and the canonical text."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, Event, event_class_of, typed_columns
from ledger_pipeline.events.columns import ARROW_TYPES, CANONICAL, UNIT_SEPARATOR

SCHEMA_VERSION = 1
"""Version of the cold files' columns; a reader refuses a file of a version that it doesn't know."""

ARROW_SCHEMA: pa.Schema = pa.schema(
    [pa.field(name, ARROW_TYPES[kind]) for name, kind in EVENT_COLUMNS.items()],
    metadata={"ledger.schema_version": str(SCHEMA_VERSION)},
)
"""Schema of an event batch and of a cold file: ids are strings, money decimal128(38, 12), times microseconds in UTC."""

GENESIS_HASH = bytes(32)
"""What the first event's hash builds on."""


def canonical_columns(event_class: type[Event]) -> tuple[str, ...]:
    """The columns that the canonical text joins, in order, after the profile number and before the payload."""
    return (*ENVELOPE, *(typed.name for typed in typed_columns(event_class)))


def canonical_text(row: Mapping[str, Any]) -> str:
    """The text that an event's leaf hashes; `row` holds typed values (see `ColumnKind`) and the payload's text."""
    event_class = event_class_of(row["event_type"], row["event_version"])
    values = [str(event_class.profile)]
    for name in canonical_columns(event_class):
        value = row[name]
        values.append("" if value is None else CANONICAL[EVENT_COLUMNS[name]](value))
    values.append(row["payload"])
    return UNIT_SEPARATOR.join(values)


def leaf_of(row: Mapping[str, Any]) -> bytes:
    """SHA-256 of the canonical text: the data of the event's RFC 6962 leaf."""
    return hashlib.sha256(canonical_text(row).encode()).digest()


def chain(previous: bytes, leaf: bytes) -> bytes:
    """The hash of an event: SHA-256 of the previous hash of its execution and its own leaf."""
    return hashlib.sha256(previous + leaf).digest()
