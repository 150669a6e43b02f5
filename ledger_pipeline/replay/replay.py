"""Replay: the state of an execution as of any event or instant, from hot and cold events alike."""

from collections.abc import Callable
from datetime import datetime
from itertools import takewhile
from uuid import UUID

from ledger_pipeline.cold.reader import execution_events
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.draft import EventRow
from ledger_pipeline.events.fold import FOLD_COLUMNS, ExecutionState, fold_all, fold_columns, initial
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.snapshots import usable_snapshot
from ledger_pipeline.settings import ColdStore

AsOf = int | datetime


def _checked(instant: datetime, name: str) -> datetime:
    if instant.tzinfo is None:
        raise InvalidInput(f"{name}: {instant.isoformat()} has no time zone: give an offset such as +00:00")
    return instant


def _within(as_of: AsOf | None, known_at: datetime | None) -> Callable[[EventRow], bool] | None:
    """Whether an event belongs to the prefix by its times; None where all do. It ends at the first that doesn't."""
    until = _checked(as_of, "as_of") if isinstance(as_of, datetime) else None
    known = None if known_at is None else _checked(known_at, "known_at")
    if isinstance(as_of, int) and as_of < 0:
        raise InvalidInput(f"as_of: a sequence is 0 or more, got {as_of}")

    def belongs(row: EventRow) -> bool:
        return (until is None or row["occurred_at"] <= until) and (known is None or row["recorded_at"] <= known)

    return None if until is None and known is None else belongs


def replay(
    connection: Connection,
    cold_dir: ColdStore,
    execution_id: UUID,
    as_of: AsOf | None = None,
    known_at: datetime | None = None,
) -> ExecutionState:
    """The state after the longest prefix of events that `as_of` and `known_at` admit; all of them when left out.

    `as_of` is a sequence, or an instant that no event of the prefix occurred after; `known_at` an instant that none was
    recorded after. Raises NotFound for an unknown execution, and what `execution_events` raises for missing events.
    The connection must not be in a transaction, unless that is `open_read`'s.
    """
    belongs = _within(as_of, known_at)
    start = usable_snapshot(connection, execution_id, as_of) if _all_known(connection, execution_id, known_at) else None
    state = start or initial()
    also = () if known_at is None else ("recorded_at",)
    events = execution_events(
        connection,
        cold_dir,
        execution_id,
        state.last_sequence,
        as_of if isinstance(as_of, int) else None,
        columns=(*FOLD_COLUMNS, *also),
        of_type=lambda event_type: (*fold_columns(event_type), *also),
        ids_as_text=True,
    )
    return fold_all(state, events if belongs is None else takewhile(belongs, events))


def _all_known(connection: Connection, execution_id: UUID, known_at: datetime | None) -> bool:
    """Whether every event was recorded by then: a snapshot does not say when its own were."""
    if known_at is None:
        return True
    with translated():
        head = connection.execute(
            "SELECT last_recorded_at FROM execution_heads WHERE id = %s", (execution_id,)
        ).fetchone()
    return head is not None and head["last_recorded_at"] <= known_at
