"""What an event refers to: its execution by a foreign key, its step by the append, both kept while it is hot."""

import uuid
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.errors import AppendRefused
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection
from ledger_pipeline_tests.hot.conftest import NOW

pytestmark = pytest.mark.mission("A6")
NOBODY = UUID(int=7)


def copied(connection: Connection, of: UUID, **changed: object) -> None:
    """Inserts a copy of an execution's first event, changed, as the owner of the tables: past the append."""
    columns = [name for name in (*EVENT_COLUMNS, "leaf", "hash") if name not in ("leaf", "hash")]
    values = [sql.Literal(changed[name]) if name in changed else sql.Identifier(name) for name in columns]
    with connection.transaction():
        connection.execute("SET LOCAL ROLE ledger_owner")
        connection.execute(
            sql.SQL(
                "INSERT INTO workflow_events ({}, leaf, hash) SELECT {}, leaf, hash FROM workflow_events"
                " WHERE execution_id = %s AND sequence = 1"
            ).format(sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(values)),
            (of,),
        )


def test_an_event_of_an_execution_that_there_is_not_is_refused_by_the_foreign_key(
    connection: Connection, created_execution: UUID
) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="execution_heads"):
        copied(connection, created_execution, event_id=uuid.uuid4(), execution_id=NOBODY)
    assert connection.execute("SELECT FROM workflow_events WHERE execution_id = %s", (NOBODY,)).rowcount == 0
    # The key is what refused it: the same row of an execution that there is goes in.
    with connection.transaction(force_rollback=True):
        copied(connection, created_execution, event_id=uuid.uuid4(), sequence=2)


def test_every_leaf_refers_to_the_heads(connection: Connection) -> None:
    unchecked = connection.execute(
        "SELECT t.relid::regclass AS leaf FROM pg_partition_tree('workflow_events') t WHERE t.isleaf AND NOT EXISTS ("
        "  SELECT FROM pg_constraint c WHERE c.conrelid = t.relid AND c.contype = 'f' AND c.convalidated"
        "   AND c.confrelid = 'execution_heads'::regclass)"
    ).fetchall()
    assert unchecked == []


def test_a_head_is_never_deleted(connection: Connection, created_execution: UUID) -> None:
    with pytest.raises(psycopg.Error, match="append-only"):
        connection.execute("DELETE FROM execution_heads WHERE id = %s", (created_execution,))
    assert connection.execute("SELECT FROM execution_heads WHERE id = %s", (created_execution,)).rowcount == 1


@pytest.mark.parametrize("of_another", [False, True])
def test_a_step_must_be_of_the_events_execution(
    connection: Connection, created_execution: UUID, running_execution: UUID, steps: list[UUID], of_another: bool
) -> None:
    step = steps[0] if of_another else NOBODY
    append(connection, created_execution, [events.WorkflowStarted(occurred_at=NOW)])
    with pytest.raises(AppendRefused, match="not a step of this execution"):
        append(connection, created_execution, [events.StepSkipped(occurred_at=NOW, step_id=step)])
    append(connection, running_execution, [events.StepSkipped(occurred_at=NOW, step_id=steps[0])])


@pytest.mark.parametrize("table", ["workflow_steps", "workflow_executions"])
def test_nothing_that_hot_events_refer_to_is_deleted(
    connection: Connection, running_execution: UUID, steps: list[UUID], table: str
) -> None:
    key = {"workflow_steps": steps[0], "workflow_executions": running_execution}[table]
    delete = sql.SQL("DELETE FROM {} WHERE id = %s").format(sql.Identifier(table))
    with pytest.raises(psycopg.Error, match="has events in the hot store") as refused:
        connection.execute(delete, (key,))
    assert refused.value.sqlstate == "LG006"
    assert connection.execute("SELECT FROM workflow_steps WHERE id = ANY (%s)", (steps,)).rowcount == 2
