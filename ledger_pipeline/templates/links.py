"""Links from workflow to workflow, and cycles of them, which would never end."""

from collections.abc import Collection, Mapping, Sequence

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.positions import positions

Links = Mapping[str, Collection[str]]
"""Workflows of a drive by name, each with the names of those that it runs."""


def link_faults(definition: Definition, stored: Links) -> tuple[list[Fault], list[Fault]]:
    """Links that lead back to the definition itself, as faults; links to what the drive doesn't have, as warnings."""
    faults: list[Fault] = []
    warnings: list[Fault] = []
    for position in positions(definition):
        if position.type == StepType.WORKFLOW_LINK:
            linked: str = position.step.workflow_name
            where = f"{position.where}.workflow_name"
            way = way_between(linked, definition.name, stored)
            if way is not None:
                circle = " → ".join([definition.name, *way])
                faults.append(Fault(where, f"leads back: {circle}", "a workflow that doesn't run this one"))
            elif linked not in stored:
                warnings.append(Fault(where, f"there is no workflow {linked!r} in this drive yet"))
    return faults, warnings


def way_between(start: str, end: str, links: Links) -> Sequence[str] | None:
    """The shortest way along links from one workflow to another, both included; None when there is none."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] == end:
            return way
        for linked in sorted(links.get(way[-1], ())):
            if linked not in seen:
                seen.add(linked)
                ways.append([*way, linked])
    return None
