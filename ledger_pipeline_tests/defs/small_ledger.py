"""The executions of a small ledger: some old enough for the archive, one recent."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from ledger_pipeline import events
from ledger_pipeline.ledger import Ledger

AGES_IN_DAYS = (130, 115, 1)
"""How long ago the executions of the small ledger ran: two are due for the archive."""

EVENTS_OF_EACH = 12


def fill(ledger: Ledger, now: datetime) -> None:
    """Appends the executions of the small ledger; one of their models has no price."""
    for age in AGES_IN_DAYS:
        ledger.append_many(execution(now - timedelta(days=age)), history=True)


def execution(at: datetime) -> Iterator[events.Event]:
    """One execution of a single step with eight model calls, complete, a second an event."""
    execution_id, step, call = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    plan = [{"step_id": step, "path": "0", "step_order": 0, "step_name": "analyse", "max_attempts": 1}]
    history: list[events.Event] = [
        events.WorkflowCreated(occurred_at=at, workflow_name="report", mode="analysis", plan=plan),
        events.WorkflowStarted(occurred_at=at),
        events.StepDispatched(occurred_at=at, step_id=step, call_id=call),
        *(
            events.TokensUpdated(
                occurred_at=at,
                step_id=step,
                call_id=call,
                model_call_id=str(nth),
                provider="anthropic",
                model="claude-sonnet-4-5" if nth else "a-model-that-nobody-sells",
                input_tokens=1_000 + nth,
                output_tokens=100,
            )
            for nth in range(EVENTS_OF_EACH - 5)
        ),
        events.StepCompleted(occurred_at=at, step_id=step, call_id=call, output={"answer": 42}),
        events.WorkflowCompleted(occurred_at=at, output={}),
    ]
    for nth, event in enumerate(history):
        yield event.model_copy(update={"execution_id": execution_id, "occurred_at": at + timedelta(seconds=nth)})
