"""A document's form: what pydantic finds, as faults with the place in the document and what is allowed there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import simplejson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.positions import member, positions
from ledger_pipeline.templates.steps import STEP_CLASSES

_SHOWN = 80
_LISTED = 20
_TYPES = {"tuple": "a list", "dictionary": "an object", "boolean": "true or false", "string": "a text"}
_NAME = "snake_case: small letters, digits and _, starting with a letter, such as vm_deployment"
_PATTERNS = {
    "workflow_name": "a workflow's name in snake_case: setup_vm_backup",
    "name": "letters, digits, _ and -, not starting with a digit",
    "item_variable": "letters, digits and _, not starting with a digit",
}


def shown(value: object) -> str:
    """A value as a message quotes it, cut to a line's length."""
    plain = isinstance(value, str)
    text = repr(value) if plain else simplejson.dumps(value, use_decimal=True, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def listed(names: Sequence[str]) -> str:
    """Names as a message lists them, the first ones of many."""
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")


def form_faults(document: Mapping[str, Any]) -> tuple[Definition | None, list[Fault]]:
    """The definition that a normalised document is, or everything that is wrong with its form."""
    faults = [*_action_faults(document), *_order_faults(document)]
    try:
        return Definition.model_validate(document), faults
    except ValidationError as error:
        found = [_fault(detail, document) for detail in error.errors(include_url=False)]
        return None, [*_merged(found), *faults]


def _merged(faults: list[Fault]) -> list[Fault]:
    """One fault for each place: pydantic has one for every type that a value may have."""
    allowed: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        allowed.setdefault((fault.where, fault.what), []).append(fault.allowed)
    return [Fault(where, what, " or ".join(dict.fromkeys(a))) for (where, what), a in allowed.items()]


def _fault(detail: ErrorDetails, document: Mapping[str, Any]) -> Fault:
    kind, where, context = detail["type"], "", detail.get("ctx", {})
    here: Any = document
    holder: Any = document
    for part in detail["loc"]:
        # pydantic's location also names the union members that it tried: they are no part of the document.
        if isinstance(here, Mapping) and part in here:
            holder, here, where = here, here[part], f"{where}.{part}" if where else str(part)
        elif isinstance(part, int) and isinstance(here, Sequence) and part < len(here):
            holder, here, where = here, here[part], f"{where}[{part}]"
    last = str(detail["loc"][-1]) if detail["loc"] else ""
    match kind:
        case "missing":
            return Fault(f"{where}.{last}".lstrip("."), "is missing", _meaning(document if not where else here, last))
        case "extra_forbidden":
            model = _model_of(holder)
            what = "is no field of " + (f"a step of type {member(holder, 'type')}" if model else "a definition")
            return Fault(where, what, ", ".join((model or Definition).model_fields))
        case "union_tag_invalid":
            return Fault(f"{where}.type", f"{shown(member(here, 'type'))} is no step type", ", ".join(StepType))
        case "union_tag_not_found" | "model_attributes_type" | "model_type" if where:
            return Fault(where, f"is {shown(here)}", "a step: an object with a type")
        case "enum" | "literal_error":
            return Fault(where, f"{shown(here)} is not one of its values", str(context.get("expected", "")))
        case "string_pattern_mismatch":
            rule = _NAME if where == "name" else _PATTERNS.get(last, "")
            return Fault(where, f"{shown(here)} is not a valid {last}", rule)
        case "too_short":
            return Fault(where, "is empty", "at least one step")
        case "string_too_short":
            return Fault(where, "is empty", "a text, or leave it out")
        case _:
            rule = re.sub("^(Input|String|List|Value) should (be a valid |be |have )", "", detail["msg"])
            return Fault(where or "definition", f"is {shown(here)}", _TYPES.get(rule, rule))


def _model_of(holder: Any) -> Any:
    return STEP_CLASSES.get(str(member(holder, "type"))) if isinstance(holder, Mapping) and "type" in holder else None


def _meaning(holder: Any, field: str) -> str:
    """What belongs in a field that is missing."""
    if holder is None or (field == "name" and _model_of(holder) is None):
        return _NAME
    model = _model_of(holder) or Definition
    return (model.__doc__ or "").splitlines()[0] if field in model.model_fields else ""


def _action_faults(document: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []
    allowed = "an agent's call (agent_id and prompt_template) or a tool's (tool_name, parameters)"
    for position in positions(document):
        if position.type != StepType.ACTION or not isinstance(position.step, Mapping):
            continue
        agent = [field for field in ("agent_id", "prompt_template") if position.step.get(field) is not None]
        tool = [field for field in ("tool_name", "parameters") if position.step.get(field) is not None]
        if agent and tool:
            faults.append(Fault(position.where, f"has both {agent[0]} and {tool[0]}", allowed))
        elif not agent and not tool:
            faults.append(Fault(position.where, "calls neither an agent nor a tool", allowed))
        elif len(agent) == 1:
            missing = "prompt_template" if agent[0] == "agent_id" else "agent_id"
            faults.append(Fault(f"{position.where}.{missing}", "is missing", allowed))
        elif tool == ["parameters"]:
            faults.append(Fault(f"{position.where}.tool_name", "is missing", allowed))
    return faults


def _order_faults(document: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []
    for position in positions(document):
        given = member(position.step, "step_order")
        place = int(position.field[6:-1]) if position.listed else None
        if isinstance(given, int) and place is not None and given != place:
            faults.append(
                Fault(f"{position.where}.step_order", f"is {given}", f"{place}: steps stand in their order, from 0")
            )
    return faults
