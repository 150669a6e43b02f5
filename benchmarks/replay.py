"""Replay beside what `eventsourcing` reads, and the latest state of a long execution: `python -m benchmarks.replay`.

An execution of 10,000 events is replayed, folded from its first event, while `eventsourcing` only reads an aggregate
of as many events on the same server. Then the latest state of a long execution with snapshots beside that of a short
one of the same steps and context.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from benchmarks.append import NOW, empty_ledger
from benchmarks.databases import copy_of, database
from benchmarks.processes import PEERS, ROOT, Worker
from benchmarks.result import Result, print_table
from benchmarks.single import NO_PEERS, environment_of
from ledger_pipeline.events import (
    ContextUpdated,
    Event,
    LogRecorded,
    StepCompleted,
    StepDispatched,
    TokensUpdated,
    WorkflowCreated,
    WorkflowStarted,
)
from ledger_pipeline.events.catalogue import PlanStep
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.snapshots import take_snapshots

EVENTS, SHORT, LONG = 10_000, 1_000, 100_000
EVERY = 10
ROUNDS = 7
STEPS = 10


def execution(execution_id: UUID, events: int) -> Iterator[Event]:
    """Ten steps, and for the rest usage, notes and a context of ten members, over and over."""
    steps, call = [uuid4() for _ in range(STEPS)], uuid4()
    at = NOW - timedelta(days=1)
    plan = tuple(
        PlanStep(step_id=step, path=str(n), step_order=n, step_name=f"step {n}") for n, step in enumerate(steps)
    )
    yield WorkflowCreated(execution_id=execution_id, occurred_at=at, workflow_name="long", plan=plan)
    yield WorkflowStarted(execution_id=execution_id, occurred_at=at)
    yield StepDispatched(execution_id=execution_id, occurred_at=at, step_id=steps[0], call_id=call)
    for n in range(4, events):
        at += timedelta(milliseconds=10)
        match n % 3:
            case 0:
                yield TokensUpdated(
                    execution_id=execution_id,
                    occurred_at=at,
                    step_id=steps[0],
                    call_id=call,
                    model_call_id=str(n),
                    model="model",
                    input_tokens=1_000,
                    output_tokens=50,
                    cost_usd=Decimal("0.0042"),
                    pricing_status="priced",
                )
            case 1:
                yield ContextUpdated(execution_id=execution_id, occurred_at=at, patch={f"member {n % 10}": n})
            case _:
                message = f"note {n} of {execution_id}"
                yield LogRecorded(execution_id=execution_id, occurred_at=at, log_level="info", message=message)
    yield StepCompleted(execution_id=execution_id, occurred_at=at, step_id=steps[0], call_id=call, output={"n": 1})


def run(events: int = EVENTS, long: int = LONG) -> list[Result]:
    """The least of several rounds, each."""
    results: list[Result] = []
    with empty_ledger() as (server, template), tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder:
        peer = events / _peer(server, events) if PEERS.exists() else None
        with copy_of(server, template) as connection:
            ids = {count: uuid4() for count in (events, SHORT, long)}
            for count, execution_id in ids.items():
                append_many(connection, execution(execution_id, count), history=True)
            connection.execute("VACUUM (ANALYZE) workflow_events")
            rate = events / _seconds(connection, Path(folder), ids[events], events)
            if peer is None:
                print(NO_PEERS, file=sys.stderr)  # noqa: T201
            else:
                results.append(Result(f"eventsourcing reads {events:,}", peer, 1.0))
            ratio = 1.0 if peer is None else rate / peer
            results.append(Result(f"replay of {events:,}", rate, ratio, None if peer is None else 1.0))
            take_snapshots(connection, Path(folder), EVERY, datetime.now(UTC))
            short, latest = (_seconds(connection, Path(folder), ids[count], count) for count in (SHORT, long))
            results.append(Result(f"latest state of {SHORT:,}", 1 / short, 1.0))
            results.append(Result(f"latest state of {long:,}", 1 / latest, short / latest, 0.5))
    return results


def _seconds(connection: Connection, cold_dir: Path, execution_id: UUID, events: int) -> float:
    taken: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        state = replay(connection, cold_dir, execution_id)
        taken.append(time.perf_counter() - began)
        assert (state.last_sequence, state.problems) == (events, ())
    return min(taken)


def _peer(server: str, events: int) -> float:
    with database(server) as name:
        command = [PEERS, ROOT / "benchmarks" / "peer_eventsourcing.py", "read", str(events)]
        return Worker(command, environment_of(server, name, functions=False)).answer()["seconds"]


def main() -> None:
    """Prints the table."""
    print_table("replay", run(), "× baseline")


if __name__ == "__main__":
    main()
