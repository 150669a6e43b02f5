"""Re-pricing: what calls cost as the price book knows it now, beside what the ledger says so far.

What it says so far is the cost recorded with the call and every correction since. Nothing recorded changes: a run that
is applied is an execution of its own, whose CostRecalculated events name call, old and new prices and the difference.
A call that the book can price no longer keeps its cost: a cost is corrected to another one, never to none.
"""

# pyarrow has no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

import json
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.events.enums import ExecutionKind, OperatorKind
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.pricing.book import PriceBook, read_sql
from ledger_pipeline.pricing.costing import Cost, Usage, cost
from ledger_pipeline.pricing.set_costing import CALL_COLUMNS, computing, cost_calls

WORKFLOW_NAME = "repricing"
_CALLS_AT_A_TIME = 250_000
_CORRECTIONS_AT_A_TIME = 1_000
_MEMORY = "1GB"
"""What a comparison keeps of calls beyond it waits in temporary files."""
_KEPT_OF_CALLS = ("event_id", "execution_id", "sequence", "model_call_id", *CALL_COLUMNS, "cost_usd", "payload")
_KEPT_OF_CORRECTIONS = (
    *("execution_id", "sequence", "recorded_at", "target_execution_id", "model_call_id", "difference_usd", "payload"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which calls are looked at: those made from `start` (None: all) to before `end`, of some models (none named: all).

    A model is named as calls name it, or as any other name of the same model of the price book.
    """

    start: datetime | None = None
    end: datetime | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepricedLine:
    """A month's calls of a model, in USD: before, after, and what would be or was corrected.

    `before_usd` and `after_usd` are None where none of the calls has a cost. `newly_priced`: calls that had none.
    `kept`: calls that have a cost and that the book can price no longer.
    """

    month: str
    provider: str | None
    model: str
    calls: int
    corrected: int
    newly_priced: int
    kept: int
    unpriced: int
    before_usd: Decimal | None
    after_usd: Decimal | None
    difference_usd: Decimal


@dataclass(frozen=True, slots=True)
class Correction:
    """One call whose cost is another one now."""

    call: Mapping[str, Any]
    old_usd: Decimal | None
    new: Cost
    old_prices: tuple[dict[str, Any], ...]

    @property
    def difference_usd(self) -> Decimal:
        """What the correction adds."""
        assert self.new.total_usd is not None
        return self.new.total_usd - (self.old_usd or Decimal(0))


@dataclass(frozen=True)
class Findings:
    """What a run found, before anything is applied."""

    lines: tuple[RepricedLine, ...]
    corrections: "Corrections"

    @property
    def difference_usd(self) -> Decimal:
        """What all corrections add."""
        return sum((line.difference_usd for line in self.lines), Decimal(0))


class Corrections:
    """The corrections that a run found, in the order of their calls; each is made when it is asked for."""

    def __init__(self, book: PriceBook, compared: duckdb.DuckDBPyConnection) -> None:
        self._book, self._compared = book, compared

    def __len__(self) -> int:
        ((count,),) = self._compared.execute("SELECT count(*) FROM changed").fetchall()
        return count

    def __iter__(self) -> Iterator[Correction]:
        # A connection of its own, since it is read from while the caller works on.
        with self._compared.cursor() as reading:
            for batch in reading.sql(read_sql("repricing_changed")).to_arrow_reader(_CORRECTIONS_AT_A_TIME):
                for row in batch.to_pylist():
                    yield _correction(self._book, row)


@contextmanager
def finding(
    book: PriceBook, calls: Iterable[pa.RecordBatch], corrections: Iterable[pa.RecordBatch], selection: Selection
) -> Generator[Findings]:
    """Compares the calls of a selection with the book: batches of `ARROW_SCHEMA` with the TokensUpdated, and with every
    CostRecalculated. What was found lasts as long as the block; of the calls no more are in memory than are compared at
    a time, whatever is to be corrected.
    """
    kept = [batch.select(_KEPT_OF_CORRECTIONS) for batch in corrections]
    chosen = (_of_models(book, part, selection.models) for part in _parts(_of_time(calls, selection)))
    with computing() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        lines = _compare(connection, book, chosen, _table(kept, _KEPT_OF_CORRECTIONS))
        yield Findings(lines, Corrections(book, connection))


def lines_of_marts(
    book: PriceBook, all_changed_at: datetime | None, marts: duckdb.DuckDBPyConnection
) -> tuple[RepricedLine, ...]:
    """The same comparison of the calls of the marts, of those alone whose cost may have changed since it was recorded.

    `all_changed_at`: see `all_changed_at`. A line counts what it looked at; a month and model that it has nothing of
    costs what the book knows.
    """
    asked: dict[str, Any] = {"all_changed_at": all_changed_at, "providers": [], "models": [], "priced_models": []}
    pairs = marts.execute("SELECT DISTINCT provider, model, priced_model FROM marts.model_usage").fetchall()
    for provider, model, priced_model in pairs:
        found = book.resolve(provider, model)
        if priced_model != (None if found.reason else f"{found.price_provider}/{found.model}"):
            for name, value in (("providers", provider), ("models", model), ("priced_models", priced_model)):
                asked[name].append(value)
    calls = marts.sql(read_sql("repricing_of_marts"), params=asked).to_arrow_reader(_CALLS_AT_A_TIME)
    parts = (pa.Table.from_batches([batch]) for batch in calls)
    # One without rows at least, as where there is nothing to look at.
    with computing() as connection:
        parts = chain(parts, [calls.schema.empty_table()])
        return _compare(connection, book, parts, _table([], _KEPT_OF_CORRECTIONS))


def all_changed_at(conn: Connection[dict[str, Any]]) -> datetime | None:
    """When it last changed what all prices follow from: the order of the sources, or the names of service tiers."""
    row = conn.execute(read_sql("all_changed")).fetchone()
    return row["changed_at"] if row else None


def _compare(
    connection: duckdb.DuckDBPyConnection, book: PriceBook, parts: Iterable[pa.Table], corrections: pa.Table
) -> tuple[RepricedLine, ...]:
    """The lines; the calls whose cost is another one now are left in the connection's table `changed`."""
    connection.register("corrections", corrections)
    connection.execute(read_sql("repricing_standing"))
    connection.execute(read_sql("repricing_compared"))
    for part in parts:
        found = cost_calls(book, part)
        connection.register("costed", part.append_column("new_cost_usd", found.column("cost_usd")))
        connection.execute(read_sql("repricing_compare"))
        connection.unregister("costed")
    return tuple(RepricedLine(*row) for row in connection.execute(read_sql("repricing_lines")).fetchall())


def _of_time(batches: Iterable[pa.RecordBatch], selection: Selection) -> Iterator[pa.RecordBatch]:
    """The columns that are compared, of the calls of the selection's time."""
    for batch in batches:
        usage = batch.select(_KEPT_OF_CALLS)
        for bound, holds in ((selection.start, pc.greater_equal), (selection.end, pc.less)):
            if bound is not None:
                time = usage.column("occurred_at")
                usage = usage.filter(holds(time, pa.scalar(bound, time.type)))
        yield usage


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of about `_CALLS_AT_A_TIME`; one without rows where there is nothing."""
    part: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        part.append(batch)
        rows += batch.num_rows
        if rows >= _CALLS_AT_A_TIME:
            yield _table(part, _KEPT_OF_CALLS)
            part, rows = [], 0
    yield _table(part, _KEPT_OF_CALLS)


def _table(batches: list[pa.RecordBatch], columns: Collection[str]) -> pa.Table:
    return pa.Table.from_batches(batches, pa.schema([ARROW_SCHEMA.field(name) for name in columns]))


def _of_models(book: PriceBook, calls: pa.Table, models: Collection[str]) -> pa.Table:
    if not models:
        return calls
    names = {name.strip().lower() for name in models}
    wanted = {(found.price_provider, found.model) for found in (book.resolve(None, name) for name in names)}
    pairs = calls.select(["provider", "model"]).group_by(["provider", "model"]).aggregate([]).to_pylist()
    chosen: list[dict[str, Any]] = []
    for pair in pairs:
        found = book.resolve(pair["provider"], pair["model"])
        called = {pair["model"].lower(), f"{pair['provider']}/{pair['model']}".lower()}
        meant = (found.price_provider, found.model) in wanted and found.reason is None
        if meant or called & names or f"{found.price_provider}/{found.model}" in names:
            chosen.append(pair)
    mask = pa.array([False] * len(calls), pa.bool_())
    for pair in chosen:
        same = pc.equal(calls.column("model"), pair["model"])
        provider = calls.column("provider")
        by = pc.is_null(provider) if pair["provider"] is None else pc.equal(provider, pair["provider"])
        mask = pc.or_(mask, pc.fill_null(pc.and_(same, by), False))  # noqa: FBT003
    return calls.filter(mask)


def _correction(book: PriceBook, row: dict[str, Any]) -> Correction:
    usage = Usage(
        row["provider"],
        row["model"],
        row["occurred_at"],
        tuple(row[f"{kind}_tokens"] for kind in USAGE_KINDS),
        row["requests"],
        row["service_tier"],
        row["region"],
    )
    new = cost(book, usage)
    if new.total_usd != row["new_cost_usd"]:
        raise AssertionError(f"call {row['event_id']} costs {new.total_usd} alone and {row['new_cost_usd']} in a set")
    payload = json.loads(row["old_payload"])
    return Correction(row, row["old_cost_usd"], new, tuple(payload.get("new_prices") or payload.get("prices") or ()))


class Run:
    """The execution of a run that is applied, in two parts: it is begun before its first correction is stored."""

    def __init__(self, execution_id: UUID, selection: Selection, *, reason: str, operator: str, now: datetime) -> None:
        self.execution_id = execution_id
        self._selection, self._reason = selection, reason
        self._who: dict[str, Any] = {
            "execution_id": execution_id,
            "execution_kind": ExecutionKind.REPRICING,
            "workflow_name": WORKFLOW_NAME,
            "occurred_at": now,
            "operator_id": operator,
            "operator_kind": OperatorKind.USER,
        }

    def beginning(self) -> list[events.Event]:
        """What was asked for."""
        start, end = self._selection.start, self._selection.end
        parameters = {
            "from": None if start is None else start.isoformat(),
            "to": None if end is None else end.isoformat(),
            "models": list(self._selection.models),
            "reason": self._reason,
        }
        return [events.WorkflowCreated(**self._who, parameters=parameters), events.WorkflowStarted(**self._who)]

    def corrections(self, findings: Findings) -> Iterator[events.Event]:
        """Every correction, and the end."""
        for one in findings.corrections:
            yield events.CostRecalculated(
                **self._who,
                target_event_id=UUID(one.call["event_id"]),
                target_execution_id=UUID(one.call["execution_id"]),
                target_occurred_at=one.call["occurred_at"],
                model_call_id=one.call["model_call_id"],
                provider=one.call["provider"] or one.new.provider,
                model=one.call["model"],
                old_cost_usd=one.old_usd,
                new_cost_usd=one.new.total_usd,
                difference_usd=one.difference_usd,
                reason=self._reason,
                old_prices=one.old_prices,
                new_prices=tuple(component.price for component in one.new.components),
            )
        output = {"calls": len(findings.corrections), "difference_usd": str(findings.difference_usd)}
        yield events.WorkflowCompleted(**self._who, output=output)
