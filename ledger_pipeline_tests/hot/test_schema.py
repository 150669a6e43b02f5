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


STATE = {
    "workflow_executions": (
        "id template_id template_version retry_of parent_execution_id parent_step_id workflow_name workflow_type mode"
        " drive_id customer_id user_id agent_id status input_parameters trigger_context accumulated_context output_data"
        " error_message error_details metadata current_step_id current_step_order total_steps progress_percentage"
        " approvals_pending total_cost estimated_cost spent_tokens budget_usd budget_tokens triggered_by"
        " triggered_by_kind approved_by events started_at paused_at resumed_at completed_at failed_at cancelled_at"
        " aborted_at timed_out_at created_at updated_at"
    ),
    "workflow_steps": (
        "execution_id parent_step_id path step_order step_name step_type agent_id template_step_id step_config status"
        " input_data output_data user_input tool_name tool_parameters tool_result attempt max_attempts error_message"
        " error_details child_execution_id started_at completed_at metadata"
    ),
    "executions": (
        "id execution_id step_id agent_id attempt status model input_tokens output_tokens total_cost triggered_by"
        " approved_by started_at events"
    ),
    "workflow_artifacts": "id execution_id step_id artifact_type name uri size_bytes content_type sha256 metadata",
    "execution_log": "timestamp level step_index step_name message details",
    "workflow_templates": (
        "drive_id name title description version status category tags parameters outputs timeout_minutes max_retries"
        " created_by is_public created_at updated_at"
    ),
    "workflow_template_versions": (
        "template_id version_number version_tag template_snapshot change_summary change_type breaking_changes"
        " created_by"
    ),
    "workflow_template_steps": (
        "template_id step_order agent_id prompt_template requires_user_input input_schema metadata type tool_name"
    ),
}
"""Columns that people's queries rely on."""


@pytest.mark.mission("A9")
@pytest.mark.parametrize("table", STATE)
def test_a_row_has_the_full_latest_state(connection: Connection, table: str) -> None:
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (f"ledger.{table}",),
    ).fetchall()
    assert set(STATE[table].split()) - {row["attname"] for row in rows} == set()


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
