"""The state of one execution as values: what folding its events gives, and what its projection rows hold."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ledger_pipeline.events.enums import CallStatus, ExecutionStatus, StepStatus
from ledger_pipeline.events.states import ExecutionState as Position

Json = Any
"""Any JSON value, with numbers as int or Decimal."""

NO_USD = Decimal("0.000000000000")
LAST_EVENTS = 20
"""Events that an execution and a call keep of their own, newest last."""


class EventMark(NamedTuple):
    """One of the last events."""

    sequence: int
    event_type: str
    occurred_at: datetime


class FoldProblem(NamedTuple):
    """An event that no legal history holds: where, and which rule it breaks."""

    sequence: int
    what: str


# The records below are changed only by the draft that made them: a fold copies a record before its first change, so
# a value once returned stays as it is. They are not frozen dataclasses because those cost three times as much to copy.


@dataclass
class StepState:
    """One position of the execution; ids are lower-case text, times UTC."""

    id: str
    path: str
    step_order: int
    step_name: str
    step_type: str
    parent_step_id: str | None = None
    template_step_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    status: StepStatus = StepStatus.PENDING
    attempt: int = 1
    max_attempts: int = 1
    step_config: Json = None
    input_data: Json = None
    output_data: Json = None
    user_input: Json = None
    tool_name: str | None = None
    tool_parameters: Json = None
    tool_result: Json = None
    error_message: str | None = None
    error_details: Json = None
    child_execution_id: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    step_metadata: Json = None


@dataclass
class CallState:
    """One attempt of an agent or tool at a step, with the usage that named it."""

    id: str
    step_id: str
    attempt: int
    started_at: datetime
    agent_id: str | None = None
    agent_name: str | None = None
    tool_name: str | None = None
    triggered_by: str | None = None
    status: CallStatus = CallStatus.RUNNING
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    spent_tokens: int = 0
    total_cost: Decimal = NO_USD
    estimated_cost: Decimal = NO_USD
    approved_by: str | None = None
    error_message: str | None = None
    ended_at: datetime | None = None
    events: tuple[EventMark, ...] = ()


@dataclass
class ArtifactState:
    """Something that the execution produced."""

    id: str
    artifact_type: str
    name: str
    uri: str
    recorded_at: datetime
    step_id: str | None = None
    size_bytes: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    artifact_metadata: Json = None


@dataclass
class ApprovalState:
    """A decision that was asked for, and how it came out."""

    id: str
    subject: str
    requested_at: datetime
    step_id: str | None = None
    call_id: str | None = None
    requested_from: str | None = None
    details: Json = None
    status: str = "pending"
    decided_at: datetime | None = None
    decided_by: str | None = None
    comment: str | None = None


@dataclass
class ExecutionState:
    """Everything that an execution's events say about it up to `last_sequence`; 0 before the first event.

    `position` is the state machine's state, `status` what users see of it. Log entries are counted, not kept: each is
    its event, and a state must not grow with the length of its history. `latest_occurred_at` is the greatest of all
    events, whose times need not rise. `steps_done` counts top-level steps completed
    or skipped, `open_calls` calls that run. `problems` is empty for every history that an append can have written.
    """

    id: str | None = None
    last_sequence: int = 0
    latest_occurred_at: datetime | None = None
    position: Position = Position.PENDING
    status: ExecutionStatus = ExecutionStatus.PENDING
    execution_kind: str | None = None
    workflow_name: str | None = None
    workflow_type: str | None = None
    template_id: str | None = None
    template_version: int | None = None
    mode: str | None = None
    drive_id: str | None = None
    customer_id: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    retry_of: str | None = None
    parent_execution_id: str | None = None
    parent_step_id: str | None = None
    triggered_by: str | None = None
    triggered_by_kind: str | None = None
    approved_by: str | None = None
    budget_usd: Decimal | None = None
    budget_tokens: int | None = None
    input_parameters: Json = None
    trigger_context: Json = None
    accumulated_context: Json = None
    output_data: Json = None
    error_message: str | None = None
    error_details: Json = None
    workflow_metadata: Json = None
    current_step_id: str | None = None
    current_step_order: int | None = None
    total_steps: int = 0
    steps_done: int = 0
    open_calls: int = 0
    approvals_pending: int = 0
    log_entries: int = 0
    total_cost: Decimal = NO_USD
    estimated_cost: Decimal = NO_USD
    spent_tokens: int = 0
    started_at: datetime | None = None
    paused_at: datetime | None = None
    resumed_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None
    aborted_at: datetime | None = None
    timed_out_at: datetime | None = None
    ended_at: datetime | None = None
    events: tuple[EventMark, ...] = ()
    problems: tuple[FoldProblem, ...] = ()
    steps: dict[str, StepState] = field(default_factory=dict[str, StepState])
    calls: dict[str, CallState] = field(default_factory=dict[str, CallState])
    artifacts: dict[str, ArtifactState] = field(default_factory=dict[str, ArtifactState])
    approvals: dict[str, ApprovalState] = field(default_factory=dict[str, ApprovalState])

    @property
    def progress_percentage(self) -> Decimal:
        """Top-level steps completed or skipped of all, in percent, half up to 2 places; 100 when completed."""
        if self.status is ExecutionStatus.COMPLETED:
            return Decimal("100.00")
        if self.total_steps == 0:
            return Decimal("0.00")
        hundredths = (20_000 * self.steps_done + self.total_steps) // (2 * self.total_steps)
        return Decimal(hundredths).scaleb(-2)


def initial() -> ExecutionState:
    """The state before the first event."""
    return ExecutionState()
