"""A definition as the rows that it is stored in."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from ledger_pipeline.events.enums import StepType
from ledger_pipeline.events.payload import dump_payload
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.positions import member, positions

_STEP_FIELDS = ("title", "agent_id", "prompt_template", "tool_name", "requires_user_input", "input_schema")


def template_row(definition: Definition) -> dict[str, Any]:
    """The columns of the template that its definition says."""
    fields = ("name", "title", "description", "category", "timeout_minutes", "max_retries", "is_public")
    return {field: getattr(definition, field) for field in fields} | {
        "tags": list(definition.tags),
        "parameters": Jsonb(definition.parameters, dumps=_dumps),
        "outputs": Jsonb(definition.outputs, dumps=_dumps),
    }


def step_rows(definition: Definition, ids: dict[str, UUID]) -> Jsonb:
    """The steps, nested ones too, as a JSON array; `ids` gives those that are there already, by path."""
    rows = [
        {field: member(position.step, field) for field in _STEP_FIELDS}
        | {
            "id": ids.get(position.path),
            "path": position.path,
            "step_order": position.order,
            "name": position.name,
            "type": StepType(position.type),
            "config": position.step.model_dump(exclude_unset=True, exclude={"metadata"}),
            "metadata": position.step.metadata,
        }
        for position in positions(definition)
    ]
    return Jsonb(rows, dumps=_dumps)


def _dumps(value: Any) -> str:
    # Only objects have an exact text; the value is the one member of such an object.
    return dump_payload({"": value})[len('{"":') : -1]
