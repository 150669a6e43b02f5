"""A source without a database: events as the ledger would have stored them, for tests of what a build makes of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import duckdb
import pyarrow as pa

from ledger_pipeline.events import Event
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.columns import ColumnKind, week_of
from ledger_pipeline.events.schema import ARROW_SCHEMA, GENESIS_HASH, chain, leaf_of
from ledger_pipeline.marts import staging
from ledger_pipeline.marts.source import MEASURES, Cursor, Identity, Reading

Row = dict[str, Any]

_INHERITED = ("workflow_name", "workflow_type", "template_id", "template_version", "mode", "drive_id", "customer_id")
_INHERITED += ("user_id", "agent_id", "agent_name")
_NAMESPACE = UUID("00000000-0000-0000-0000-00000000000a")
_NOWHERE = UUID(int=0)


def stored(events: Iterable[Event], tx: int = 1) -> list[Row]:
    """The events as rows of the event table: what the database would fill in is filled in."""
    rows: list[Row] = []
    sequences: dict[Any, int] = {}
    hashes: dict[Any, bytes] = {}
    created: dict[Any, Row] = {}
    attempts: dict[Any, int] = {}
    for event in events:
        row = dict.fromkeys(EVENT_COLUMNS) | event.to_row()
        execution = row["execution_id"]
        sequences[execution] = row["sequence"] or sequences.get(execution, 0) + 1
        first = created.setdefault(execution, row)
        for name in _INHERITED:
            row[name] = first[name] if row[name] is None else row[name]
        if row["event_type"] == "StepRetried":
            attempts[row["step_id"]] = row["next_attempt"]
        row |= {
            "sequence": sequences[execution],
            "event_id": row["event_id"] or uuid5(_NAMESPACE, f"{execution}/{sequences[execution]}"),
            "execution_kind": first["execution_kind"] or "workflow",
            "attempt": row["attempt"] or (attempts.get(row["step_id"], 1) if row["call_id"] else None),
            "week": week_of(row["occurred_at"]),
            "epoch": 1,
            "tx": tx,
            "recorded_at": row["occurred_at"] + timedelta(seconds=1),
        }
        for name, value in row.items():
            if isinstance(value, str):
                row[name] = str(value)  # enums as the text that is stored
        row["leaf"] = leaf_of(row)
        row["hash"] = hashes[execution] = chain(hashes.get(execution, GENESIS_HASH), row["leaf"])
        rows.append(row)
    return rows


def arrow(rows: list[Row]) -> pa.Table:
    """Rows as a batch of the feed."""
    ids = [name for name, kind in EVENT_COLUMNS.items() if kind is ColumnKind.UUID]
    text = [row | {name: None if row[name] is None else str(row[name]) for name in ids} for row in rows]
    return pa.Table.from_pylist(text, ARROW_SCHEMA)


@dataclass
class InMemorySource:
    """Events in the order in which they were recorded, a `tx` per append; counts come from the rows themselves."""

    rows: list[Row] = field(default_factory=list[Row])
    prices_table: pa.Table = field(default_factory=staging.PRICE_SCHEMA.empty_table)
    removed_table: pa.Table = field(default_factory=staging.REMOVED_COSTS_SCHEMA.empty_table)
    budgets_table: pa.Table = field(default_factory=staging.BUDGET_SCHEMA.empty_table)
    instance: str = "in memory"
    lost_in_counting: int = 0

    def append(self, events: Iterable[Event]) -> None:
        """Records events in a transaction of their own; executions must begin in the same call."""
        self.add(stored(events))

    def add(self, rows: Iterable[Row]) -> None:
        """Records stored rows in a transaction of their own."""
        tx = self.horizon
        self.rows += [row | {"tx": tx} for row in rows]

    @property
    def horizon(self) -> int:
        """The first transaction that has not happened."""
        return max((row["tx"] for row in self.rows), default=0) + 1

    def identity(self) -> Identity:
        return Identity(self.instance, 1)

    def holds(self, identity: Identity, end: Cursor) -> bool:
        return identity == self.identity() and end.tx <= self.horizon

    def read(self, after: Cursor | None) -> Reading:
        new = [row for row in self.rows if after is None or row["tx"] >= after.tx]
        return Reading(iter(arrow(new).to_batches(1000)), Cursor(1, self.horizon, _NOWHERE, 0))

    def count_events(self, connection: duckdb.DuckDBPyConnection, end: Cursor) -> None:
        totals: dict[tuple[Any, str, str], Decimal] = {}
        for row in self.rows[self.lost_in_counting :]:
            measures: dict[str, Any] = {"events": 1}
            if row["event_type"] == "TokensUpdated":
                measures |= {name: row[name] or 0 for name in MEASURES if name != "difference_usd"}
            elif row["event_type"] == "CostRecalculated":
                measures |= {"difference_usd": row["difference_usd"]}
            for measure, value in measures.items():
                key = (row["week"], row["event_type"], measure)
                totals[key] = totals.get(key, Decimal(0)) + Decimal(value)
        rows = [
            {"source": "hot", "week": week, "event_type": kind, "measure": measure, "value": value}
            for (week, kind, measure), value in totals.items()
        ]
        staging.replace(connection, "event_totals", pa.Table.from_pylist(rows, staging.TOTALS_SCHEMA))

    def checkpoints(self) -> pa.Table:
        return staging.CHECKPOINT_SCHEMA.empty_table()

    def removed_costs(self) -> pa.Table:
        return self.removed_table

    def price_book(self) -> str:
        """A digest of the price book."""
        return repr(self.prices_table.to_pylist())

    def prices(self) -> pa.Table:
        return self.prices_table

    def budgets(self) -> pa.Table:
        return self.budgets_table
