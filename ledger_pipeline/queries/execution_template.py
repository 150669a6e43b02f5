"""The template that an execution follows, with its steps as they were at the execution's version."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger_pipeline.events.enums import StepType, TemplateStatus
from ledger_pipeline.events.payload import dump_payload, parse_payload
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.templates.positions import positions
from ledger_pipeline.templates.template import stored_definition

Json = Any
_VERSION = """
    SELECT
        t.id, t.name, t.title, t.category, t.status, v.version_number, v.version_tag,
        v.template_snapshot::text AS snapshot
    FROM workflow_templates t
    JOIN workflow_template_versions v ON v.template_id = t.id
    WHERE t.id = %s AND v.version_number = %s
    """


@dataclass(frozen=True)
class TemplateStep:
    """A step of a definition, as it was written."""

    path: str
    name: str
    type: StepType
    definition: Json


@dataclass(frozen=True)
class ExecutionTemplate:
    """A template: its names and status as they stand now, its steps at the version that an execution follows."""

    id: UUID
    name: str
    title: str | None
    category: str | None
    status: TemplateStatus
    version_number: int
    version_tag: str
    steps: tuple[TemplateStep, ...]


def execution_template(
    connection: Connection, template_id: UUID | None, version: int | None
) -> ExecutionTemplate | None:
    """The template at a version; None for one that this ledger does not hold, or that may not be seen."""
    row = connection.execute(_VERSION, (template_id, version)).fetchone()
    if row is None:
        return None
    steps = tuple(
        TemplateStep(
            position.path,
            position.name,
            StepType(position.type),
            parse_payload(dump_payload(position.step.model_dump(exclude_unset=True))),
        )
        for position in positions(stored_definition(row.pop("snapshot")))
    )
    row["status"] = TemplateStatus(row["status"])
    return ExecutionTemplate(**row, steps=steps)
