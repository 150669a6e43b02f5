"""Variables in a definition's texts, `{{steps.create_vm.output.vm_id}}`: where they stand and what they go through."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.positions import Position, member
from ledger_pipeline.templates.schemas import as_schema
from ledger_pipeline.templates.scope import Scope, Surroundings, item_of

TEXTS = ("prompt_template", "parameters", "condition", "collection")
"""Fields that may hold variables, on whichever step has them."""
_VARIABLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_][\w-]*(\[\d+\]|\.[\w-]+)*")
_OPEN_KEYWORDS = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"}
)


@dataclass(frozen=True)
class Variable:
    """One `{{…}}` of a step: where it stands, and the names that it goes through; none for what is no path of names."""

    where: str
    text: str
    parts: tuple[str, ...]


def variables(position: Position) -> Iterator[Variable]:
    """The variables of a step's own texts."""
    for field in TEXTS:
        for where, text in _texts(member(position.step, field), f"{position.where}.{field}"):
            for match in _VARIABLE.finditer(text):
                name = match.group(1).strip()
                parts = tuple(re.split(r"\.|\[", name.replace("]", ""))) if _PATH.fullmatch(name) else ()
                yield Variable(where, name, parts)


def variable_faults(
    document: Mapping[str, Any], steps: Sequence[Position], faults: list[Fault], warnings: list[Fault]
) -> None:
    """Adds variables that can't be known when their step runs to the faults, doubtful ones to the warnings."""
    surroundings = Surroundings(
        steps=steps,
        index={position.name: nth for nth, position in enumerate(steps)},
        lists={(id(step.parent) if step.parent else 0, step.order): step for step in steps if step.listed},
        items={item_of(position): position for position in steps if position.type == StepType.LOOP},
        parameters=declared(document.get("parameters", {})),
    )
    for position in steps:
        scope = Scope(position, surroundings)
        for variable in variables(position):
            judgement = scope.judge(variable.text, variable.parts)
            if judgement is not None:
                fault = Fault(variable.where, judgement.what, judgement.allowed)
                (warnings if judgement.doubtful else faults).append(fault)


def declared(parameters: Any) -> frozenset[str] | None:
    """The names of the declared parameters; None when the schema takes names that it doesn't list."""
    schema = as_schema(parameters)
    if not isinstance(schema, Mapping):
        return None if isinstance(schema, bool) else frozenset()
    if not _OPEN_KEYWORDS.isdisjoint(schema) or isinstance(schema.get("additionalProperties"), Mapping):
        return None
    properties = schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else frozenset()


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield where, value
        case Mapping():
            for key, item in value.items():
                yield from _texts(item, f"{where}.{key}")
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _texts(item, f"{where}[{index}]")
        case _:
            pass
