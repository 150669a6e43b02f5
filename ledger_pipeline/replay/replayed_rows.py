"""The rows that executions' events give, batch by batch, from hot and cold events alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import NotFound
from ledger_pipeline.events.fold import FOLD_COLUMNS, ExecutionState, fold_all, initial
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.many_events import Stretch, events_of
from ledger_pipeline.replay.projection_tables import TABLES
from ledger_pipeline.settings import ColdStore

_COLUMNS = (*FOLD_COLUMNS, "log_level", "message", "step_name", "model_call_id", "hash", "week", "recorded_at")
_PAGE_EXECUTIONS = 2_000
_PAGE_EVENTS = 20_000
_ALL = 2**63 - 1

_PAGE = """
SELECT id, last_sequence, first_week, last_week
FROM execution_heads
WHERE pruned_at IS NULL
    AND NOT EXISTS (SELECT FROM removed_segments s WHERE s.execution_id = execution_heads.id)
    AND (%(week)s::date IS NULL OR (last_week, id) > (%(week)s::date, %(id)s::uuid))
    AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s))
ORDER BY last_week, id
LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Head:
    """What a page of executions is read by."""

    id: UUID
    last_sequence: int
    first_week: date
    last_week: date


class Replayed:
    """What the events of a batch of executions give: rows by table, and how far each execution's events go."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
        self.states: dict[UUID, ExecutionState] = {}

    def add(self, events: Iterator[dict[str, Any]]) -> None:
        """Folds all events of one execution."""
        logs: list[dict[str, Any]] = []
        usages: list[str] = []
        weeks: set[date] = set()
        last: dict[str, Any] = {}

        def watched() -> Iterator[dict[str, Any]]:
            nonlocal last
            for row in events:
                if row["event_type"] == "LogRecorded":
                    logs.append(row)
                elif row["event_type"] == "TokensUpdated":
                    usages.append(row["model_call_id"])
                weeks.add(row["week"])
                last = row
                yield row

        state = fold_all(initial(), watched())
        execution_id = UUID(last["execution_id"])
        self.states[execution_id] = state
        for name, rows in state_as_rows(state, logs).items():
            self.rows[name] += rows
        self.rows["usage_keys"] += [{"execution_id": execution_id, "model_call_id": usage} for usage in usages]
        self.rows["execution_heads"].append(
            {
                "id": execution_id,
                "execution_kind": state.execution_kind,
                "state": state.position,
                "last_sequence": state.last_sequence,
                "head_hash": f"\\x{last['hash'].hex()}",
                "first_week": min(weeks),
                "last_week": max(weeks),
                "last_recorded_at": last["recorded_at"],
                "open_calls": state.open_calls,
                "ended": state.position.ended,
            }
        )


def page_of_heads(connection: Connection, after: Head | None, execution_ids: Sequence[UUID] | None) -> list[Head]:
    """The next executions that are not pruned, as many as make a batch; all that were named, when some were."""
    rows = connection.execute(
        _PAGE,
        {
            "week": after and after.last_week,
            "id": after and after.id,
            "ids": None if execution_ids is None else list(execution_ids),
            "limit": _PAGE_EXECUTIONS,
        },
    ).fetchall()
    page: list[Head] = []
    events = 0
    for row in rows:
        page.append(Head(**row))
        events += row["last_sequence"]
        if events >= _PAGE_EVENTS:
            break
    return page


def check_known(connection: Connection, execution_ids: Sequence[UUID] | None) -> None:
    """Raises NotFound for an execution that doesn't exist."""
    for execution_id in execution_ids or ():
        if not connection.execute("SELECT FROM execution_heads WHERE id = %s", (execution_id,)).rowcount:
            raise NotFound(f"execution {execution_id} does not exist")


def replay_page(connection: Connection, cold_dir: ColdStore, page: Sequence[Head]) -> Replayed:
    """The rows of a page of executions; inside a read of hot and cold (`cold.reader.open_read`)."""
    # Up to whatever is there, not to the head's last sequence: the head is among what is proven.
    stretches = [Stretch(head.id, 0, _ALL, head.first_week, head.last_week) for head in page]
    replayed = Replayed()
    for _, events in groupby(events_of(connection, cold_dir, stretches, _COLUMNS), key=lambda row: row["execution_id"]):
        replayed.add(events)
    return replayed
