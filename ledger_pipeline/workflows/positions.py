"""How the steps of an execution stand to each other: lines, branches, iterations and the steps that targets hold."""

from collections import defaultdict
from typing import Any

from ledger_pipeline.events.state import ExecutionState, StepState
from ledger_pipeline.templates.positions import TARGETS


def member(value: Any, name: str) -> Any:
    """A member of what may be an object; None where it has none."""
    return value.get(name) if isinstance(value, dict) else None


def target(step: StepState, field: str) -> Any:
    """A target of the step's configuration: text, the mapping of an inline step, or None."""
    return member(step.step_config, field)


def inline_fields(config: Any) -> list[str]:
    """The targets of a configuration that hold a step, in the order in which their steps are numbered."""
    return [field for field in TARGETS if isinstance(member(config, field), dict)]


def _size(loop: StepState) -> int:
    """How many steps an iteration of a loop has in its line."""
    return max(len(member(loop.step_config, "steps") or ()), 1)


class Positions:
    """The steps of a state by where they stand."""

    def __init__(self, state: ExecutionState) -> None:
        self.steps = state.steps
        self._children: dict[str | None, list[StepState]] = defaultdict(list)
        for step in state.steps.values():
            self._children[step.parent_step_id].append(step)
        for children in self._children.values():
            children.sort(key=lambda step: step.step_order)

    def top(self) -> list[StepState]:
        """The steps of the execution's own line."""
        return self._children.get(None, [])

    def children(self, step: StepState) -> list[StepState]:
        """Every step right below."""
        return self._children.get(step.id, [])

    def parent(self, step: StepState) -> StepState | None:
        """The step right above."""
        return None if step.parent_step_id is None else self.steps.get(step.parent_step_id)

    def inline(self, step: StepState, field: str) -> StepState | None:
        """The step that stands in a target."""
        fields = inline_fields(step.step_config)
        if field not in fields:
            return None
        order = fields.index(field)
        return next((child for child in self.children(step) if child.step_order == order), None)

    def field_of(self, step: StepState) -> str | None:
        """The target of its parent that a step stands in; None for a branch and a step of a line."""
        parent = self.parent(step)
        fields = [] if parent is None else inline_fields(parent.step_config)
        return fields[step.step_order] if step.step_order < len(fields) else None

    def body(self, step: StepState) -> list[StepState]:
        """The branches of a parallel step, or the steps of all iterations of a loop."""
        first = len(inline_fields(step.step_config))
        return [child for child in self.children(step) if child.step_order >= first]

    def iterations(self, loop: StepState) -> list[list[StepState]]:
        """The steps of a loop, a list for each iteration that has begun."""
        size = _size(loop)
        body = self.body(loop)
        return [body[start : start + size] for start in range(0, len(body), size)]

    def below(self, step: StepState) -> list[StepState]:
        """Every step further down, each before those below it."""
        found: list[StepState] = []
        for child in self.children(step):
            found += [child, *self.below(child)]
        return found

    def loops_around(self, step: StepState) -> list[tuple[StepState, int]]:
        """The loops that a step is in, the innermost first, each with the iteration that it belongs to."""
        found: list[tuple[StepState, int]] = []
        parent = self.parent(step)
        while parent is not None:
            first = len(inline_fields(parent.step_config))
            if parent.step_type == "loop" and step.step_order >= first:
                found.append((parent, (step.step_order - first) // _size(parent)))
            step, parent = parent, self.parent(parent)
        return found

    def line_of(self, step: StepState) -> list[StepState]:
        """The steps before and after it that run one after the other; a branch stands alone."""
        parent = self.parent(step)
        if parent is None:
            return self.top()
        loops = self.loops_around(step)
        if self.field_of(step) is None and loops and loops[0][0] is parent:
            return self.iterations(parent)[loops[0][1]]
        return [step]
