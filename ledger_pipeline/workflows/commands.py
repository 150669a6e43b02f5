"""What all commands share: a ledger, an operator, and the present state of executions."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self
from uuid import UUID

from ledger_pipeline.arguments import one_of, text_of
from ledger_pipeline.events.enums import OperatorKind
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.workflows.answers import NextSteps, Recorded
from ledger_pipeline.workflows.next_steps import next_steps
from ledger_pipeline.workflows.recorder import Recorder, Store
from ledger_pipeline.workflows.recording import Operator, Recording


class Commands:
    """The commands on a ledger's executions, given by one operator."""

    def __init__(
        self,
        store: Store,
        connection: Connection,
        artifacts: Path,
        now: Callable[[], datetime],
        operator: Operator | None = None,
    ) -> None:
        self._store = store
        self._connection = connection
        self._artifacts = artifacts
        self._now = now
        self._recorder = Recorder(store, connection, now, operator or Operator())

    def acting_as(self, operator_id: str, kind: OperatorKind | str = OperatorKind.USER) -> Self:
        """The same commands, given by another operator, whom their events will name."""
        operator = Operator(text_of("operator_id", operator_id), one_of("operator_kind", kind, OperatorKind))
        return type(self)(self._store, self._connection, self._artifacts, self._now, operator)

    def state(self, execution_id: UUID) -> ExecutionState:
        """The execution's present state, from its rows; raises NotFound."""
        return self._recorder.state(execution_id)

    def next_steps(self, execution_id: UUID) -> NextSteps:
        """What may be dispatched now, what runs, and what the execution waits for."""
        return next_steps(self.state(execution_id))

    def _run(self, execution_id: UUID, at: datetime | None, command: Callable[[Recording], object]) -> Recorded:
        return self._recorder.run(execution_id, at, command)[1]
