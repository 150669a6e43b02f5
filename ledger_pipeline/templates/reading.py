"""From what an author wrote to a definition, with everything that is wrong or doubtful about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger_pipeline.errors import Fault, InvalidDefinition, InvalidInput
from ledger_pipeline.events.payload import dump_payload, parse_payload
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.form import form_faults
from ledger_pipeline.templates.spelling import normalise
from ledger_pipeline.templates.validation import meaning_faults

Document = Definition | Mapping[str, Any] | str | bytes
"""A definition as it may be given: JSON text, its value, or a `Definition`."""


@dataclass(frozen=True)
class Reading:
    """A definition without faults; `text` is the JSON that was given, to the letter."""

    definition: Definition
    text: str
    warnings: tuple[Fault, ...]


def read_definition(document: Document) -> Reading:
    """Reads and checks a definition; raises InvalidDefinition with all its faults."""
    text = _text_of(document)
    try:
        given = parse_payload(text)
    except InvalidInput as error:
        where, _, what = str(error).partition(": ")
        raise InvalidDefinition([Fault(where.replace("payload", "definition", 1), what)]) from None
    faults: list[Fault] = []
    warnings: list[Fault] = []
    plain = normalise(given, faults, warnings)
    definition, found = form_faults(plain)
    faults += found
    meaning_faults(plain, faults, warnings)
    if faults or definition is None:
        raise InvalidDefinition(sorted(dict.fromkeys(faults), key=_place))
    return Reading(definition, text, tuple(sorted(warnings, key=_place)))


def _place(fault: Fault) -> tuple[int, ...]:
    """Sorts faults as a reader meets them: what stands at the top first, then step by step."""
    steps = fault.where.startswith("steps")
    return (int(steps), *map(int, re.findall(r"steps\[(\d+)\]", fault.where)))


def _text_of(document: Document) -> str:
    if not isinstance(document, (Definition, Mapping, str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(document).__name__
        raise InvalidDefinition([Fault("definition", f"is of type {kind}", "JSON text, an object or a Definition")])
    match document:
        case Definition():
            return dump_payload(document.model_dump(exclude_unset=True))
        case Mapping():
            try:
                return dump_payload(dict(document))
            except InvalidInput as error:
                where, _, what = str(error).partition(": ")
                raise InvalidDefinition([Fault(where.replace("payload", "definition", 1), what)]) from None
        case str():
            return document
        case _:
            try:
                return document.decode()
            except UnicodeDecodeError as error:
                raise InvalidDefinition([Fault("definition", f"is not UTF-8: {error.reason}")]) from None
