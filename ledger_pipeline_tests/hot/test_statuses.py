"""Statuses are enums of the database: nothing else can be stored, and questions by status are answered by an index."""

import json
import uuid
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.events.enums import DATABASE_ENUMS, CallStatus, ExecutionStatus, StepStatus
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline_tests.hot.conftest import NOW

pytestmark = pytest.mark.mission("A10")
STATUSES = {
    "workflow_executions": ("execution_status", ExecutionStatus),
    "workflow_steps": ("step_status", StepStatus),
    "executions": ("call_status", CallStatus),
}
EXPECTED = {
    "execution_status": "pending running paused completed failed cancelled aborted timeout",
    "step_status": "pending running completed failed skipped retrying",
    "call_status": "pending running completed failed aborted",
    "workflow_type": "cost_analysis performance_tuning resource_optimization quality_check scaling_decision"
    " configuration_update health_check anomaly_detection",
    "artifact_type": "report config log chart recommendation metrics alert diagnostic",
    "step_type": "action condition workflow_link parallel loop",
    "template_status": "draft active deprecated archived",
    "change_type": "create update major minor patch",
    "pricing_status": "priced unpriced",
    "execution_kind": "workflow repricing budget",
}


def test_every_enum_has_the_values_of_the_model_and_no_others(connection: Connection) -> None:
    found = connection.execute(
        "SELECT t.typname AS name, string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) AS labels"
        " FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid"
        " WHERE t.typnamespace = 'ledger'::regnamespace GROUP BY 1"
    ).fetchall()
    assert {row["name"]: row["labels"] for row in found} == EXPECTED | {"drive_access": "read write administer"}
    assert {name: " ".join(enum) for name, enum in DATABASE_ENUMS.items()} == EXPECTED


@pytest.mark.parametrize("table", STATUSES)
def test_a_status_is_of_its_enum_and_of_no_other_value(
    connection: Connection, running_execution: UUID, table: str
) -> None:
    name, enum = STATUSES[table]
    column = connection.execute(
        "SELECT format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attname = 'status'",
        (f"ledger.{table}",),
    ).fetchone()
    assert column == {"type": name, "attnotnull": True}
    update = sql.SQL("UPDATE {} SET status = {}")
    with connection.transaction(force_rollback=True):
        for status in enum:
            connection.execute(update.format(sql.Identifier(table), sql.Literal(status.value)))
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match=name):
        connection.execute(update.format(sql.Identifier(table), sql.Literal("done")))


@pytest.fixture(scope="module")
def many(module_ledger_url: str) -> Iterator[Connection]:
    """Three thousand executions that wait, a few that run, of many users and drives."""
    with connect(module_ledger_url, autocommit=True) as opened:
        owners = [(uuid.uuid4(), uuid.uuid4()) for _ in range(50)]
        for user, drive in owners:
            opened.execute("INSERT INTO users (id, name) VALUES (%s, 'u')", (user,))
            opened.execute("INSERT INTO drives (id, name) VALUES (%s, 'd')", (drive,))
        rows: list[dict[str, Any]] = []
        for nth in range(3000):
            execution_id, step, (user, drive) = uuid.uuid4(), uuid.uuid4(), owners[nth % len(owners)]
            plan = (events.PlanStep(step_id=step, path="0", step_order=0, step_name="s"),)
            happened: list[events.Event] = [
                events.WorkflowCreated(occurred_at=NOW, user_id=user, drive_id=drive, plan=plan)
            ]
            if nth % 300 == 0:
                happened.append(events.WorkflowStarted(occurred_at=NOW))
                happened.append(events.StepDispatched(occurred_at=NOW, step_id=step, call_id=uuid.uuid4()))
            rows += [event.to_row() | {"execution_id": execution_id} for event in happened]
        append_many(opened, rows)
        opened.execute("ANALYZE workflow_executions, workflow_steps")
        yield opened


def plan_of(connection: Connection, statement: sql.Composed) -> str:
    row = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + statement).fetchone()
    assert row
    return json.dumps(next(iter(row.values())))


@pytest.mark.parametrize(
    ("table", "owner", "index"),
    [
        ("workflow_executions", None, "workflow_executions_status"),
        ("workflow_executions", "user_id", "workflow_executions_user_status"),
        ("workflow_executions", "drive_id", "workflow_executions_drive_status"),
        ("workflow_steps", None, "workflow_steps_status"),
    ],
)
def test_a_question_by_status_is_answered_by_its_index(
    many: Connection, table: str, owner: str | None, index: str
) -> None:
    question = sql.SQL("SELECT * FROM {} WHERE status = 'running'").format(sql.Identifier(table))
    if owner is not None:
        question += sql.SQL(" AND {} = {}").format(sql.Identifier(owner), sql.Literal(uuid.UUID(int=7)))
    plan = plan_of(many, question)
    assert f'"{index}"' in plan
    assert '"Seq Scan"' not in plan
