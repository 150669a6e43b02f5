"""The database is what the catalogue says, and events can't be changed in it."""

from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, EVENT_TYPES, table_name, typed_columns
from ledger_pipeline.events.enums import DATABASE_ENUMS
from ledger_pipeline.events.states import RULES
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.ddl import derived_files


def test_derived_sql_is_current() -> None:
    for path, text in derived_files().items():
        assert path.read_text() == text, f"{path.name} drifted: run python -m ledger_pipeline.hot.ddl"


@pytest.mark.mission("A2")
def test_each_type_has_its_table_with_the_columns_of_the_catalogue(connection: Connection) -> None:
    for event_type, event_class in EVENT_TYPES.items():
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (f"ledger.{table_name(event_type)}",),
        ).fetchall()
        types = {"timestamptz": "timestamp with time zone"}
        assert [(c["attname"], c["type"]) for c in columns] == [
            (name, types.get(kind.value, kind.value)) for name, kind in EVENT_COLUMNS.items()
        ]
        required = {name for name, typed in ENVELOPE.items() if typed.required}
        required |= {typed.name for typed in typed_columns(event_class) if typed.required}
        assert required <= {c["attname"] for c in columns if c["attnotnull"]}


@pytest.mark.mission("B2")
def test_vocabularies_are_database_types(connection: Connection) -> None:
    for name, values in DATABASE_ENUMS.items():
        row = connection.execute(
            sql.SQL("SELECT enum_range(NULL::{})::text[] AS values").format(sql.Identifier(name))
        ).fetchone()
        assert row == {"values": [value.value for value in values]}


def test_state_rules_in_the_database_are_those_of_the_code(connection: Connection) -> None:
    rows = connection.execute("SELECT * FROM state_rules").fetchall()
    assert {row["event_type"] for row in rows} == set(RULES)
    for row in rows:
        rule = RULES[row["event_type"]]
        assert set(row["execution_from"]) == {state.value for state in rule.execution_from}
        assert set(row["step_from"]) == {status.value for status in rule.step_from}
        assert (row["execution_to"], row["step_to"], row["call"], row["call_to"]) == (
            rule.execution_to,
            rule.step_to,
            rule.call,
            rule.call_to,
        )


@pytest.mark.mission("A8")
@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("step_completed_events", "execution_id, sequence"),
        ("workflow_events", "workflow_name, agent_name, occurred_at"),
        ("workflow_executions", "user_id, status"),
        ("workflow_executions", "drive_id, status"),
        ("workflow_executions", "template_id"),
        ("workflow_executions", "status"),
        ("workflow_executions", "mode"),
        ("workflow_executions", "triggered_by"),
        ("workflow_executions", "started_at"),
        ("workflow_executions", "agent_id"),
        ("workflow_executions", "customer_id"),
        ("workflow_steps", "execution_id, step_order"),
        ("workflow_steps", "template_step_id"),
        ("workflow_steps", "status"),
        ("workflow_steps", "tool_name"),
        ("workflow_artifacts", "execution_id, artifact_type"),
    ],
)
def test_questions_have_their_index(connection: Connection, table: str, columns: str) -> None:
    definitions = connection.execute(
        "SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index WHERE indrelid = %s::regclass",
        (f"ledger.{table}",),
    ).fetchall()
    assert any(f"({columns}" in row["definition"] for row in definitions), definitions


@pytest.mark.mission("A3")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET mode = 'other'",
        "DELETE FROM {table}",
        "TRUNCATE {table}",
        "TRUNCATE {table} CASCADE",
        "MERGE INTO {table} e USING state_rules r ON e.event_type = r.event_type WHEN MATCHED THEN DELETE",
    ],
)
@pytest.mark.parametrize("place", ["workflow_events", "type", "leaf"])
@pytest.mark.parametrize("replica", [False, True])
def test_events_refuse_change_even_from_a_superuser(
    connection: Connection, created_execution: UUID, statement: str, place: str, replica: bool
) -> None:
    leaf = connection.execute("SELECT tableoid::regclass::text AS leaf FROM workflow_events LIMIT 1").fetchone()
    assert leaf is not None
    table = {"workflow_events": "workflow_events", "type": "workflow_created_events", "leaf": leaf["leaf"]}[place]
    connection.execute(
        "SELECT set_config('session_replication_role', %s, false)", ("replica" if replica else "origin",)
    )
    with pytest.raises(psycopg.Error, match="append-only"):
        connection.execute(statement.format(table=table))  # pyright: ignore[reportArgumentType]
    kept = connection.execute("SELECT count(*) AS n FROM workflow_events WHERE execution_id = %s", (created_execution,))
    assert kept.fetchone() == {"n": 1}


@pytest.mark.mission("A3")
@pytest.mark.parametrize("role", ["ledger_application", "ledger_reader", "ledger_archiver"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO workflow_events SELECT * FROM workflow_events",
        "UPDATE workflow_events SET mode = 'x'",
        "DELETE FROM workflow_events",
        "TRUNCATE workflow_events",
        "DROP TABLE workflow_events",
        "ALTER TABLE workflow_events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "INSERT INTO execution_heads SELECT * FROM execution_heads",
        "UPDATE workflow_executions SET total_cost = 0",
        "DELETE FROM workflow_steps",
        "SELECT apply_batch(1, '{}', false)",
        "SELECT project('{}', '{}', '{}')",
        "SELECT * FROM append_staging",
    ],
)
def test_no_role_may_write_events_or_projections(
    connection: Connection, created_execution: UUID, role: str, statement: str
) -> None:
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)  # pyright: ignore[reportArgumentType]
