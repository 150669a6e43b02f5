"""Checks an execution's input, its output and a person's input against their schemas; fills defaults."""

from collections.abc import Mapping
from typing import Any

from referencing.exceptions import Unresolvable

from ledger_pipeline.errors import Fault, InvalidInput, SchemaViolation
from ledger_pipeline.events.payload import dump_payload, parse_payload
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.form import shown
from ledger_pipeline.templates.schemas import referred, schema_fault, validator
from ledger_pipeline.templates.steps import ActionStep

_MAX_DEPTH = 50


def check_input(definition: Definition, given: Any) -> dict[str, Any]:
    """The input with its defaults filled; raises SchemaViolation with every fault and its place (`input.vm_name`)."""
    value = _storable({} if given is None else given, "input")
    if not isinstance(value, Mapping):
        raise SchemaViolation([Fault("input", f"is {shown(value)}", "an object: a value for each parameter")])
    return _checked(definition.parameter_schema, value, "input")


def check_output(definition: Definition, output: Any) -> Any:
    """The output; raises SchemaViolation with every fault and its place (`output.status`)."""
    value = _storable(output, "output")
    # Outputs that the definition leaves out promise nothing, not even an object.
    return _checked(definition.output_schema, value, "output") if definition.outputs not in ({}, True) else value


def check_user_input(step: ActionStep, given: Any) -> Any:
    """A person's input for a step, its defaults filled; raises SchemaViolation with every fault (`user_input.…`)."""
    value = _storable(given, "user_input")
    return value if step.input_schema is None else _checked(step.input_schema, value, "user_input")


def _storable(value: Any, where: str) -> Any:
    """The value as the ledger stores it: numbers exact, nothing that JSON can't hold."""
    try:
        return parse_payload(dump_payload({where: value}))[where]
    except InvalidInput as error:
        place, _, what = str(error).removeprefix("payload.").partition(": ")
        raise SchemaViolation([Fault(place if place.startswith(where) else where, what or place)]) from None


def _checked(schema: Any, value: Any, where: str) -> Any:
    filled = value
    try:
        filled = _filled(schema, value, schema, 0)
        faults = [schema_fault(error, where) for error in validator(schema).iter_errors(filled)]
    except (RecursionError, Unresolvable):
        faults = [Fault(where, "can't be checked: its schema refers to itself without end, or to nothing")]
    if faults:
        raise SchemaViolation(dict.fromkeys(faults))
    return filled


def _filled(schema: Any, value: Any, root: Any, depth: int) -> Any:
    """The value with the defaults of missing properties: of `properties`, `items`, `allOf` and local references."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return value
    if isinstance(reference := schema.get("$ref"), str):
        value = _filled(referred(root, reference), value, root, depth + 1)
    for part in schema.get("allOf", ()):
        value = _filled(part, value, root, depth + 1)
    if isinstance(value, Mapping):
        filled = dict(value)
        for name, part in schema.get("properties", {}).items():
            if name not in filled and isinstance(part, Mapping) and "default" in part:
                filled[name] = part["default"]
            if name in filled:
                filled[name] = _filled(part, filled[name], root, depth + 1)
        return filled
    if isinstance(value, list) and "items" in schema:
        return [_filled(schema["items"], item, root, depth + 1) for item in value]
    return value
