"""Where each step of a definition stands: its path, its name and the place in the document that a fault names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

TARGETS = ("on_true", "on_false", "on_success", "on_failure")
"""Fields that may hold a step: they are numbered in this order, before the branches or the body of their step.

So a loop's iterations, whose number nobody knows before, have the end of the line for themselves.
"""


@dataclass(frozen=True)
class Position:
    """One step of a definition. `path` is `2/0/1`: child 1 of child 0 of step 2, each counted from 0.

    `name` is the step's own or, where it has none, `step_` and the path (`step_2_0_1`). `where` is its place in the
    document (`steps[2].on_true`), `field` the last part of it. `step` is a step or, while a document is being checked,
    the mapping that should become one.
    """

    path: str
    order: int
    name: str
    where: str
    field: str
    step: Any
    parent: "Position | None"

    @property
    def type(self) -> Any:
        """The step's type; of a document that is being checked, whatever stands there."""
        return member(self.step, "type")

    @property
    def listed(self) -> bool:
        """Whether it stands in a list, and not inline as a target."""
        return self.field.startswith("steps[")

    @property
    def in_loop(self) -> bool:
        """Whether it belongs to a loop's body, directly or further up."""
        return self.parent is not None and (self.is_body_of_loop or self.parent.in_loop)

    @property
    def is_body_of_loop(self) -> bool:
        """Whether it is a step of a loop's own list."""
        return self.parent is not None and self.parent.type == "loop" and self.listed

    @property
    def holders(self) -> "Iterator[Position]":
        """Its parent, the parent's parent, and so on."""
        if self.parent is not None:
            yield self.parent
            yield from self.parent.holders


def member(step: Any, field: str) -> Any:
    """A step's field, of a model or of a mapping alike; None where it has none."""
    return step.get(field) if isinstance(step, Mapping) else getattr(step, field, None)


def positions(definition: Any) -> Iterator[Position]:
    """Every step, each before those that it holds; takes a definition or the document of one, whatever its faults."""
    yield from _walk(_listed(definition), None)


def position_of(definition: Any, name: str) -> Position | None:
    """The step of that name."""
    return next((position for position in positions(definition) if position.name == name), None)


def inner_positions(parent: Position) -> Iterator[Position]:
    """The steps that a step holds, and those that they hold."""
    inline = [(field, member(parent.step, field)) for field in TARGETS if _is_step(member(parent.step, field))]
    yield from _walk([*inline, *_listed(parent.step)], parent)


def _is_step(value: Any) -> bool:
    return isinstance(value, (Mapping, BaseModel))


def _listed(holder: Any) -> list[tuple[str, Any]]:
    steps = member(holder, "steps")
    given = enumerate(steps) if isinstance(steps, (list, tuple)) else ()
    return [(f"steps[{index}]", step) for index, step in given if _is_step(step)]


def _walk(steps: list[tuple[str, Any]], parent: Position | None) -> Iterator[Position]:
    for order, (field, step) in enumerate(steps):
        path = f"{parent.path}/{order}" if parent else str(order)
        given = member(step, "name")
        position = Position(
            path=path,
            order=order,
            name=given if isinstance(given, str) and given else "step_" + path.replace("/", "_"),
            where=f"{parent.where}.{field}" if parent else field,
            field=field,
            step=step,
            parent=parent,
        )
        yield position
        yield from inner_positions(position)
