"""Upcasters: an event of an old version as the current version of its type, when it is read to be understood.

What is stored stays as it was recorded, and so does its hash: `Ledger.events`, exports and `verify` give and judge the
stored form. The fold and the feed give the current one.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from ledger_pipeline.events.schema import ARROW_SCHEMA

EventRow = Mapping[str, Any]
Upcaster = Callable[[EventRow], EventRow]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""By event type and version: a pure function that makes a row of that version one of the next; it reads and gives
columns of `ARROW_SCHEMA`, `payload` as JSON text, ids as text or UUIDs, and looks at nothing but its argument."""


def upcast(row: EventRow) -> EventRow:
    """The row in the current version of its type; a row that is current is given back as it is."""
    while (step := UPCASTERS.get((row["event_type"], row["event_version"]))) is not None:
        row = {**step(row), "event_version": row["event_version"] + 1}
    return row


def upcast_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch of `ARROW_SCHEMA` with every event in the current version of its type, in the same order."""
    if not UPCASTERS:
        return batch
    kinds = batch.select(["event_type", "event_version"]).to_pylist()
    if not any((kind["event_type"], kind["event_version"]) in UPCASTERS for kind in kinds):
        return batch
    return pa.RecordBatch.from_pylist([dict(upcast(row)) for row in batch.to_pylist()], schema=ARROW_SCHEMA)
