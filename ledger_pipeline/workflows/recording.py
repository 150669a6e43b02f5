"""A recording: the events that a command adds to an execution, each folded at once, so that the next one sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from ledger_pipeline.errors import InvalidIdentifier, InvalidInput
from ledger_pipeline.events.catalogue import EVENT_COLUMNS, Event, LogRecorded, describe
from ledger_pipeline.events.enums import CallStatus, OperatorKind
from ledger_pipeline.events.fold import fold
from ledger_pipeline.events.state import CallState, ExecutionState, StepState

NewId = Callable[[datetime], UUID]
"""Makes an id that sorts by the time given."""
SOURCE = "workflows"
"""The way in that these commands are: the `source` of their events."""


@dataclass(frozen=True)
class Operator:
    """Who gives a command."""

    id: str | None = None
    kind: OperatorKind | None = None


class Recording:
    """A state, the events that a command has added to it so far, and what they say happened when and by whom."""

    def __init__(self, state: ExecutionState, at: datetime, operator: Operator, new_id: NewId) -> None:
        self.state = state
        self.at = at
        self.operator = operator
        self.expected_sequence = state.last_sequence
        self.events: list[Event] = []
        self.warnings: list[str] = []
        self._new_id = new_id

    def new_id(self) -> UUID:
        """An id of this recording's time."""
        return self._new_id(self.at)

    def record(self, event_class: type[Event], step: StepState | None = None, **fields: Any) -> None:
        """Adds an event; fields that are None are left out."""
        given: dict[str, Any] = {
            "occurred_at": self.at,
            "operator_id": self.operator.id,
            "operator_kind": self.operator.kind,
            "source": SOURCE,
            "step_id": None if step is None else step.id,
            **fields,
        }
        try:
            event = event_class.model_validate({name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            wrong_id = error.errors(include_url=False)[0]["type"] in ("uuid_parsing", "uuid_type")
            kind = InvalidIdentifier if wrong_id else InvalidInput
            raise kind(f"{event_class.event_type}: {describe(error)}") from None
        row: dict[str, Any] = dict.fromkeys(EVENT_COLUMNS) | event.to_row()
        row |= {"execution_id": row["execution_id"] or self.state.id, "sequence": self.state.last_sequence + 1}
        # What the database fills in from the step, as far as a state holds it.
        known = self.state.steps.get(str(event.step_id))
        if known is not None:
            row |= {"attempt": known.attempt, "step_name": known.step_name}
            row["agent_id"] = row["agent_id"] or known.agent_id
            row["agent_name"] = row["agent_name"] or known.agent_name
        self.events.append(event)
        self.state = fold(self.state, row)

    def warn(self, message: str, step: StepState | None = None, **details: Any) -> None:
        """Adds a warning to the execution's log, once, and to what the command answers."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.record(LogRecorded, step, log_level="warning", message=message, details=details)


def open_call(state: ExecutionState, step: StepState) -> CallState | None:
    """The step's call that runs."""
    return next((c for c in state.calls.values() if c.step_id == step.id and c.status is CallStatus.RUNNING), None)
