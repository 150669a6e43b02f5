"""What a build reads: events beyond a cursor, independent totals of all of them, the price book and the budgets."""

# pyarrow has no types.
# pyright: reportUnknownParameterType=false

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

import duckdb
import pyarrow as pa

from ledger_pipeline.events.catalogue import MONEY_COLUMNS, USAGE_KINDS, CostRecalculated, TokensUpdated

_SUMMED = {*MONEY_COLUMNS, "requests", *(f"{kind}_tokens" for kind in USAGE_KINDS)}
_OLD_AND_NEW = {"old_cost_usd", "new_cost_usd"}
MEASURES: tuple[str, ...] = tuple(
    name
    for event_class in (TokensUpdated, CostRecalculated)
    for name in event_class.model_fields
    if name in _SUMMED - _OLD_AND_NEW
)
"""What is added up, and must come out the same, where events are kept and in the facts."""


class Cursor(NamedTuple):
    """A position of the feed: every event before it is in the build. `tx` counts within its epoch."""

    epoch: int
    tx: int
    execution_id: UUID
    sequence: int


class Identity(NamedTuple):
    """What makes a build's cursor meaningful: the ledger, its epoch, the last checkpoint known with its root, and how
    many weeks had been removed under retention.
    """

    instance_id: str
    epoch: int
    checkpoint: int | None = None
    checkpoint_root: str | None = None
    removed_weeks: int = 0


@dataclass(frozen=True)
class Reading:
    """Events in the feed's order, batches of ARROW_SCHEMA, and the cursor behind them."""

    batches: Iterator[pa.RecordBatch]
    end: Cursor


class Source(Protocol):
    """Where a build's rows come from."""

    def identity(self) -> Identity:
        """Which ledger this is, now."""
        ...

    def holds(self, identity: Identity, end: Cursor) -> bool:
        """Whether a build of that identity, which ends there, can be continued with this ledger's feed."""
        ...

    def read(self, after: Cursor | None) -> Reading:
        """Every event from a cursor on, exactly once."""
        ...

    def count_events(self, connection: duckdb.DuckDBPyConnection, end: Cursor) -> None:
        """Fills `staging.event_totals` from where the events are kept, not from what `read` gave."""
        ...

    def checkpoints(self) -> pa.Table:
        """The batches of the feed that were closed before it is read, columns as in `staging.checkpoints`."""
        ...

    def price_book(self) -> str:
        """A digest of the price book: another one when any of its rows is."""
        ...

    def prices(self) -> pa.Table:
        """The rows of the price book, columns as in `staging.model_pricing`."""
        ...

    def removed_costs(self) -> pa.Table:
        """What the calls of removed weeks cost, columns as in `staging.removed_costs`."""
        ...

    def budgets(self) -> pa.Table:
        """The budgets that are set, columns as in `staging.budgets`."""
        ...
