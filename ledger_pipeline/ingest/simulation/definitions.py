"""What a simulated workflow consists of, as values; `workflows.py` holds the workflows themselves."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from ledger_pipeline.events.enums import ArtifactType, StepType, WorkflowType


@dataclass(frozen=True)
class Between:
    """Any integer of a closed range."""

    low: int
    high: int


Values = Between | tuple[str | int | bool, ...]
"""Where a value is drawn from: a range, or one of some choices."""


def draw(values: dict[str, Values], rng: Random) -> dict[str, Any]:
    """One value for each name."""
    return {
        name: rng.randint(choice.low, choice.high) if isinstance(choice, Between) else rng.choice(choice)
        for name, choice in values.items()
    }


@dataclass(frozen=True)
class Effort:
    """How much an agent's call asks of its model: number of model calls, median tokens of one."""

    calls: tuple[int, int]
    input_tokens: int
    output_tokens: int


TINY = Effort((2, 4), 320, 40)
LIGHT = Effort((1, 1), 1_400, 220)
STANDARD = Effort((1, 3), 5_200, 650)
DEEP = Effort((2, 4), 16_000, 1_400)
AGENTIC = Effort((4, 9), 28_000, 900)


@dataclass(frozen=True)
class Product:
    """An artifact that a step leaves behind; `size` is its median in bytes."""

    type: ArtifactType
    file_name: str
    content_type: str
    size: int = 40_000


@dataclass(frozen=True)
class Step:
    """A step of a workflow: an agent's call (`agent`, `effort`), a tool's call (`tool`), or a control step.

    `steps` are a parallel step's branches, a loop's body or what a condition runs when true; `unless_true` names the
    later top-level steps that a false condition skips, `decided_by` the boolean parameter that it reads (else it may go
    either way); `link` is the workflow that a `workflow_link` step runs.
    """

    name: str
    type: StepType = StepType.ACTION
    agent: str | None = None
    effort: Effort = STANDARD
    tool: str | None = None
    parameters: dict[str, Values] = field(default_factory=dict[str, Values])
    seconds: float = 8.0
    max_attempts: int = 2
    output: dict[str, Values] = field(default_factory=dict[str, Values])
    products: tuple[Product, ...] = ()
    steps: tuple["Step", ...] = ()
    collection: tuple[str, ...] = ()
    condition: str = ""
    decided_by: str = ""
    unless_true: tuple[str, ...] = ()
    link: str = ""
    question: str = ""
    input_schema: dict[str, Any] = field(default_factory=dict[str, Any])
    answer: dict[str, Values] = field(default_factory=dict[str, Values])
    approval: str = ""

    @property
    def linked(self) -> bool:
        """Whether this step, its branch taken, starts a child execution."""
        return bool(self.link) or any(step.linked for step in self.steps)


@dataclass(frozen=True)
class Workflow:
    """A workflow with its share of the traffic; `scheduled` ones run around the clock, others when people work."""

    name: str
    type: WorkflowType | None
    mode: str
    agent: str
    share: float
    steps: tuple[Step, ...]
    parameters: dict[str, Values] = field(default_factory=dict[str, Values])
    output: dict[str, Values] = field(default_factory=dict[str, Values])
    scheduled: bool = False
    limit_minutes: int = 60

    @property
    def child_switch(self) -> str:
        """The boolean parameter that decides whether an execution starts a child execution; empty where none can."""
        return next((step.decided_by for step in self.steps if step.linked), "")
