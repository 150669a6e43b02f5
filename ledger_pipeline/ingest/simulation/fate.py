"""What is decided about an execution before it runs: how it ends, where, and how eventful it is."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ledger_pipeline.ingest.simulation.definitions import Workflow
from ledger_pipeline.ingest.simulation.journal import Budget, Operator
from ledger_pipeline.ingest.simulation.population import Member


class Ending(StrEnum):
    """How an execution ends; `rejected` is a failure for want of an approval."""

    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    ABORTED = "aborted"


class Stall(StrEnum):
    """Where an execution stands that does not go on: the window ends while it waits."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    INPUT = "input"
    APPROVAL = "approval"


@dataclass(frozen=True)
class Habits:
    """How likely the incidental events are."""

    retry: float = 0.07
    pause: float = 0.015
    log: float = 0.6
    context: float = 0.25
    unplanned: float = 0.02
    late: float = 0.06


THOROUGH = Habits(retry=1, pause=1, log=1, context=1, unplanned=1, late=1)
"""Everything that may happen happens."""


@dataclass(frozen=True)
class Fate:
    """`strikes_at` is the top-level step at which an end other than completion comes (else any); `branch` decides
    every condition; `quick`: people answer within minutes; `factor` lengthens prompts."""

    ending: Ending = Ending.COMPLETED
    strikes_at: str = ""
    stall: Stall | None = None
    budget: Budget = Budget.NONE
    habits: Habits = field(default_factory=Habits)
    branch: bool | None = None
    quick: bool = False
    factor: float = 1.0


@dataclass(frozen=True)
class Run:
    """An execution to be walked."""

    workflow: Workflow
    parameters: dict[str, Any]
    starts: datetime
    fate: Fate
    customer: Member
    user: Member
    drive: Member
    trigger: Operator
    parent: tuple[UUID, UUID] | None = None
    """Execution and step that started this one."""
    retry_of: UUID | None = None
