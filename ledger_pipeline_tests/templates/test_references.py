"""What executions have to do with their templates: they follow them, and keep their history without them."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from ledger_pipeline import events
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import DeletionRefused, NotFound
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.settings import Settings
from ledger_pipeline.templates import Template, Templates, plan
from ledger_pipeline_tests.templates.printed import VM_DEPLOYMENT, framed

NOW = datetime.now(UTC)


def start(connection: Connection, template: Template, at: datetime = NOW) -> UUID:
    """An execution of a template that was created and cancelled."""
    execution_id = uuid.uuid4()
    created = events.WorkflowCreated(
        execution_id=execution_id,
        occurred_at=at,
        workflow_name=template.name,
        template_id=template.id,
        template_version=template.version_number,
        drive_id=template.drive_id,
        plan=plan(template.definition, uuid.uuid4, template_steps=template.step_ids),
    )
    cancelled = events.WorkflowCancelled(execution_id=execution_id, occurred_at=at)
    append_many(connection, [created, cancelled], history=at != NOW)
    return execution_id


def definitions_of(connection: Connection, execution_id: UUID) -> dict[str, UUID | None]:
    """The ids of the definitions of an execution's steps, by path."""
    found = connection.execute(
        "SELECT path, template_step_id FROM workflow_steps WHERE execution_id = %s", (execution_id,)
    )
    return {row["path"]: row["template_step_id"] for row in found}


@pytest.mark.mission("D4")
def test_deleting_a_step_definition_keeps_the_execution_history(
    connection: Connection, templates: Templates, drive: UUID
) -> None:
    template = templates.get(templates.save(VM_DEPLOYMENT, drive_id=drive).template_id)
    execution_id = start(connection, template)
    assert definitions_of(connection, execution_id) == template.step_ids
    fewer = {**VM_DEPLOYMENT, "steps": VM_DEPLOYMENT["steps"][:2]}
    templates.save(fewer, drive_id=drive)
    kept = {"0": template.step_ids["0"], "1": template.step_ids["1"], "2": None, "2/0": None, "3": None}
    assert definitions_of(connection, execution_id) == kept


@pytest.mark.mission("B5")
def test_a_template_is_not_deleted_while_an_execution_of_it_has_hot_events(
    connection: Connection, templates: Templates, drive: UUID
) -> None:
    template = templates.get(templates.save(framed("hot"), drive_id=drive).template_id)
    execution_id = start(connection, template)
    with pytest.raises(DeletionRefused, match=f"execution {execution_id} has events in the hot store"):
        templates.delete(template.id)
    assert templates.get(template.id) == template


@pytest.mark.mission("B5")
def test_executions_whose_events_are_cold_follow_their_template(ledger_url: str, tmp_path: Path) -> None:
    with connect(ledger_url, autocommit=True) as connection:
        templates = Templates(connection)
        drive = connection.execute("INSERT INTO drives (name) VALUES ('old') RETURNING id").fetchone()
        assert drive is not None
        template = templates.get(templates.save(VM_DEPLOYMENT, drive_id=drive["id"]).template_id)
        execution_id = start(connection, template, NOW - timedelta(days=200))
        with pytest.raises(DeletionRefused):
            templates.delete(template.id)
        roll(connection, Settings(home=tmp_path), NOW)
        templates.delete(template.id)
        for table in ("workflow_executions WHERE id", "workflow_steps WHERE execution_id"):
            assert connection.execute(f"SELECT FROM {table} = %s".encode(), (execution_id,)).rowcount == 0
        assert connection.execute("SELECT FROM execution_heads WHERE id = %s", (execution_id,)).rowcount == 1
        with pytest.raises(NotFound):
            templates.get(template.id)


@pytest.mark.mission("A6")
def test_an_execution_of_a_template_that_the_ledger_never_had_is_taken(connection: Connection) -> None:
    execution_id, template_id, definition = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    step = events.PlanStep(step_id=uuid.uuid4(), path="0", step_order=0, step_name="a", template_step_id=definition)
    append(connection, execution_id, [events.WorkflowCreated(occurred_at=NOW, template_id=template_id, plan=(step,))])
    assert definitions_of(connection, execution_id) == {"0": definition}
