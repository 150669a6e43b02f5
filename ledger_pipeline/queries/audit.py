"""Events as an audit reads them, hot and cold, each once: all of them, those of one execution, or the errors.

The order is that of the ledger's weeks, then of time, both falling, so every hot event comes before every cold one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal, LiteralString, cast
from uuid import UUID

import duckdb
from psycopg import sql

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.manifest import WeekFiles, files_by_week
from ledger_pipeline.cold.reader import event_rows, execution_events, open_read
from ledger_pipeline.events.catalogue import EVENT_COLUMNS, columns_of
from ledger_pipeline.events.columns import ALLOWED_AHEAD, week_of
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pages import Key, Page, Request, instant, whole
from ledger_pipeline.settings import ColdStore

KEY = (date.fromisoformat, instant, UUID, whole)
KEY_IN_EXECUTION = (whole,)
_EXACT_TEXT = ("payload", "leaf", "hash")
_COLUMNS = tuple(name for name in EVENT_COLUMNS if name not in _EXACT_TEXT)
_SQL = Path(__file__).parent / "sql"
_HOT: dict[str, LiteralString] = {
    name: cast("LiteralString", (_SQL / f"{name}.sql").read_text()) for name in ("audit_hot", "errors_hot")
}
_COLD = {name: (_SQL / f"{name}.sql").read_text() for name in ("audit_cold", "errors_cold")}
_BOUNDS = "SELECT (SELECT max(last_week) FROM execution_heads) AS last, readable_drives() AS drives"
_KINDS: dict[str, Literal["failed", "timeout", "aborted", "log"]] = {
    "WorkflowFailed": "failed",
    "WorkflowTimedOut": "timeout",
    "ExecutionAborted": "aborted",
    "LogRecorded": "log",
}


@dataclass(frozen=True)
class AuditEntry:
    """One event: who did what to what, and when; `details` are the values that its type has of its own."""

    event_id: UUID
    execution_id: UUID
    sequence: int
    event_type: str
    occurred_at: datetime
    recorded_at: datetime
    week: date
    workflow_name: str | None
    workflow_type: str | None
    mode: str | None
    drive_id: UUID | None
    customer_id: UUID | None
    user_id: UUID | None
    agent_id: UUID | None
    agent_name: str | None
    operator_id: str | None
    operator_kind: str | None
    step_id: UUID | None
    step_name: str | None
    call_id: UUID | None
    attempt: int | None
    source: str | None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "AuditEntry":
        """Of an event row, hot or cold."""
        values: dict[str, Any] = {one.name: row[one.name] for one in fields(cls) if one.name != "details"}
        values |= {name: value.astimezone(UTC) for name, value in values.items() if isinstance(value, datetime)}
        own = columns_of(row["event_type"])
        details = {name: row[name] for name in own if name not in values and row.get(name) is not None}
        return cls(**values, details=details)


@dataclass(frozen=True)
class ErrorEntry:
    """What went wrong: an execution that failed, timed out or was aborted, or a log entry of level error."""

    kind: Literal["failed", "timeout", "aborted", "log"]
    code: str | None
    message: str | None
    event: AuditEntry

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ErrorEntry":
        """Of the row of such an event."""
        said = row["message"] or row["error_message"] or row["reason"]
        return cls(_KINDS[row["event_type"]], row["error_code"], said, AuditEntry.from_row(row))


def audit(connection: Connection, cold_dir: ColdStore, request: Request) -> Page[AuditEntry]:
    """One page of the events of executions of kind workflow, newest week first, in it by time."""
    rows = _rows(connection, cold_dir, request, "audit")
    return request.page([AuditEntry.from_row(row) for row in rows], _key_of)


def errors(connection: Connection, cold_dir: ColdStore, request: Request) -> Page[ErrorEntry]:
    """One page of what went wrong, in the same order."""
    rows = _rows(connection, cold_dir, request, "errors")
    return request.page([ErrorEntry.from_row(row) for row in rows], lambda error: _key_of(error.event))


def audit_of_execution(
    connection: Connection, cold_dir: ColdStore, execution_id: UUID, request: Request
) -> Page[AuditEntry]:
    """One page of an execution's events, of whatever kind it is, in their sequence; raises NotFound."""
    after: int = request.after[0] if request.after else 0
    most = request.page_size + 1
    every = request.filters.keys() <= {"execution"}
    rows = execution_events(connection, cold_dir, execution_id, after, upto=after + most if every else None)
    found = islice(filter(lambda row: _is_wanted(row, request.filters), rows), most)
    return request.page([AuditEntry.from_row(row) for row in found], lambda entry: (entry.sequence,))


