"""The state machine of execution, step and call as data: the append function, `fold` and the simulator read it here."""

from dataclasses import dataclass
from enum import StrEnum

from ledger_pipeline.events.enums import CallStatus, ExecutionStatus, StepStatus


class ExecutionState(StrEnum):
    """An execution's status, with the pause that waits for input told apart from the other."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    AWAITING_INPUT = "awaiting_input"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"
    TIMEOUT = "timeout"

    @property
    def status(self) -> ExecutionStatus:
        """The status that users see."""
        return ExecutionStatus.PAUSED if self is ExecutionState.AWAITING_INPUT else ExecutionStatus(self.value)

    @property
    def ended(self) -> bool:
        """Whether only late facts may follow."""
        return self in ENDED


class CallMove(StrEnum):
    """What an event does to its agent call."""

    OPENS = "opens"
    CLOSES = "closes"


ENDED = frozenset(
    {
        ExecutionState.COMPLETED,
        ExecutionState.FAILED,
        ExecutionState.CANCELLED,
        ExecutionState.ABORTED,
        ExecutionState.TIMEOUT,
    }
)
_BEFORE_END = frozenset(ExecutionState) - ENDED
_STARTED = _BEFORE_END - {ExecutionState.PENDING}
_WORKING = frozenset({ExecutionState.RUNNING})
_ANY = frozenset(ExecutionState)


@dataclass(frozen=True)
class Rule:
    """When an event type is legal, and what it moves.

    `execution_from` is empty for the event that creates an execution. A rule without `step_from` leaves the step alone,
    which the event then may name but need not.
    """

    execution_from: frozenset[ExecutionState]
    execution_to: ExecutionState | None = None
    step_from: frozenset[StepStatus] = frozenset()
    step_to: StepStatus | None = None
    call: CallMove | None = None
    call_to: CallStatus | None = None

    @property
    def late_fact(self) -> bool:
        """Whether the event may follow an execution's end."""
        return bool(self.execution_from & ENDED)


_RUNNING_STEP = frozenset({StepStatus.RUNNING})

RULES: dict[str, Rule] = {
    "WorkflowCreated": Rule(frozenset(), ExecutionState.PENDING),
    "WorkflowStarted": Rule(frozenset({ExecutionState.PENDING}), ExecutionState.RUNNING),
    "WorkflowPaused": Rule(_WORKING, ExecutionState.PAUSED),
    "WorkflowResumed": Rule(frozenset({ExecutionState.PAUSED}), ExecutionState.RUNNING),
    "WorkflowCompleted": Rule(_WORKING, ExecutionState.COMPLETED),
    "WorkflowFailed": Rule(_BEFORE_END, ExecutionState.FAILED),
    "WorkflowCancelled": Rule(_BEFORE_END, ExecutionState.CANCELLED),
    "WorkflowTimedOut": Rule(_BEFORE_END, ExecutionState.TIMEOUT),
    "ExecutionAborted": Rule(_BEFORE_END, ExecutionState.ABORTED),
    "StepDispatched": Rule(
        _WORKING,
        step_from=frozenset({StepStatus.PENDING, StepStatus.RETRYING}),
        step_to=StepStatus.RUNNING,
        call=CallMove.OPENS,
        call_to=CallStatus.RUNNING,
    ),
    "StepCompleted": Rule(
        _STARTED,
        step_from=_RUNNING_STEP,
        step_to=StepStatus.COMPLETED,
        call=CallMove.CLOSES,
        call_to=CallStatus.COMPLETED,
    ),
    "StepFailed": Rule(
        _STARTED,
        step_from=_RUNNING_STEP,
        step_to=StepStatus.FAILED,
        call=CallMove.CLOSES,
        call_to=CallStatus.FAILED,
    ),
    "StepRetried": Rule(_STARTED, step_from=frozenset({StepStatus.FAILED}), step_to=StepStatus.RETRYING),
    "StepSkipped": Rule(
        _STARTED, step_from=frozenset({StepStatus.PENDING, StepStatus.RETRYING}), step_to=StepStatus.SKIPPED
    ),
    "BranchTaken": Rule(_STARTED, step_from=_RUNNING_STEP),
    "IterationStarted": Rule(_STARTED, step_from=_RUNNING_STEP),
    "ChildExecutionLinked": Rule(_STARTED, step_from=_RUNNING_STEP),
    "InputRequested": Rule(_WORKING, ExecutionState.AWAITING_INPUT),
    "InputReceived": Rule(frozenset({ExecutionState.AWAITING_INPUT}), ExecutionState.RUNNING),
    "ApprovalRequested": Rule(_STARTED),
    "ApprovalApplied": Rule(_STARTED),
    "TokensUpdated": Rule(_ANY),
    "CostRecalculated": Rule(_WORKING),
    "BudgetExceeded": Rule(_ANY),
    "ContextUpdated": Rule(_BEFORE_END),
    "ArtifactRecorded": Rule(_ANY),
    "LogRecorded": Rule(_ANY),
}
"""The rule of every event type; nothing else decides what is legal."""
