"""Usage from the feed: what budgets count of it, in its order, corrections as usage of the calls that they correct."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ledger_pipeline.budgets.counting import Counts, Usage
from ledger_pipeline.cold.feed import Wanted
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.events.columns import ALLOWED_AHEAD, week_of
from ledger_pipeline.events.enums import BudgetScope

COUNTED = ("TokensUpdated", "CostRecalculated")
_COLUMNS = (
    *("event_type", "event_id", "execution_id", "occurred_at", "drive_id", "workflow_name", "agent_id", "customer_id"),
    *("model_call_id", "cost_usd", "estimated_cost_usd", "target_event_id", "target_occurred_at", "old_cost_usd"),
    "difference_usd",
)
_SCOPES = {
    BudgetScope.WORKFLOW: "workflow_name",
    BudgetScope.AGENT: "agent_id",
    BudgetScope.CUSTOMER: "customer_id",
}
Calls = Callable[[datetime], Iterator[pa.RecordBatch]]
"""Batches of the feed that hold every model call that happened at a time or later."""


def wanted_from(at: datetime, event_types: tuple[str, ...] = COUNTED) -> Wanted:
    """The events that may have happened at a time or later, by the weeks that the ledger keeps them in."""
    return Wanted(event_types, week_of(at - ALLOWED_AHEAD))


def counted_usage(batches: Iterator[pa.RecordBatch], counts: Counts, since: datetime, calls: Calls) -> Iterator[Usage]:
    """The usage in batches of the feed that some budget may count, of calls at `since` or later."""
    held = [_narrow(batch, counts) for batch in batches]
    corrected = _corrected_calls(held, counts, since, calls)
    for batch in held:
        for row in batch.to_pylist():
            if row["event_type"] == "TokensUpdated":
                usd = (row["cost_usd"] or Decimal(0)) + (row["estimated_cost_usd"] or Decimal(0))
                yield _usage(row, row, usd, row["tokens"])
            elif (call := corrected.get(row["target_event_id"])) is not None:
                usd = row["difference_usd"]
                if row["old_cost_usd"] is None:  # its estimate was counted, and now there is a cost
                    usd -= call["estimated_cost_usd"] or Decimal(0)
                yield _usage(row, call, usd, 0)


def _usage(event: dict[str, Any], call: dict[str, Any], usd: Decimal, tokens: int) -> Usage:
    return Usage(
        event["event_id"],
        event["execution_id"],
        call["model_call_id"],
        call["occurred_at"],
        call["drive_id"],
        call["workflow_name"],
        call["agent_id"],
        call["customer_id"],
        usd,
        tokens,
    )


def _narrow(batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
    """The columns that counting needs, of the rows that some budget may count."""
    of_targets = [
        pc.is_in(batch.column(column), pa.array(counts.targets(scope), pa.string()))
        for scope, column in _SCOPES.items()
    ]
    corrections = pc.equal(batch.column("event_type"), "CostRecalculated")
    batch = batch.filter(reduce(pc.or_, [*of_targets, corrections]))
    tokens = reduce(pc.add, (pc.coalesce(batch.column(f"{kind}_tokens"), 0) for kind in USAGE_KINDS))
    return batch.select(list(_COLUMNS)).append_column("tokens", tokens)


def _corrected_calls(
    held: list[pa.RecordBatch], counts: Counts, since: datetime, calls: Calls
) -> dict[str, dict[str, Any]]:
    """The calls that corrections in the batches correct, by the ids of their events, as far as budgets count them."""
    times: dict[str, datetime] = {}
    for batch in held:
        corrections = batch.filter(pc.equal(batch.column("event_type"), "CostRecalculated"))
        for row in corrections.select(["target_event_id", "target_occurred_at"]).to_pylist():
            if row["target_occurred_at"] >= since:
                times[row["target_event_id"]] = row["target_occurred_at"]
    if not times:
        return {}
    ids = pa.array(list(times), pa.string())
    return {
        row["event_id"]: row
        for batch in calls(min(times.values()))
        for row in _narrow(batch.filter(pc.is_in(batch.column("event_id"), ids)), counts).to_pylist()
    }
