"""What a document of the right form may still get wrong: names, targets, variables, schemas, collections."""

from collections.abc import Mapping
from typing import Any

from ledger_pipeline.errors import Fault, InvalidInput
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.conditions import parse_condition
from ledger_pipeline.templates.names import name_faults
from ledger_pipeline.templates.positions import member, positions
from ledger_pipeline.templates.schemas import parameter_faults, schema_faults
from ledger_pipeline.templates.targets import target_faults
from ledger_pipeline.templates.variables import variable_faults


def meaning_faults(document: Mapping[str, Any], faults: list[Fault], warnings: list[Fault]) -> None:
    """Adds what is wrong with a normalised document, and what is doubtful; its form may be wrong as well."""
    steps = list(positions(document))
    if not steps and not document.get("steps"):
        warnings.append(Fault("steps", "there are none: an execution of this workflow has nothing to do"))
    faults += name_faults(document, steps)
    faults += target_faults(steps)
    variable_faults(document, steps, faults, warnings)
    for field in ("parameters", "outputs"):
        if field in document:
            faults += parameter_faults(document[field], field)
    for position in steps:
        condition = member(position.step, "condition")
        if isinstance(condition, str) and position.type == StepType.CONDITION:
            faults += _condition_faults(condition, f"{position.where}.condition")
        schema = member(position.step, "input_schema")
        if schema is not None:
            faults += schema_faults(schema, f"{position.where}.input_schema")


def _condition_faults(text: str, where: str) -> list[Fault]:
    """What the language of conditions does not know."""
    try:
        parse_condition(text)
    except InvalidInput as error:
        allowed = "values compared by ==, !=, <, <=, >, >=, in, joined by and, or, not"
        return [Fault(where, str(error).removeprefix("condition: "), allowed)]
    return []
