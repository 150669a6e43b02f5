"""The views of the hot store: the same as the marts of their names while everything is hot."""

from typing import LiteralString
from uuid import uuid4

import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.hot.database import connect
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.publish import current
from ledger_pipeline_tests.queries.conftest import NOW

PROJECTIONS = (("workflow_executions", "id"), ("workflow_steps", "execution_id"), ("executions", "execution_id"))
VIEWS = ("user_workflow_summary", "daily_cost_summary")


@pytest.mark.mission("C2")
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_equals_its_mart_while_everything_is_hot(ledger: Ledger, name: LiteralString) -> None:
    columns = list(marts()[name].types)
    with connect(ledger.url) as connection:
        cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
        assert [column.name for column in cursor.description or ()] == columns
        hot = {tuple(row.values()) for row in cursor.fetchall()}
    with reading(current(ledger.settings)) as built:
        rows = built.execute(f"SELECT * FROM marts.{name}").fetchall()
    assert len(rows) == len(hot) > 5
    assert set(rows) == hot


@pytest.mark.mission("C2")
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_says_that_it_covers_the_hot_window(ledger: Ledger, name: str) -> None:
    with connect(ledger.url) as connection:
        row = connection.execute("SELECT obj_description(%s::regclass) AS comment", (f"ledger.{name}",)).fetchone()
    assert row
    assert "Covers the hot window" in row["comment"]


@pytest.mark.mission("C2")
@pytest.mark.parametrize("role", ["ledger_reader", "ledger_application", "ledger_archiver"])
@pytest.mark.parametrize("name", VIEWS)
def test_roles_may_read_a_view_with_their_own_rights(ledger: Ledger, name: str, role: str) -> None:
    with connect(ledger.url) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
        row = connection.execute(
            "SELECT reloptions FROM pg_class WHERE oid = %s::regclass", (f"ledger.{name}",)
        ).fetchone()
        assert row
        assert row["reloptions"] == ["security_invoker=true"]


@pytest.mark.mission("C2")
def test_updated_at_moves_with_every_change_of_a_projection(ledger: Ledger) -> None:
    execution_id, step, call = uuid4(), uuid4(), uuid4()
    plan = [events.PlanStep(step_id=step, path="0", step_order=0, step_name="work")]
    begun = [
        events.WorkflowCreated(occurred_at=NOW, workflow_name="touched", plan=tuple(plan)),
        events.WorkflowStarted(occurred_at=NOW),
        events.StepDispatched(occurred_at=NOW, step_id=step, call_id=call),
    ]
    ledger.append(execution_id, begun)
    with connect(ledger.url, autocommit=True) as connection:

        def touched() -> list[bool]:
            return [
                connection.execute(
                    sql.SQL("SELECT updated_at > created_at AS touched FROM {} WHERE {} = %s").format(
                        sql.Identifier(table), sql.Identifier(key)
                    ),
                    (execution_id,),
                ).fetchall()[0]["touched"]
                for table, key in PROJECTIONS
            ]

        # As if one instant had made the rows: whether it did depends on the clock.
        connection.execute("SET session_replication_role = replica")
        for table, key in PROJECTIONS:
            connection.execute(
                sql.SQL("UPDATE {} SET updated_at = created_at WHERE {} = %s").format(
                    sql.Identifier(table), sql.Identifier(key)
                ),
                (execution_id,),
            )
        connection.execute("SET session_replication_role = origin")
        assert not any(touched())
        ledger.append(execution_id, [events.StepCompleted(occurred_at=NOW, step_id=step, call_id=call)])
        assert all(touched())
        rows = connection.execute("SELECT updated_at FROM workflow_executions WHERE id = %s", (execution_id,))
        first = rows.fetchall()[0]["updated_at"]
        connection.execute("UPDATE workflow_executions SET updated_at = '2000-01-01Z' WHERE id = %s", (execution_id,))
        rows = connection.execute("SELECT updated_at FROM workflow_executions WHERE id = %s", (execution_id,))
        assert rows.fetchall()[0]["updated_at"] > first
