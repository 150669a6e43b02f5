"""Judges a whole interchange file before anything of it is stored: which lines and which executions can't be imported.

An execution is imported whole or not at all: one faulty line puts all its lines of the file aside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events import TokensUpdated
from ledger_pipeline.events.fold import fold_all, initial
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.events.states import RULES
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.ingest.identity import content_event_id
from ledger_pipeline.ingest.jsonl_line import LedgerLine, event_row

_HEADS = "SELECT id, last_sequence, ended, pruned_at IS NOT NULL AS pruned FROM execution_heads WHERE id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Head:
    """What the ledger has of an execution that a file goes on with."""

    last_sequence: int
    ended: bool
    pruned: bool


@dataclass(slots=True)
class Course:
    """Where an execution stands after the lines read so far.

    `state` is folded while the file has the execution from its first event and it has not ended.
    """

    sequence: int
    head: Head | None = None
    state: ExecutionState | None = None
    ended: bool = False
    usage: set[str] = field(default_factory=set[str])


def read_heads(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, Head]:
    """The heads of those executions that the ledger has."""
    with translated(), conn.transaction():
        rows = conn.execute(_HEADS, (list(ids),)).fetchall()
    return {row["id"]: Head(row["last_sequence"], row["ended"], row["pruned"]) for row in rows}


class Courses:
    """Numbers the lines of each execution in file order and finds what breaks a rule.

    `faults` are reasons by line, `condemned` the first faulty line of an execution that is put aside whole.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._courses: dict[UUID, Course] = {}
        self.faults: dict[int, str] = {}
        self.condemned: dict[UUID, int] = {}

    def fault(self, number: int, execution_id: UUID | None, reason: str) -> None:
        """Notes a faulty line; its execution, where the line says which, is put aside."""
        self.faults[number] = reason
        if execution_id is not None:
            self.condemned.setdefault(execution_id, number)

    def judge(self, lines: Sequence[tuple[int, LedgerLine]]) -> None:
        """Judges further lines of the file, given with their numbers."""
        begun_elsewhere = {
            line.event.execution_id
            for _, line in lines
            if line.event.event_type != "WorkflowCreated" and line.event.execution_id not in self._courses
        }
        heads = read_heads(self._conn, (i for i in begun_elsewhere if i is not None)) if begun_elsewhere else {}
        to_fold: dict[UUID, list[tuple[int, Mapping[str, Any]]]] = {}
        for number, line in lines:
            execution_id = line.event.execution_id
            if execution_id is None or execution_id in self.condemned:
                continue
            try:
                course = self._courses.get(execution_id) or self._begin(line, heads.get(execution_id))
                self._courses[execution_id] = course
                row = numbered_row(line, course.sequence + 1)
                self._check(course, line)
            except InvalidInput as error:
                self.fault(number, execution_id, str(error))
                continue
            course.sequence += 1
            if course.state is not None:
                to_fold.setdefault(execution_id, []).append((number, row))
        for execution_id, rows in to_fold.items():
            self._fold(execution_id, self._courses[execution_id], rows)

    def _begin(self, line: LedgerLine, head: Head | None) -> Course:
        event = line.event
        if event.event_type == "WorkflowCreated":
            return Course(sequence=0, state=initial())
        if head is None:
            raise InvalidInput(
                f"execution_id: {event.execution_id} does not exist; its first event must be WorkflowCreated"
            )
        if event.sequence is None:
            raise InvalidInput(
                f"sequence: is missing; a line that goes on with an execution of the ledger gives it, the next is "
                f"{head.last_sequence + 1}"
            )
        return Course(sequence=min(event.sequence, head.last_sequence + 1) - 1, head=head, ended=head.ended)

    def _check(self, course: Course, line: LedgerLine) -> None:
        event = line.event
        expected = course.sequence + 1
        if event.sequence is not None and event.sequence != expected:
            raise InvalidInput(f"sequence: {event.sequence} was given, but the next of its execution is {expected}")
        if isinstance(event, TokensUpdated):
            if event.model_call_id in course.usage:
                raise InvalidInput(f"model_call_id: {event.model_call_id!r} has its usage already: one per model call")
            course.usage.add(event.model_call_id)
        if course.head is not None and expected <= course.head.last_sequence:
            return
        if course.head is not None and course.head.pruned:
            raise InvalidInput("execution_id: the execution was pruned and takes no event")
        if course.ended and not RULES[event.event_type].late_fact:
            raise InvalidInput(
                "the execution has ended: only late facts (TokensUpdated, ArtifactRecorded, LogRecorded) may follow"
            )

    def _fold(self, execution_id: UUID, course: Course, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        if execution_id in self.condemned or course.state is None:
            return
        state = fold_all(course.state, (row for _, row in rows))
        if state.problems:
            problem = state.problems[0]
            number = next(number for number, row in rows if row["sequence"] == problem.sequence)
            self.fault(number, execution_id, problem.what)
        course.ended = state.position.ended
        course.state = None if course.ended else state


def numbered_row(line: LedgerLine, sequence: int) -> dict[str, Any]:
    """The line's row with its place in the execution, and with an id of its content when it has none."""
    row = event_row(line.event, line.payload)
    row["sequence"] = sequence
    if row["event_id"] is None:
        content = row["execution_id"].bytes + sequence.to_bytes(8, "big") + line.digest
        row["event_id"] = content_event_id(row["occurred_at"], content)
    return row
