"""Each event type's table refuses what is not of its type by itself: also what goes past every function, as here."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from ledger_pipeline.events.catalogue import (
    CLIENT_COLUMNS,
    ENVELOPE,
    EVENT_COLUMNS,
    EVENT_TYPES,
    required_envelope,
    table_name,
    typed_columns,
)
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline_tests.events.test_golden import HISTORIES, histories

pytestmark = pytest.mark.mission("A2")

TYPES = {
    *("WorkflowCreated", "WorkflowStarted", "WorkflowPaused", "WorkflowResumed", "WorkflowCompleted", "WorkflowFailed"),
    *("WorkflowCancelled", "WorkflowTimedOut", "ExecutionAborted", "StepDispatched", "StepCompleted", "StepFailed"),
    *("StepRetried", "StepSkipped", "BranchTaken", "IterationStarted", "ChildExecutionLinked", "InputRequested"),
    *("InputReceived", "ApprovalRequested", "ApprovalApplied", "TokensUpdated", "CostRecalculated", "BudgetExceeded"),
    *("ContextUpdated", "ArtifactRecorded", "LogRecorded"),
}
"""What the ledger promises to hold; a type may be added, none may go."""
SAMPLES: dict[ColumnKind, Any] = {
    ColumnKind.UUID: "0199ed4d-f880-7c20-8f2d-207d2ca8ec60",
    ColumnKind.TEXT: "text",
    ColumnKind.INTEGER: 1,
    ColumnKind.BIGINT: 1,
    ColumnKind.BOOLEAN: True,
    ColumnKind.TIMESTAMP: "2026-01-05T09:00:00Z",
    ColumnKind.DATE: "2026-01-05",
    ColumnKind.USD: "1.5",
}
PEOPLE = {"drives": "drive_id", "customers": "customer_id", "users": "user_id", "agents": "agent_id"}


@pytest.fixture(scope="module")
def connection(module_ledger_url: str) -> Iterator[Connection]:
    """A superuser's connection to a ledger that holds an event of every type."""
    rows = [row for name in HISTORIES for history in histories(name) for row in history]
    with connect(module_ledger_url, autocommit=True) as opened:
        for table, column in PEOPLE.items():
            ids = list({row[column] for row in rows} - {None})
            opened.execute(
                sql.SQL("INSERT INTO {} (id, name) SELECT unnest(%s::uuid[]), 'x'").format(sql.Identifier(table)),
                (ids,),
            )
        append_many(opened, [{name: row[name] for name in CLIENT_COLUMNS} for row in rows], history=True)
        yield opened


def store(connection: Connection, of: str, /, **changed: Any) -> None:
    """Inserts a copy of an event of the type with other values, past append, and takes it back."""
    with connection.transaction(force_rollback=True):
        connection.execute(
            sql.SQL(
                "INSERT INTO {table} SELECT r.* FROM (SELECT e FROM {table} e LIMIT 1) stored (e),"
                " jsonb_populate_record(e, %s) r"
            ).format(table=sql.Identifier(table_name(of))),
            (Jsonb({"event_id": str(uuid.uuid4()), "sequence": 10_000, **changed}),),
        )


def test_there_is_a_type_for_everything_that_happens() -> None:
    assert EVENT_TYPES.keys() >= TYPES


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_table_takes_events_of_its_type_alone(connection: Connection, event_type: str) -> None:
    store(connection, event_type)
    with pytest.raises(psycopg.errors.CheckViolation, match="violates partition constraint"):
        store(connection, event_type, event_type="WorkflowStarted" if event_type != "WorkflowStarted" else "StepFailed")


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_table_takes_no_value_that_is_another_types(connection: Connection, event_type: str) -> None:
    own = {typed.name for typed in typed_columns(EVENT_TYPES[event_type])}
    foreign = {name: kind for name, kind in EVENT_COLUMNS.items() if name not in own and name not in ENVELOPE}
    foreign = {name: kind for name, kind in foreign.items() if kind in SAMPLES and name in CLIENT_COLUMNS}
    assert len(foreign) > 20
    for name, kind in foreign.items():
        with pytest.raises(psycopg.errors.CheckViolation):
            store(connection, event_type, **{name: SAMPLES[kind]})


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_table_takes_no_event_that_lacks_what_its_type_must_have(connection: Connection, event_type: str) -> None:
    event_class = EVENT_TYPES[event_type]
    required = {typed.name for typed in typed_columns(event_class) if typed.required} | required_envelope(event_class)
    required |= {name for name, typed in ENVELOPE.items() if typed.required}
    assert {"event_id", "execution_id", "sequence", "occurred_at"} <= required
    for name in required:
        with pytest.raises((psycopg.errors.NotNullViolation, psycopg.errors.CheckViolation)):
            store(connection, event_type, **{name: None})


WORDS = {
    ("TokensUpdated", "pricing_status"): "free",
    ("LogRecorded", "log_level"): "loud",
    ("ArtifactRecorded", "artifact_type"): "poem",
    ("ApprovalApplied", "decision"): "maybe",
    ("WorkflowCreated", "workflow_type"): "holiday",
    ("WorkflowStarted", "operator_kind"): "robot",
    ("WorkflowStarted", "execution_kind"): "other",
}


@pytest.mark.parametrize(
    ("event_type", "name", "value"),
    [
        *((*place, word) for place, word in WORDS.items()),
        ("LogRecorded", "message", ""),
        ("LogRecorded", "message", "a\x1fb"),
        ("TokensUpdated", "input_tokens", -1),
        ("TokensUpdated", "input_tokens", 10**12 + 1),
        ("TokensUpdated", "cost_usd", "-0.000000000001"),
        ("TokensUpdated", "cost_usd", str(Decimal(10) ** 12 + 1)),
        ("TokensUpdated", "cost_usd", "NaN"),
        ("CostRecalculated", "old_cost_usd", "NaN"),
        ("WorkflowStarted", "occurred_at", "infinity"),
        ("WorkflowStarted", "occurred_at", datetime(1969, 12, 31).isoformat() + "Z"),
        ("StepDispatched", "attempt", 0),
    ],
)
def test_a_table_takes_no_value_out_of_range(connection: Connection, event_type: str, name: str, value: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        store(connection, event_type, **{name: value})
