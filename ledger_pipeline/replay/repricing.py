"""A re-pricing run on a ledger, hot and cold: one at a time where it is applied.

A run that broke off keeps the corrections that it stored. The next one aborts it before it looks for what is left: from
then on the ledger takes no correction of it, also from a process that is not as dead as it seems.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from ledger_pipeline.arguments import text_of
from ledger_pipeline.cold.reader import scan_events
from ledger_pipeline.cold.sessions import sole
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import ExecutionAborted
from ledger_pipeline.events.columns import ALLOWED_AHEAD, week_of
from ledger_pipeline.events.enums import OperatorKind
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.repricing import Findings, RepricedLine, Run, Selection, finding
from ledger_pipeline.settings import ColdStore

REPRICING_LOCK = 2010


@dataclass(frozen=True)
class Repriced:
    """What a run found, and the execution that holds its corrections (None: nothing was applied, or to apply)."""

    lines: tuple[RepricedLine, ...]
    execution_id: UUID | None = None


def reprice(
    connection: Connection,
    another: Callable[[], Connection],
    cold_dir: ColdStore,
    selection: Selection,
    now: datetime,
    *,
    apply: bool,
    reason: str | None,
    operator: str | None,
) -> Repriced:
    """Compares and, where it is applied, stores the corrections; `another` opens a session for what is read.

    Raises Held while another run is being applied.
    """
    for name, time in (("from", selection.start), ("to", selection.end)):
        if time is not None and time.tzinfo is None:
            raise InvalidInput(f"{name}: {time.isoformat()} has no time zone: give an offset such as +00:00")
    if selection.start and selection.end and selection.start >= selection.end:
        raise InvalidInput(f"to: {selection.end.isoformat()} is not after from, {selection.start.isoformat()}")
    if not apply:
        with _found(another, cold_dir, selection) as findings:
            return Repriced(findings.lines)
    reason, operator = text_of("reason", reason), text_of("operator", operator)
    with sole(connection, REPRICING_LOCK, "re-pricing is being applied by"):
        _abort_what_broke_off(connection, operator, now)
        with _found(another, cold_dir, selection) as findings:
            if not findings.corrections:
                return Repriced(findings.lines)
            run = Run(uuid4(), selection, reason=reason, operator=operator, now=now)
            # Stored by itself, so that whoever comes after a crash sees that there was a run.
            append(connection, run.execution_id, run.beginning())
            append_many(connection, run.corrections(findings))
            return Repriced(findings.lines, run.execution_id)


def _abort_what_broke_off(connection: Connection, operator: str, now: datetime) -> None:
    """Ends the runs that nobody carries on; whoever calls holds the lock of the one that may be under way."""
    broken_off = connection.execute(
        "SELECT id FROM workflow_executions WHERE status = 'running' AND execution_kind = 'repricing'"
    ).fetchall()
    for run in broken_off:
        aborted = ExecutionAborted(
            occurred_at=now,
            operator_id=operator,
            operator_kind=OperatorKind.USER,
            reason="broke off: the corrections that it stored hold, the others are left to the next run",
        )
        append(connection, run["id"], [aborted])


@contextmanager
def _found(another: Callable[[], Connection], cold_dir: ColdStore, selection: Selection) -> Generator[Findings]:
    from_week = None if selection.start is None else week_of(selection.start - ALLOWED_AHEAD)
    with another() as reading:
        book = load_book(reading)
        # Corrections last: one that is added meanwhile, where nothing is applied, belongs to a call that was read.
        calls = scan_events(reading, cold_dir, event_types={"TokensUpdated"}, from_week=from_week, but_removed=True)
        corrections = scan_events(
            reading, cold_dir, event_types={"CostRecalculated"}, from_week=from_week, but_removed=True
        )
        with finding(book, calls, corrections, selection) as findings:
            yield findings
