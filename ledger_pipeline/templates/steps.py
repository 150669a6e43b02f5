"""The five step types of a workflow definition."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ledger_pipeline.events.enums import StepType

Json = Any
JsonObject = dict[str, Any]
Title = Annotated[str, Field(min_length=1, max_length=500)]
StepName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=200)]
"""What targets and variables can name: letters, digits, `_` and `-`."""
Seconds = Annotated[int, Field(ge=1, lt=2**31)]

NAME_PATTERN = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
"""A workflow's name, snake_case: calls and links use it."""

NEXT, END = "next", "end"
RETRY, FAIL, CONTINUE = "retry", "fail", "continue"
RESERVED = frozenset({NEXT, END, RETRY, FAIL, CONTINUE})
"""Targets that are no step's name."""


def _kind_of_target(value: Any) -> str:
    return "name" if isinstance(value, str) else "inline"


Target = Annotated[
    Annotated[str, Tag("name"), Field(min_length=1)] | Annotated["Step", Tag("inline")], Discriminator(_kind_of_target)
]
"""Where the work goes on: a step's name, `next`, `end` (on failure also `retry`, `fail`, `continue`), or a step."""


class StepBase(BaseModel):
    """What every step may carry. `step_order`, when given, is its place in its list, counted from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: StepName | None = None
    title: Title | None = None
    description: str | None = None
    step_order: Annotated[int, Field(ge=0)] | None = None
    workflow_template_id: str | None = None
    on_failure: Target | None = None
    retry_count: Annotated[int, Field(ge=0, le=1_000)] | None = None
    timeout_seconds: Seconds | None = None
    metadata: JsonObject = Field(default_factory=dict)


class ActionStep(StepBase):
    """A call of an agent (`agent_id`, `prompt_template`) or of a tool (`tool_name`, `parameters`): exactly one."""

    type: Literal["action"] = "action"
    agent_id: Title | None = None
    prompt_template: Annotated[str, Field(min_length=1)] | None = None
    tool_name: Title | None = None
    parameters: JsonObject | None = None
    requires_user_input: bool = False
    input_schema: JsonObject | bool | None = None
    on_success: Target | None = None


class ConditionStep(StepBase):
    """A branch: what is judged, and where the work goes on; a target that is left out is `next`."""

    type: Literal["condition"]
    condition: Annotated[str, Field(min_length=1)]
    on_true: Target | None = None
    on_false: Target | None = None


class WorkflowLinkStep(StepBase):
    """Another workflow of the drive, run as an execution of its own."""

    type: Literal["workflow_link"]
    workflow_name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]
    parameters: JsonObject = Field(default_factory=dict)
    on_success: Target | None = None


class ParallelStep(StepBase):
    """Branches that run beside each other, each of one step."""

    type: Literal["parallel"]
    steps: Annotated[tuple["Step", ...], Field(min_length=1, strict=False)]
    on_success: Target | None = None


class LoopStep(StepBase):
    """Steps that run once for each item of a collection: a list, or a variable that holds one."""

    type: Literal["loop"]
    collection: str | list[Json]
    item_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)] = "item"
    steps: Annotated[tuple["Step", ...], Field(min_length=1, strict=False)]
    on_success: Target | None = None


Step = Annotated[ActionStep | ConditionStep | WorkflowLinkStep | ParallelStep | LoopStep, Field(discriminator="type")]
"""Any step, told apart by its `type`."""
AnyStep = ActionStep | ConditionStep | WorkflowLinkStep | ParallelStep | LoopStep

STEP_CLASSES: dict[str, type[StepBase]] = {
    StepType.ACTION: ActionStep,
    StepType.CONDITION: ConditionStep,
    StepType.WORKFLOW_LINK: WorkflowLinkStep,
    StepType.PARALLEL: ParallelStep,
    StepType.LOOP: LoopStep,
}

for _class in STEP_CLASSES.values():
    _class.model_rebuild()
