"""Variables when a step runs: what `{{…}}` in its prompt, parameters, condition or collection stands for."""

import re
from typing import Any

from ledger_pipeline.events.enums import StepStatus
from ledger_pipeline.events.state import ExecutionState, StepState
from ledger_pipeline.templates.conditions import PLACEHOLDER, text_of
from ledger_pipeline.workflows.positions import Positions, member


class Scope:
    """What a step can know: parameters, outputs of steps, the items of the loops around it, and the context.

    `unknown` collects the variables that were asked for and not found, in order.
    """

    def __init__(self, state: ExecutionState, step: StepState | None) -> None:
        self._state = state
        self._step = step
        self._positions = Positions(state)
        self._items: dict[str, Any] = {}
        for loop, index in reversed(self._positions.loops_around(step) if step else []):
            collection = member(loop.input_data, "collection") or []
            if index < len(collection):
                self._items[member(loop.step_config, "item_variable") or "item"] = collection[index]
        self.unknown: list[str] = []

    def value(self, name: str) -> Any:
        """The value of a variable; None, and a note in `unknown`, for one that isn't known."""
        parts = [part for part in re.split(r"[.\[\]]", name.strip()) if part]
        found, value = self._find(parts)
        if not found and name not in self.unknown:
            self.unknown.append(name)
        return value

    def render(self, template: Any) -> Any:
        """A template with its variables replaced: a text that is one variable becomes its value, whatever its type."""
        match template:
            case str():
                whole = PLACEHOLDER.fullmatch(template.strip())
                if whole and "{{" not in whole[1]:
                    return self.value(whole[1])
                return self.render_text(template)
            case dict():
                return {name: self.render(value) for name, value in template.items()}
            case list() | tuple():
                return [self.render(value) for value in template]
            case _:
                return template

    def render_text(self, template: str) -> str:
        """A text with its variables replaced by their texts; what isn't known leaves nothing."""
        return PLACEHOLDER.sub(lambda found: text_of(self.value(found[1])), template)

    def _find(self, parts: list[str]) -> tuple[bool, Any]:
        context = self._state.accumulated_context
        match parts:
            case [name, *rest] if name in self._items:
                return _follow(self._items[name], rest)
            case ["workflow", "parameters", *rest]:
                return _follow(self._state.input_parameters, rest)
            case ["steps", name, "output", *rest]:
                return _output(self._named(name), rest)
            case ["previous_step", "output", *rest]:
                return _output(self._previous(self._step), rest)
            case ["context", *rest]:
                return _follow(context, rest)
            case ["user_input", *rest] if self._step is not None and member(context, "user_input") is None:
                return _follow(self._step.user_input, rest)
            case _:
                return _follow(context, parts)

    def _named(self, name: str) -> StepState | None:
        """The step of that name nearest to this one: in a loop, the one of the same iteration."""
        around = set(self._loops(self._step))
        candidates = [step for step in self._state.steps.values() if step.step_name == name]

        def nearness(step: StepState) -> tuple[int, list[int]]:
            return len(around & set(self._loops(step))), [int(part) for part in step.path.split("/")]

        return max(candidates, key=nearness, default=None)

    def _loops(self, step: StepState | None) -> list[tuple[str, int]]:
        return [(loop.id, index) for loop, index in self._positions.loops_around(step)] if step else []

    def _previous(self, step: StepState | None) -> StepState | None:
        """The step that was done just before: in its line, or else the one around it or what that comes after."""
        if step is None:
            return None
        line = self._positions.line_of(step)
        before = [other for other in line[: line.index(step)] if other.status is StepStatus.COMPLETED]
        if before:
            return before[-1]
        parent = self._positions.parent(step)
        if parent is not None and parent.status is StepStatus.COMPLETED:
            return parent
        return self._previous(parent)


def _output(step: StepState | None, parts: list[str]) -> tuple[bool, Any]:
    if step is None or step.status is not StepStatus.COMPLETED:
        return False, None
    return _follow(step.output_data, parts)


def _follow(value: Any, parts: list[str]) -> tuple[bool, Any]:
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return False, None
    return True, value
