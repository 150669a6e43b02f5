"""Targets: where the work goes on after a step."""

from collections.abc import Sequence

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.form import listed, shown
from ledger_pipeline.templates.positions import TARGETS, Position, member
from ledger_pipeline.templates.steps import CONTINUE, END, FAIL, NEXT, RETRY

ANYWHERE = (NEXT, END)
ON_FAILURE = (RETRY, FAIL, CONTINUE)


def target_faults(steps: Sequence[Position]) -> list[Fault]:
    """Targets that lead nowhere.

    A named target is a later step of the same list, or of a list further out: a step runs once in an execution (a
    retry is another attempt of it), so the work never goes back. A branch of a parallel step leads nowhere else.
    """
    faults: list[Fault] = []
    by_name = {position.name: position for position in steps}
    for position in steps:
        for field in TARGETS:
            target = member(position.step, field)
            words = (*ANYWHERE, *ON_FAILURE) if field == "on_failure" else ANYWHERE
            if not isinstance(target, str) or not target or target in words:
                continue
            known = by_name.get(target)
            if known is None or not _leads_to(position, known):
                later = [step.name for step in steps if _leads_to(position, step)]
                allowed = f"{', '.join(words)}, a step" + (f", or {listed(later)}" if later else "")
                faults.append(Fault(f"{position.where}.{field}", _problem(target, known, position), allowed))
    return faults


def _leads_to(position: Position, other: Position) -> bool:
    """Whether the work may go on from one step to another by its name."""
    for place in (position, *position.holders):
        # An inline step has no list of its own.
        if place.listed:
            if place.parent is not None and place.parent.type == StepType.PARALLEL:
                return False
            if other.parent is place.parent and other.listed and other.order > place.order:
                return True
    return False


def _problem(target: str, known: Position | None, position: Position) -> str:
    if target in ON_FAILURE:
        return f"{target!r} is a target of on_failure only"
    if known is None:
        return f"no step is named {shown(target)}"
    if known is position:
        return f"{target!r} is this step itself"
    return f"{target!r} ({known.where}) can't be reached from here: it stands before, or within another step"
