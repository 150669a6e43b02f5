"""Names of steps, each once in a definition, and collections of loops."""

from collections.abc import Iterable, Mapping
from typing import Any

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.form import shown
from ledger_pipeline.templates.positions import Position, member
from ledger_pipeline.templates.steps import RESERVED


def name_faults(document: Mapping[str, Any], steps: Iterable[Position]) -> list[Fault]:
    """Names given twice or reserved, loops without a collection, and a workflow that links to itself."""
    faults: list[Fault] = []
    first: dict[str, Position] = {}
    for position in steps:
        earlier = first.setdefault(position.name, position)
        if earlier is not position:
            named = position if isinstance(member(position.step, "name"), str) else earlier
            other = earlier if named is position else position
            faults.append(
                Fault(f"{named.where}.name", f"{position.name!r} is the name of {other.where} too", "a name of its own")
            )
        if position.name in RESERVED:
            allowed = f"any name but {', '.join(sorted(RESERVED))}"
            faults.append(Fault(f"{position.where}.name", f"{position.name!r} is a target's word", allowed))
        if position.type == StepType.LOOP:
            faults += _collection_faults(position)
        if position.type == StepType.WORKFLOW_LINK and member(position.step, "workflow_name") == document.get("name"):
            where = f"{position.where}.workflow_name"
            faults.append(Fault(where, f"{document.get('name')} links to itself", "a workflow that doesn't lead back"))
    return faults


def _collection_faults(position: Position) -> list[Fault]:
    collection = member(position.step, "collection")
    where, allowed = (
        f"{position.where}.collection",
        "a list, or a variable that holds one: {{workflow.parameters.servers}}",
    )
    if isinstance(collection, str) and not ("{{" in collection and "}}" in collection):
        return [Fault(where, f"{shown(collection)} is no collection", allowed)]
    # One that is missing, or of another type, is a fault of form.
    return []
