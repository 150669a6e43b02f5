"""Judging: the feed's consumer that counts budgets and records what exceeds them, each breach once.

Breaches are appended first, under idempotency keys, then totals and cursor are stored together: whoever comes after a
crash counts the same events again, and finds its breaches recorded.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from ledger_pipeline.budgets.budget import Budget
from ledger_pipeline.budgets.counting import Breach, Count, Counts, Total
from ledger_pipeline.budgets.periods import begins, name
from ledger_pipeline.budgets.usage import COUNTED, counted_usage, wanted_from
from ledger_pipeline.cold.feed import Feed, Position, Wanted, load_cursor, read_feed, store_cursor
from ledger_pipeline.cold.sessions import own_transactions, sole
from ledger_pipeline.events.catalogue import BudgetExceeded, Event, WorkflowCreated, WorkflowStarted
from ledger_pipeline.events.columns import MAX_TOKENS, MAX_USD
from ledger_pipeline.events.enums import BudgetUnit, ExecutionKind, OperatorKind
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore

CONSUMER = "budgets"
"""The name of the cursor, and of who records breaches."""
JUDGE_LOCK = 2006
_SQL = files("ledger_pipeline.budgets") / "sql"


@dataclass(frozen=True)
class Judged:
    """What one judging found: the budgets that it counted, and the breaches that it recorded."""

    budgets: int
    breaches: tuple[Breach, ...]


@dataclass(frozen=True)
class _Known:
    """A budget with its stream and its count.

    `new`: nobody has counted it yet. `fresh`: nor by these terms, so that it is counted anew from `count.since` on;
    `since` is from when on it counts, once that is done.
    """

    stream_id: UUID
    count: Count
    new: bool
    fresh: bool
    since: datetime


def judge(connection: Connection, cold_dir: ColdStore) -> Judged:
    """Counts what was used since the last time, over hot and cold events, and records the breaches.

    A budget that is new begins with the period in which it was made. One whose limit was changed counts anew from the
    period in which that was done; what it counted of earlier ones stays. The connection must be the service's, outside
    a transaction. Raises Held, naming the session, while another one judges.
    """
    with own_transactions(connection), translated(), sole(connection, JUDGE_LOCK, "budgets are being judged by"):
        known = _known(connection)
        if not known:
            return Judged(0, ())
        fresh = [each for each in known if each.fresh]
        # Where nobody counts yet, nobody needs what was used before the first period.
        cursor = None if all(each.new for each in known) else load_cursor(connection, CONSUMER)
        recorded: list[Breach] = []
        if fresh:
            earliest = min(each.count.since for each in fresh)
            feed = read_feed(connection, cold_dir, wanted=wanted_from(earliest), until=cursor)
            recorded += _take(connection, cold_dir, feed, fresh)
            for each in fresh:
                each.count.since = each.since
        if cursor is not None:
            feed = read_feed(connection, cold_dir, cursor, wanted=Wanted(COUNTED))
            recorded += _take(connection, cold_dir, feed, known)
        return Judged(len(known), tuple(recorded))


def _terms(budget: Budget) -> str:
    """What a count is by: with other terms a budget counts anew."""
    return f"{budget.limit_usd} {budget.limit_tokens} {','.join(map(str, budget.thresholds))}"


def _known(connection: Connection) -> list[_Known]:
    # Committed first: a stream's id must be the same after a crash.
    connection.execute((_SQL / "new_counts.sql").read_bytes())
    totals: dict[UUID, dict[datetime, Total]] = {}
    for row in connection.execute("SELECT * FROM budget_totals"):
        totals.setdefault(row["budget_id"], {})[row["starts_at"]] = Total(row["total_usd"], row["total_tokens"])
    known: list[_Known] = []
    for row in connection.execute((_SQL / "counted_budgets.sql").read_bytes()).fetchall():
        stream_id, terms, since = (row.pop(column) for column in ("stream_id", "terms", "since"))
        budget = Budget.of_row(row)
        new, fresh, since = not terms, terms != _terms(budget), begins(budget.period, since)
        count = Count(budget, since, totals.get(budget.id, {}))
        if fresh and not new:
            count.since = max(since, begins(budget.period, budget.updated_at))
            count.totals = {at: total for at, total in count.totals.items() if at < count.since}
        known.append(_Known(stream_id, count, new, fresh, since))
    return known


def _take(connection: Connection, cold_dir: ColdStore, feed: Feed, known: Sequence[_Known]) -> list[Breach]:
    """Counts a part of the feed; answers the breaches that were not recorded before."""

    def calls(since: datetime) -> Any:
        wanted = wanted_from(since, ("TokensUpdated",))
        return read_feed(connection, cold_dir, ordered=False, wanted=wanted, until=feed.end).batches

    counts = Counts(each.count for each in known)
    since = min(each.count.since for each in known)
    streams = {each.count.budget.id: each.stream_id for each in known}
    breaches = [breach for usage in counted_usage(feed.batches, counts, since, calls) for breach in counts.add(usage)]
    recorded = [breach for breach in breaches if _record(connection, streams[breach.budget.id], breach)]
    _store(connection, known, feed.end)
    return recorded


def _record(connection: Connection, stream_id: UUID, breach: Breach) -> bool:
    """Appends a breach to the budget's stream; False when it is there already."""
    at, budget = breach.usage.occurred_at, breach.budget
    by: dict[str, Any] = {
        "occurred_at": at,
        "operator_id": CONSUMER,
        "operator_kind": OperatorKind.SYSTEM,
        "source": CONSUMER,
    }
    created = WorkflowCreated(
        **by,
        execution_kind=ExecutionKind.BUDGET,
        workflow_name=budget.workflow_name or "budget",
        drive_id=budget.drive_id,
        agent_id=budget.agent_id,
        customer_id=budget.customer_id,
        parameters={"budget_id": str(budget.id), "scope": budget.scope, "period": budget.period},
    )
    usd = breach.unit is BudgetUnit.USD
    limit, total = ("limit_usd", "total_usd") if usd else ("limit_tokens", "total_tokens")
    exceeded = BudgetExceeded.model_validate(
        {
            **by,
            "budget_id": budget.id,
            "budget_scope": budget.scope,
            "budget_unit": breach.unit,
            "budget_period": breach.period,
            "threshold_percent": breach.threshold,
            limit: breach.limit,
            # A total may grow beyond what an event can hold; it is over the limit all the same.
            total: min(breach.total, MAX_USD if usd else MAX_TOKENS),
            "model_call_id": breach.usage.model_call_id,
            "crossing_execution_id": breach.usage.execution_id,
            "crossing_event_id": breach.usage.event_id,
        }
    )
    _append_once(connection, stream_id, "stream", [created, WorkflowStarted(**by)])
    return _append_once(connection, stream_id, breach.key, [exceeded])


def _append_once(connection: Connection, stream_id: UUID, key: str, events: Sequence[Event]) -> bool:
    # The key says what is recorded: a second try is the same request, whatever else has changed meanwhile.
    request_hash = hashlib.sha256(key.encode()).digest()
    return not append(connection, stream_id, events, idempotency_key=key, request_hash=request_hash).repeated


def _store(connection: Connection, known: Iterable[_Known], end: Position) -> None:
    """Keeps totals and cursor, together; budgets that were removed meanwhile are left out."""
    with connection.transaction(), connection.cursor() as cursor:
        for each in known:
            budget, count = each.count.budget, each.count
            if each.fresh:
                cursor.execute(
                    "UPDATE budget_counts SET terms = %s, since = %s WHERE budget_id = %s",
                    (_terms(budget), each.since, budget.id),
                )
                cursor.execute(
                    "DELETE FROM budget_totals WHERE budget_id = %s AND starts_at >= %s", (budget.id, count.since)
                )
            rows = [
                (name(budget.period, begin), begin, total.usd, total.tokens, budget.id)
                for begin, total in count.totals.items()
            ]
            cursor.executemany((_SQL / "store_total.sql").read_bytes(), rows)
        store_cursor(connection, CONSUMER, end)
