"""What commands answer: values, with everything that a caller needs to go on."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger_pipeline.events.enums import ExecutionStatus, StepType

Json = Any


@dataclass(frozen=True)
class Started:
    """An execution that was created, and what is doubtful about it."""

    execution_id: UUID
    last_sequence: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recorded:
    """What a command recorded: the execution's last sequence and status after it, and what is doubtful."""

    execution_id: UUID
    last_sequence: int
    status: ExecutionStatus
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dispatched:
    """A call and the work that it asks for, variables filled in; `context` is the accumulated context.

    `work` is true for an action, which is the caller's to do and to complete. Whatever else was dispatched goes on with
    its own steps or its child execution, or is over already: `open` says whether it runs.
    """

    execution_id: UUID
    step_id: UUID
    step_name: str
    step_type: StepType
    path: str
    call_id: UUID
    attempt: int
    max_attempts: int
    agent_name: str | None
    prompt: str | None
    tool_name: str | None
    parameters: Json
    user_input: Json
    input: Json
    context: Json
    work: bool
    open: bool
    child_execution_id: UUID | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ReadyStep:
    """A step that may be dispatched now; `needs_input` means that a person's input comes first."""

    step_id: UUID
    step_name: str
    step_type: StepType
    path: str
    attempt: int
    max_attempts: int
    needs_input: bool


@dataclass(frozen=True)
class OpenCall:
    """A call that runs."""

    call_id: UUID
    step_id: UUID
    step_name: str
    step_type: StepType
    child_execution_id: UUID | None


@dataclass(frozen=True)
class NextSteps:
    """What comes next in an execution.

    `waits_for` is `start`, `resume` or `input` while nothing may be dispatched. `may_complete` says that every step is
    done and no call open.
    """

    status: ExecutionStatus
    ready: tuple[ReadyStep, ...]
    running: tuple[OpenCall, ...]
    waits_for: str | None
    approvals_pending: int
    may_complete: bool
