"""Variables in a definition's texts (`{{steps.create_vm.output.vm_id}}`), and whether a step can know them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.form import shown
from ledger_pipeline.templates.positions import Position, member
from ledger_pipeline.templates.schemas import as_schema

_VARIABLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_][\w-]*(\[\d+\]|\.[\w-]+)*")
_STEP_OUTPUT = re.compile(r"step_(\d+)_output")
TEXTS = ("prompt_template", "parameters", "condition", "collection")
"""Fields that may hold variables, on whichever step has them."""
ALLOWED = (
    "workflow.parameters.<name>, steps.<name>.output, step_<n>_output, previous_step.output, a loop's item, "
    "context.<name> or a bare name"
)


@dataclass(frozen=True)
class Variable:
    """One `{{…}}` of a step: where it stands, and the names that it goes through."""

    where: str
    text: str
    parts: tuple[str, ...]


def variables(position: Position) -> Iterator[Variable]:
    """The variables of a step's own texts; `parts` is empty for what is no path of names."""
    for field in TEXTS:
        for where, text in _texts(member(position.step, field), f"{position.where}.{field}"):
            for match in _VARIABLE.finditer(text):
                name = match.group(1).strip()
                parts = tuple(re.split(r"\.|\[", name.replace("]", ""))) if _PATH.fullmatch(name) else ()
                yield Variable(where, name, parts)


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


def variable_faults(
    document: Mapping[str, Any], steps: Sequence[Position], faults: list[Fault], warnings: list[Fault]
) -> None:
    """Adds variables that can't be known when their step runs to the faults, doubtful ones to the warnings."""
    names = declared(document.get("parameters", {}))
    index = {position.name: nth for nth, position in enumerate(steps)}
    items = {item_of(position): position for position in steps if position.type == StepType.LOOP}
    for nth, position in enumerate(steps):
        scope = _Scope(position, nth, steps, index, items, names)
        for variable in variables(position):
            found = scope.judge(variable)
            if found is not None:
                (warnings if found.doubtful else faults).append(Fault(variable.where, found.what, found.allowed))


def declared(parameters: Any) -> frozenset[str] | None:
    """The names of the declared parameters; None when the schema takes names that it doesn't list."""
    schema = as_schema(parameters)
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, Mapping):
        return frozenset()
    open_keywords = {"$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas", "$dynamicRef"}
    if open_keywords & set(schema) or isinstance(schema.get("additionalProperties"), Mapping):
        return None
    properties = schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else frozenset()


def item_of(loop: Position) -> str:
    """The name that a loop gives its item."""
    given = member(loop.step, "item_variable")
    return given if isinstance(given, str) and given else "item"


@dataclass(frozen=True)
class _Judgement:
    what: str
    allowed: str = ALLOWED
    doubtful: bool = False


@dataclass(frozen=True)
class _Scope:
    """What a step can know when it runs."""

    position: Position
    nth: int
    steps: Sequence[Position]
    index: Mapping[str, int]
    items: Mapping[str, Position]
    parameters: frozenset[str] | None

    def judge(self, variable: Variable) -> _Judgement | None:
        """What is wrong or doubtful about a variable."""
        shown_as = "{{" + variable.text + "}}"
        match variable.parts:
            case ():
                return _Judgement(f"{shown(shown_as)} is no variable: names are joined by dots")
            case ("workflow", "parameters"):
                return None
            case ("workflow", "parameters", name, *_):
                known = self.parameters
                if known is None or name in known:
                    return None
                return _Judgement(f"{shown_as}: the workflow has no parameter {name!r}", ", ".join(sorted(known)))
            case ("steps", name, "output", *_):
                return self._step(shown_as, name)
            case ("previous_step", "output", *_):
                if self._previous() is not None:
                    return None
                return _Judgement(f"{shown_as}: there is no step before this one")
            case ("workflow" | "steps" | "previous_step", *_) if not self._is_item(variable.parts[0]):
                return _Judgement(f"{shown_as} is not known")
            case ("context", *rest):
                return self._bare(shown_as, rest[0]) if rest else None
            case (name, *_):
                return self._bare(shown_as, name)
        return None

    def _step(self, shown_as: str, name: str) -> _Judgement | None:
        if name not in self.index:
            earlier = ", ".join(step.name for step in self.steps[: self.nth] if self._known(step))
            return _Judgement(f"{shown_as}: no step is named {name!r}", earlier)
        return None if self._known(self.steps[self.index[name]]) else self._unknown_yet(shown_as, name)

    def _unknown_yet(self, shown_as: str, name: str) -> _Judgement:
        earlier = ", ".join(step.name for step in self.steps[: self.nth] if self._known(step))
        return _Judgement(f"{shown_as}: {name!r} is not done when this step runs", earlier or "steps before this one")

    def _known(self, other: Position) -> bool:
        """Whether another step can be done by the time this one runs."""
        if self.index[other.name] >= self.nth:
            return False
        line = (self.position, *self.position.holders)
        for inner, outer in zip(line, line[1:], strict=False):
            if outer is other:
                # A target's step runs when its holder is done; a branch or a body while it runs.
                return not inner.listed
        beside = {id(holder) for holder in line}
        for place in (other, *other.holders):
            parent = place.parent
            if parent is not None and id(parent) in beside:
                # Of two parts of one parallel step, neither waits for the other; of two targets, one is taken.
                return place.listed and parent.type != StepType.PARALLEL
        return True

    def _previous(self) -> Position | None:
        """The step that has run just before: the one above in its list, or else what its holder comes after."""
        place = self.position
        if not place.listed:
            return place.parent
        before = [
            s for s in self.steps[: self.nth] if s.parent is place.parent and s.listed and s.order == place.order - 1
        ]
        if before and not (place.parent is not None and place.parent.type == StepType.PARALLEL):
            return before[0]
        if place.parent is None:
            return None
        return _Scope(place.parent, self.index[place.parent.name], self.steps, self.index, self.items, None)._previous()

    def _is_item(self, name: str) -> bool:
        line = (self.position, *self.position.holders)
        return any(inner.is_body_of_loop and inner.parent and item_of(inner.parent) == name for inner in line)

    def _bare(self, shown_as: str, name: str) -> _Judgement | None:
        if self._is_item(name) or (self.parameters is not None and name in self.parameters):
            return None
        output = _STEP_OUTPUT.fullmatch(name)
        if output:
            return self._top_level(shown_as, int(output.group(1)))
        if name in self.items:
            loop = self.items[name]
            return _Judgement(f"{shown_as}: {name!r} is the item of {loop.where}, known to the steps in it only")
        return _Judgement(
            f"{shown_as}: not known here, so the context must have it when the step runs", "", doubtful=True
        )

    def _top_level(self, shown_as: str, order: int) -> _Judgement | None:
        top = [step for step in self.steps if step.parent is None]
        if order >= len(top):
            return _Judgement(f"{shown_as}: there is no step {order}", f"0 to {len(top) - 1}, earlier ones only")
        return None if self._known(top[order]) else self._unknown_yet(shown_as, top[order].name)
