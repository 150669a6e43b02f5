"""Executions of the past for the tests of the cold store."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger_pipeline.events.catalogue import Event, make_event
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection

MONDAY = date(2025, 1, 6)
NOW = datetime(2025, 6, 2, tzinfo=UTC)


def history(executions: int, weeks: int = 3, seed: int = 1) -> Iterator[Event]:
    """Executions of 9 events each, that begin in the first week and go on through all of them."""
    generator = random.Random(seed)
    for nth in range(executions):
        yield from execution(UUID(int=generator.getrandbits(128), version=4), nth, weeks, generator)


def execution(execution_id: UUID, nth: int, weeks: int, generator: random.Random) -> Iterator[Event]:
    """One execution with two steps; its text has what is hard to keep: quotes, line breaks, letters beyond ASCII."""
    steps = [UUID(int=generator.getrandbits(128), version=4) for _ in range(2)]
    plan = [
        {"step_id": step, "path": str(i), "step_order": i, "step_name": f"step {i}"} for i, step in enumerate(steps)
    ]
    fields: list[tuple[str, dict[str, Any]]] = [
        (
            "WorkflowCreated",
            {"workflow_name": f"flow {nth % 3}", "plan": plan, "parameters": {"text": 'a "b"\n\t\\ é 漢 🙂'}},
        ),
        ("WorkflowStarted", {}),
    ]
    for step in steps:
        call = UUID(int=generator.getrandbits(128), version=4)
        usage = {
            "model_call_id": str(call),
            "model": "model-a",
            "input_tokens": generator.randrange(10_000),
            "cost_usd": Decimal(generator.randrange(10**9)).scaleb(-9),
            "pricing_status": "priced",
        }
        fields += [
            ("StepDispatched", {"step_id": step, "call_id": call, "input": {"n": nth}}),
            ("TokensUpdated", {"step_id": step, "call_id": call, **usage}),
            ("StepCompleted", {"step_id": step, "call_id": call, "output": {"big": 1e22, "nothing": None}}),
        ]
    fields.append(("WorkflowCompleted", {}))
    start = datetime.combine(MONDAY, datetime.min.time(), UTC) + timedelta(minutes=generator.randrange(1000))
    stride = timedelta(weeks=weeks - 1) / (len(fields) - 1)
    for place, (name, own) in enumerate(fields):
        yield make_event(name, {"execution_id": execution_id, "occurred_at": start + place * stride, **own})


def fill(connection: Connection, executions: int = 20, weeks: int = 3, seed: int = 1, batch_size: int = 50_000) -> int:
    """Appends the history; answers how many events it has."""
    return append_many(connection, history(executions, weeks, seed), history=True, batch_size=batch_size)


def hot_events(connection: Connection) -> set[tuple[UUID, int]]:
    """Execution and sequence of every hot event."""
    rows = connection.execute("SELECT execution_id, sequence FROM workflow_events").fetchall()
    return {(row["execution_id"], row["sequence"]) for row in rows}
