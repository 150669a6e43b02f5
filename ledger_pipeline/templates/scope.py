"""What a step can know when it runs: parameters, outputs of steps done before, the item of its loop, the context."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.form import listed
from ledger_pipeline.templates.positions import Position, member

_STEP_OUTPUT = re.compile(r"step_(\d+)_output")
_CHECKED = re.compile(r"\{\{\s*(workflow|steps|previous_step|step_\d+_output)\b")
ALLOWED = (
    "workflow.parameters.<name>, steps.<name>.output, step_<n>_output, previous_step.output, a loop's item, "
    "context.<name> or a bare name"
)


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a variable or, when `doubtful`, what may be."""

    what: str
    allowed: str = ALLOWED
    doubtful: bool = False


@dataclass(frozen=True)
class Surroundings:
    """All steps in document order; their places by name; those of lists by the identity of their holder (0 at the top)
    and their order; loops by their items. `parameters` None: names may come that nobody lists."""

    steps: Sequence[Position]
    index: Mapping[str, int]
    lists: Mapping[tuple[int, int], Position]
    items: Mapping[str, Position]
    parameters: frozenset[str] | None


def item_of(loop: Position) -> str:
    """The name that a loop gives its item."""
    given = member(loop.step, "item_variable")
    return given if isinstance(given, str) and given else "item"


@dataclass(frozen=True)
class Scope:
    """What one step can know."""

    position: Position
    around: Surroundings

    def judge(self, text: str, parts: Sequence[str]) -> Judgement | None:
        """What is wrong or doubtful about a variable, None when it will be known."""
        text = "{{" + text + "}}"
        match parts:
            case []:
                # Other braces than a variable's occur in prompts; what begins like a checked one is meant as one.
                checked = _CHECKED.match(text) is not None
                return Judgement(f"{text} is no variable: names are joined by dots", doubtful=not checked)
            case [name, *_] if name in self._items():
                return None
            case ["workflow", "parameters"]:
                return None
            case ["workflow", "parameters", name, *_]:
                known = self.around.parameters
                if known is None or name in known:
                    return None
                return Judgement(f"{text}: the workflow has no parameter {name!r}", listed(sorted(known)) or "none")
            case ["steps", name, "output", *_]:
                return self._judge_step(text, name)
            case ["previous_step", "output", *_]:
                return None if self.previous() else Judgement(f"{text}: there is no step before this one")
            case ["workflow" | "steps" | "previous_step", *_]:
                return Judgement(f"{text} is not known")
            case ["context"]:
                return None
            case ["context", name, *_] | [name, *_]:
                return self._judge_context(text, name)
            case _:
                return None

    def _judge_step(self, text: str, name: str) -> Judgement | None:
        nth = self.around.index.get(name)
        if nth is not None and self.knows(self.around.steps[nth]):
            return None
        what = f"no step is named {name!r}" if nth is None else f"{name!r} is not done when this step runs"
        done = [step.name for step in self.around.steps if self.knows(step)]
        return Judgement(f"{text}: {what}", listed(done) or "nothing: no step is done by then")

    def _judge_context(self, text: str, name: str) -> Judgement | None:
        if self.around.parameters is not None and name in self.around.parameters:
            return None
        output = _STEP_OUTPUT.fullmatch(name)
        if output:
            top = self.around.lists.get((0, int(output.group(1))))
            if top is not None:
                return self._judge_step(text, top.name)
            return Judgement(f"{text}: there is no step {output.group(1)}", "the number of a top-level step, from 0")
        if name in self.around.items:
            where = self.around.items[name].where
            return Judgement(f"{text}: {name!r} is the item of {where}, known to the steps in it only")
        return Judgement(f"{text}: not known here, so the context must have it when the step runs", "", doubtful=True)

    def _line(self) -> tuple[Position, ...]:
        return (self.position, *self.position.holders)

    def _items(self) -> Iterator[str]:
        """The items of the loops whose bodies the step is in."""
        return (item_of(place.parent) for place in self._line() if place.is_body_of_loop and place.parent)

    def knows(self, other: Position) -> bool:
        """Whether another step can be done by the time this one runs."""
        mine, theirs = self._line()[::-1], (other, *other.holders)[::-1]
        shared = next((n for n, (m, t) in enumerate(zip(mine, theirs, strict=False)) if m is not t), None)
        if shared is None:
            # A target runs when its holder is done; a branch or a body while it runs.
            return len(mine) > len(theirs) and not mine[len(theirs)].listed
        here, there = mine[shared], theirs[shared]
        if here.listed and there.listed:
            # Of two branches of a parallel step, neither waits for the other.
            return there.order < here.order and not (here.parent and here.parent.type == StepType.PARALLEL)
        # A target comes after the list of its step; of two targets one is taken.
        return there.listed

    def previous(self) -> Position | None:
        """The step that ran just before: the one above in its list, or else what its holder comes after."""
        place = self.position
        if not place.listed:
            return place.parent
        if place.parent is None or place.parent.type != StepType.PARALLEL:
            before = self.around.lists.get((id(place.parent) if place.parent else 0, place.order - 1))
            if before is not None:
                return before
        return Scope(place.parent, self.around).previous() if place.parent is not None else None
