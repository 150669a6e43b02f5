"""Runs commands: reads the state, lets the command record, appends what it recorded; again when somebody was faster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, Protocol, TypeVar
from uuid import UUID

from ledger_pipeline.arguments import id_of, time_of
from ledger_pipeline.errors import NotFound, SequenceConflict
from ledger_pipeline.events.catalogue import Event
from ledger_pipeline.events.fold import fold_all
from ledger_pipeline.events.state import ExecutionState, initial
from ledger_pipeline.hot.append import Appended
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.workflows.answers import Recorded
from ledger_pipeline.workflows.ids import uuid7
from ledger_pipeline.workflows.recording import Operator, Recording
from ledger_pipeline.workflows.stored_state import stored_state

TRIES = 5
"""How often a command is judged anew because another one was appended between its reading and its append."""
_LAST_EVENT = (files("ledger_pipeline.workflows") / "sql" / "event.sql").read_bytes()
_Answer = TypeVar("_Answer")


class Store(Protocol):
    """What commands need of a ledger to store and to read events."""

    def append(
        self, execution_id: UUID, events: Sequence[Event | Mapping[str, Any]], expected_sequence: int | None = None
    ) -> Appended:
        """Prices and stores events of one execution, all or none."""
        ...

    def append_many(self, events: Sequence[Event]) -> int:
        """Prices and stores events of several executions, all or none."""
        ...

    def events(self, execution_id: UUID) -> Iterator[dict[str, Any]]:
        """An execution's event rows in sequence, hot and cold."""
        ...


class Recorder:
    """Runs commands for one operator; `now` is read where a command does not say when it happened."""

    def __init__(self, store: Store, connection: Connection, now: Callable[[], datetime], operator: Operator) -> None:
        self.store = store
        self.connection = connection
        self.now = now
        self.operator = operator

    def state(self, execution_id: UUID) -> ExecutionState:
        """The execution's state; raises NotFound."""
        return stored_state(self.connection, id_of("execution_id", execution_id))

    def state_of_any(self, execution_id: UUID) -> ExecutionState:
        """The execution's state, of a pruned one from its events; raises NotFound."""
        try:
            return self.state(execution_id)
        except NotFound:
            return fold_all(initial(), self.store.events(execution_id))

    def last_event(self, execution_id: UUID, event_type: str) -> dict[str, Any] | None:
        """The row of an execution's last event of a type: from the hot store or, where it has none, from the cold."""
        execution_id = id_of("execution_id", execution_id)
        with translated():
            found = self.connection.execute(_LAST_EVENT, (execution_id, event_type)).fetchone()
        if found is None:
            for row in self.store.events(execution_id):
                found = row if row["event_type"] == event_type else found
        return found

    def recording(self, state: ExecutionState, at: datetime | None) -> Recording:
        """An empty recording on a state."""
        return Recording(state, self.now() if at is None else time_of("at", at), self.operator, uuid7)

    def run(
        self, execution_id: UUID, at: datetime | None, command: Callable[[Recording], _Answer]
    ) -> tuple[_Answer, Recorded]:
        """Judges a command by the execution's state and appends what it records, or nothing.

        When another command came in between it is judged anew, by the new state; SequenceConflict after several times.
        """
        execution_id = id_of("execution_id", execution_id)
        for attempt in range(TRIES):
            recording = self.recording(self.state(execution_id), at)
            answer = command(recording)
            try:
                return answer, self.append(execution_id, recording)
            except SequenceConflict:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def append(self, execution_id: UUID, recording: Recording) -> Recorded:
        """Appends a recording; nothing at all when it is empty."""
        last = recording.expected_sequence
        if recording.events:
            appended = self.store.append(execution_id, recording.events, expected_sequence=last)
            last = appended.last_sequence
        return Recorded(execution_id, last, recording.state.status, tuple(recording.warnings))

    def append_together(self, recordings: Mapping[UUID, Recording]) -> None:
        """Appends recordings of several executions in one transaction, each where its state stood."""
        self.store.append_many(
            [
                event.model_copy(
                    update={"execution_id": execution_id, "sequence": recording.expected_sequence + 1 + nth}
                )
                for execution_id, recording in recordings.items()
                for nth, event in enumerate(recording.events)
            ]
        )
