"""The log of one execution; of a pruned one, as its events have it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger_pipeline.cold.reader import execution_events
from ledger_pipeline.events.fold import parse_json
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import ColdStore

Json = Any


@dataclass(frozen=True)
class LogEntry:
    """What was logged, with the sequence of its event and the step that it is about, if any."""

    sequence: int
    timestamp: datetime
    level: str
    step_index: int | None
    step_name: str | None
    message: str
    details: Json


def replayed_log(
    connection: Connection, cold_dir: ColdStore, execution_id: UUID, steps: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The rows that the execution's log had, from its events and the replayed rows of its steps."""
    orders = {step["id"]: step["step_order"] for step in steps}
    return [
        {
            "sequence": event["sequence"],
            "timestamp": event["occurred_at"],
            "level": event["log_level"],
            "step_index": orders.get(event["step_id"]),
            "step_name": event["step_name"],
            "message": event["message"],
            "details": parse_json(event["payload"]).get("details") or {},
        }
        for event in execution_events(connection, cold_dir, execution_id)
        if event["event_type"] == "LogRecorded"
    ]
