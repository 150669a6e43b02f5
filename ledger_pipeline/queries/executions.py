"""Executions, filtered, newest start first; those that were pruned among them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.events.enums import ExecutionStatus
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pages import Key, Page, Request, instant, optional
from ledger_pipeline.queries.pruned import OpenMarts, PrunedSource, marts_with_pruned, pruned_among

KEY = (optional(instant), UUID)
"""Executions that have not started come first; then by start and id, both falling."""
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class ExecutionSummary:
    """The latest state of one execution, money in USD; `estimated_cost` is of what has no price, not in the total."""

    execution_id: UUID
    workflow_name: str | None
    workflow_type: str | None
    template_id: UUID | None
    template_version: int | None
    mode: str | None
    drive_id: UUID | None
    customer_id: UUID | None
    user_id: UUID | None
    agent_id: UUID | None
    agent_name: str | None
    status: ExecutionStatus
    retry_of: UUID | None
    parent_execution_id: UUID | None
    parent_step_id: UUID | None
    triggered_by: str | None
    triggered_by_kind: str | None
    approved_by: str | None
    current_step_id: UUID | None
    current_step_order: int | None
    total_steps: int
    steps_done: int
    progress_percentage: Decimal
    approvals_pending: int
    total_cost: Decimal
    estimated_cost: Decimal
    spent_tokens: int
    budget_usd: Decimal | None
    budget_tokens: int | None
    error_message: str | None
    started_at: datetime | None
    paused_at: datetime | None
    resumed_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    aborted_at: datetime | None
    timed_out_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ExecutionSummary":
        """Of a row of the projection, of the mart or of a replay, which hold the same."""
        values: dict[str, Any] = {field.name: row[field.name] for field in fields(cls)}
        values |= {name: value.astimezone(UTC) for name, value in values.items() if isinstance(value, datetime)}
        values["status"] = ExecutionStatus(row["status"])
        return cls(**values)


COLUMNS = tuple(field.name for field in fields(ExecutionSummary))
_SELECTED = sql.SQL(", ").join(
    sql.SQL("id AS execution_id") if name == "execution_id" else sql.Identifier(name) for name in COLUMNS
)
# The order's expression is that of the index `workflow_executions_order`.
_PAGE = sql.SQL(
    """
    SELECT {columns} FROM workflow_executions
    WHERE execution_kind = 'workflow'{conditions}
    ORDER BY coalesce(started_at, 'infinity'::timestamptz) DESC, id DESC
    LIMIT %(rows)s
    """
)
_AFTER = sql.SQL(
    " AND (coalesce(started_at, 'infinity'::timestamptz), id)"
    " < (coalesce(%(started)s::timestamptz, 'infinity'::timestamptz), %(id)s)"
)
# Only ended executions are pruned, and nothing that they are filtered or ordered by changes after the end.
_PRUNED = """
    SELECT {columns} FROM marts.executions
    WHERE ended_at IS NOT NULL{conditions}
    ORDER BY coalesce(started_at, 'infinity'::TIMESTAMPTZ) DESC, execution_id DESC
    LIMIT $rows
    """
_PRUNED_AFTER = (
    " AND ROW(coalesce(started_at, 'infinity'::TIMESTAMPTZ), execution_id)"
    " < ROW(coalesce($started::TIMESTAMPTZ, 'infinity'::TIMESTAMPTZ), $id::UUID)"
)
_CONDITIONS: dict[str, tuple[LiteralString, LiteralString]] = {
    "user": ("user_id", "="),
    "drive": ("drive_id", "="),
    "customer": ("customer_id", "="),
    "agent": ("agent_id", "="),
    "template": ("template_id", "="),
    "status": ("status", "="),
    "mode": ("mode", "="),
    "workflow_type": ("workflow_type", "="),
    "workflow_name": ("workflow_name", "="),
    "triggered_by": ("triggered_by", "="),
    "started_from": ("started_at", ">="),
    "started_to": ("started_at", "<"),
}


def key_of(execution: ExecutionSummary) -> Key:
    """Where an execution stands in the order."""
    return execution.started_at, execution.execution_id


def executions(connection: Connection, open_marts: OpenMarts, request: Request) -> Page[ExecutionSummary]:
    """One page of the executions of kind workflow that meet the filters."""
    with open_read(connection):
        found = hot_executions(connection, request)
        with marts_with_pruned(connection, open_marts) as source:
            if source is not None:
                found = _with_pruned(connection, source, request, found)
    return request.page(found, key_of)


def hot_executions(connection: Connection, request: Request) -> list[ExecutionSummary]:
    """The executions of the page that are in the hot store, and one more."""
    statement, parameters = page_statement(request)
    return [ExecutionSummary.from_row(row) for row in connection.execute(statement, parameters).fetchall()]


def page_statement(request: Request) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement of a page in the hot store, with its parameters."""
    conditions = [
        sql.SQL(" AND {} {} {}").format(sql.Identifier(column), sql.SQL(operator), sql.Placeholder(name))
        for name, (column, operator) in _CONDITIONS.items()
        if name in request.filters
    ]
    if request.after:
        conditions.append(sql.Composed([_AFTER]))
    statement = _PAGE.format(columns=_SELECTED, conditions=sql.Composed(conditions))
    return statement, _parameters(request, request.page_size + 1)


def _parameters(request: Request, rows: int) -> dict[str, Any]:
    after = dict(zip(("started", "id"), request.after or (), strict=False))
    filters = {name: str(value) if name == "status" else value for name, value in request.filters.items()}
    return {**filters, **after, "rows": rows}


def _with_pruned(
    connection: Connection, source: PrunedSource, request: Request, hot: list[ExecutionSummary]
) -> list[ExecutionSummary]:
    """Both in one order.

    The marts also hold executions that are not pruned. Of those that stand before the end of `hot`, all are in `hot`:
    so twice as many rows as a page needs leave enough of the pruned ones.
    """
    most = request.page_size + 1
    given = [(name, *condition) for name, condition in _CONDITIONS.items() if name in request.filters]
    conditions = "".join(f" AND {column} {operator} ${name}" for name, column, operator in given)
    within, parameters = source.within_drives(_parameters(request, 2 * most))
    statement = _PRUNED.format(
        columns=", ".join(COLUMNS), conditions=conditions + within + (_PRUNED_AFTER if request.after else "")
    )
    cursor = source.marts.execute(statement, parameters)
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in cursor.fetchall()]
    known = {execution.execution_id for execution in hot}
    others = [row for row in rows if row["execution_id"] not in known]
    pruned = pruned_among(connection, [row["execution_id"] for row in others])
    both = hot + [ExecutionSummary.from_row(row) for row in others if row["execution_id"] in pruned]
    return sorted(both, key=lambda one: (one.started_at or _LAST, one.execution_id), reverse=True)[:most]