def _is_wanted(row: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    return (
        filters.get("event_type") in (None, row["event_type"])
        and ("occurred_from" not in filters or row["occurred_at"] >= filters["occurred_from"])
        and ("occurred_to" not in filters or row["occurred_at"] < filters["occurred_to"])
    )


def hot_statement(
    request: Request, name: Literal["audit", "errors"], first: date, last: date
) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement of a page's hot events between two weeks, with its parameters."""
    conditions: list[sql.Composable] = [
        # Literal weeks: the planner then looks at their leaves only.
        sql.SQL(" AND week BETWEEN {} AND {}").format(sql.Literal(first), sql.Literal(last))
    ]
    if "event_type" in request.filters:
        conditions.append(sql.SQL(" AND event_type = {}").format(sql.Literal(request.filters["event_type"])))
    conditions += [sql.SQL(text).format(sql.Placeholder(given)) for given, text in _conditions(request)]
    if request.after:
        conditions.append(
            sql.SQL(" AND (week, occurred_at, execution_id, sequence) < ({}, {}, {}, {})").format(
                *map(sql.Placeholder, ("after_week", "after_time", "after_id", "after_sequence"))
            )
        )
    statement = sql.SQL(_HOT[f"{name}_hot"]).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), conditions=sql.Composed(conditions)
    )
    return statement, _parameters(request)


def _conditions(request: Request) -> list[tuple[str, LiteralString]]:
    texts: dict[str, LiteralString] = {
        "user": " AND user_id = {}",
        "occurred_from": " AND occurred_at >= {}",
        "occurred_to": " AND occurred_at < {}",
    }
    return [(name, text) for name, text in texts.items() if name in request.filters]


def _parameters(request: Request) -> dict[str, Any]:
    names = ("after_week", "after_time", "after_id", "after_sequence")
    filters = {name: value for name, value in request.filters.items() if name != "event_type"}
    return {**filters, **dict(zip(names, request.after or (), strict=False)), "rows": request.page_size + 1}


def _rows(
    connection: Connection, cold_dir: ColdStore, request: Request, name: Literal["audit", "errors"]
) -> list[dict[str, Any]]:
    since = request.filters.get("occurred_from")
    # An event lies in the week of its time or, when it came late, in a later one.
    lowest = (
        date.min
        if since is None or since < datetime.min.replace(tzinfo=UTC) + ALLOWED_AHEAD
        else week_of(since - ALLOWED_AHEAD)
    )
    with open_read(connection):
        bounds = connection.execute(_BOUNDS).fetchone() or {}
        weeks = files_by_week(connection, None if lowest == date.min else lowest)
        last: date = bounds["last"] or date.min
        first = weeks[-1].week + timedelta(weeks=1) if weeks else lowest
        if request.after:
            last = min(last, request.after[0])
        found: list[dict[str, Any]] = []
        for newer, older in _spans(first, last):
            if len(found) <= request.page_size:
                found += connection.execute(*hot_statement(request, name, older, newer)).fetchall()
    below = [week for week in weeks if request.after is None or week.week <= request.after[0]]
    return _filled(found, _cold_rows(below, cold_dir, request, name, bounds["drives"]), request.page_size + 1)


def _spans(first: date, last: date) -> list[tuple[date, date]]:
    """The hot weeks in at most two parts, the newer first: planning for the leaves of all takes a quarter second."""
    if first > last or last == date.min:
        return []
    recent = max(first, last - timedelta(weeks=1))
    return [(last, recent)] + ([(recent - timedelta(weeks=1), first)] if first < recent else [])


def _filled(found: list[dict[str, Any]], colder: Iterator[list[dict[str, Any]]], rows: int) -> list[dict[str, Any]]:
    """The rows with those of older weeks behind them; no file is opened once there are enough."""
    while len(found) < rows and (more := next(colder, None)) is not None:
        found = found + more
    return found[:rows]


def _cold_rows(
    weeks: list[WeekFiles],
    cold_dir: ColdStore,
    request: Request,
    name: Literal["audit", "errors"],
    drives: list[UUID] | None,
) -> Iterator[list[dict[str, Any]]]:
    """The page's rows of each week, newest week first; of these drives, or of every one."""
    conditions = "".join(text.format(f"${name}") for name, text in _conditions(request))
    parameters = _parameters(request)
    if "event_type" in request.filters:
        conditions += " AND event_type = $event_type"
        parameters["event_type"] = request.filters["event_type"]
    if drives is not None:
        # Files have no permissions by drive; hot rows are shown by the policies of the database.
        conditions += " AND drive_id IN (SELECT unnest($drives::VARCHAR[]))"
        parameters["drives"] = list(map(str, drives))
    if request.after:
        conditions += (
            " AND ROW(week, occurred_at, execution_id, sequence)"
            " < ROW($after_week::DATE, $after_time::TIMESTAMPTZ, $after_id, $after_sequence::BIGINT)"
        )
        parameters["after_id"] = str(parameters["after_id"])
    if "user" in parameters:
        parameters["user"] = str(parameters["user"])
    query = _COLD[f"{name}_cold"].replace("{columns}", ", ".join(_COLUMNS)).replace("{conditions}", conditions)
    with duckdb.connect() as files:
        files.execute("SET TimeZone = 'UTC'")
        for week in reversed(weeks):
            paths = [str(check_file(cold_dir, file)) for file in week.files]
            batches = files.sql(query, params=parameters | {"files": paths}).to_arrow_reader()
            yield [dict(row) for batch in batches for row in event_rows(batch)]


def _key_of(entry: AuditEntry) -> Key:
    return entry.week, entry.occurred_at, entry.execution_id, entry.sequence
