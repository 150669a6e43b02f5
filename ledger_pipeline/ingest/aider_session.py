"""What the lines of an Aider analytics log mean as events: one user's stretch from `launched` to `exit` an execution.

The log has no session id, so a user's lines are read in file order. `launched` opens an execution and ends the user's
open one as superseded. A line outside any stretch, or without a user, opens an implicit one with a synthetic start. An
execution that the file leaves open stays open: the grown file goes on with it.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid5

from ledger_pipeline.events import (
    Event,
    ExecutionAborted,
    LogRecorded,
    PlanStep,
    StepCompleted,
    StepDispatched,
    StepFailed,
    TokensUpdated,
    WorkflowCancelled,
    WorkflowCompleted,
    WorkflowCreated,
    WorkflowFailed,
    WorkflowStarted,
)
from ledger_pipeline.events.columns import UNIT_SEPARATOR
from ledger_pipeline.events.enums import LogLevel, OperatorKind
from ledger_pipeline.ingest.aider_line import AiderLine
from ledger_pipeline.ingest.identity import content_event_id

SOURCE = "aider"
WORKFLOW_NAME = "aider session"
MODE = "coding"
"""Known at the start, as a mode must be; Aider's edit format is only known with a message and stays in its metadata."""

NAMESPACE = uuid5(UUID(int=0), "ledger-pipeline/aider-analytics-log")
"""Of every id that this importer makes; changing it would import every log a second time."""

_CANCELLED = re.compile(r"control-c|interrupt", re.IGNORECASE)
_FAILED = re.compile(
    r"\b(unknown|invalid|unable|fail(ed|ure)?|error|\w+error|exception|missing|no|not)\b", re.IGNORECASE
)


Origin = Literal["line", "user", "system"]
"""Whose doing an event is: the line's own; or synthetic, implied by what the user did or this importer's reading."""


@dataclass(slots=True)
class Message:
    """A step that waits for its result."""

    step_id: UUID
    call_id: UUID

    def ids(self) -> dict[str, Any]:
        """What every event of the message names."""
        return {"step_id": self.step_id, "call_id": self.call_id}


@dataclass(slots=True)
class Session:
    """An open execution. `last_id` chains the event ids, so that one of them stands for everything before it."""

    execution_id: UUID
    user: str | None
    sequence: int = 0
    messages: int = 0
    open_message: Message | None = None
    last_id: bytes = b""


def _visible(value: Any) -> str:
    """A property as text for a column, which can't hold U+001F or nothing; the payload keeps it as received."""
    return str(value or "").replace(UNIT_SEPARATOR, "\N{SYMBOL FOR UNIT SEPARATOR}") or "(none given)"


class SessionReader:
    """Turns well-formed lines, given in file order, into events.

    Ids follow from content: an execution's from its user, its first line and how many times that same line has opened
    one; an event's from its execution, its line and everything before it. They depend neither on the file's name nor on
    what follows. Exactly one event of a line's events carries its number; the synthetic ones beside it carry none.
    """

    def __init__(self, source_file: str) -> None:
        self._source_file = source_file
        self._open: dict[str | None, Session] = {}
        self._openings: Counter[bytes] = Counter()

    def events(self, line: AiderLine) -> list[Event]:
        """The events of one line, of the superseded execution first."""
        events: list[Event] = []
        session = self._open.get(line.user)
        if line.name == "launched" and session is not None:
            self._emit(events, session, ExecutionAborted, line, {"reason": "superseded"}, "system")
            session = None
        if session is None:
            session = self._begin(events, line)
            if line.name == "launched" and line.user is not None:
                return events
        match line.name:
            case "message_send_starting":
                self._close_unanswered(events, session, line)
                self._dispatch(events, session, line, "line")
            case "message_send":
                self._message(events, session, line)
            case "message_send_exception":
                self._exception(events, session, line)
            case "exit":
                self._exit(events, session, line)
                del self._open[line.user]
            case _:
                level = LogLevel.WARNING if line.name == "model warning" else LogLevel.INFO
                self._log(events, session, line, level, line.name)
        return events

    def _begin(self, events: list[Event], line: AiderLine) -> Session:
        self._openings[line.digest] += 1
        name = f"{line.user or ''}\n{line.digest.hex()}\n{self._openings[line.digest]}"
        session = self._open[line.user] = Session(uuid5(NAMESPACE, name), line.user)
        launched = line.name == "launched" and line.user is not None
        fields = {
            "workflow_name": WORKFLOW_NAME,
            "mode": MODE,
            "triggered_by": line.user,
            "triggered_by_kind": OperatorKind.USER if line.user is not None else None,
            "metadata": line.details if launched else {"implicit": True},
        }
        self._emit(events, session, WorkflowCreated, line, fields, "line" if launched else "user")
        self._emit(events, session, WorkflowStarted, line, {}, "user")
        return session

    def _dispatch(self, events: list[Event], session: Session, line: AiderLine, origin: Origin) -> Message:
        number = session.messages
        session.messages += 1
        step_id = uuid5(session.execution_id, f"step {number}")
        message = session.open_message = Message(step_id, uuid5(session.execution_id, f"call {number}"))
        entry = PlanStep(step_id=step_id, path=str(number), step_order=number, step_name="message")
        fields = {**message.ids(), "plan_entry": entry}
        if origin == "line":
            fields["config"] = line.details
        self._emit(events, session, StepDispatched, line, fields, origin)
        return message

    def _message(self, events: list[Event], session: Session, line: AiderLine) -> None:
        call = line.call
        if call is None:
            raise TypeError(f"line {line.number}: a message_send without its usage")
        message = session.open_message or self._dispatch(events, session, line, "user")
        session.open_message = None
        recorded = {} if call.recorded_cost is None else {"recorded_cost": str(line.details["cost"])}
        fields = {
            **message.ids(),
            "model_call_id": str(message.call_id),
            "model": call.model,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "recorded_cost_usd": call.recorded_cost,
            "metadata": {**line.details, **recorded},
        }
        self._emit(events, session, TokensUpdated, line, fields)
        self._emit(events, session, StepCompleted, line, message.ids(), "user")

    def _exception(self, events: list[Event], session: Session, line: AiderLine) -> None:
        text = _visible(line.details.get("exception"))
        message, session.open_message = session.open_message, None
        if message is None:
            self._log(events, session, line, LogLevel.ERROR, text)
        else:
            fields = {**message.ids(), "error_message": text, "error_details": line.details}
            self._emit(events, session, StepFailed, line, fields)

    def _exit(self, events: list[Event], session: Session, line: AiderLine) -> None:
        reason = _visible(line.details.get("reason"))
        if _CANCELLED.search(reason):
            beyond = {name: value for name, value in line.details.items() if name != "reason"}
            if beyond:
                # A cancellation has no room for more than its reason, and nothing of a line may be lost.
                log = {"log_level": LogLevel.DEBUG, "message": line.name, "details": beyond}
                self._emit(events, session, LogRecorded, line, log, "user")
            self._emit(events, session, WorkflowCancelled, line, {"reason": reason})
        elif _FAILED.search(reason):
            fields = {"error_message": reason, "error_details": line.details}
            self._emit(events, session, WorkflowFailed, line, fields)
        else:
            self._close_unanswered(events, session, line)
            self._emit(events, session, WorkflowCompleted, line, {"output": line.details})

    def _close_unanswered(self, events: list[Event], session: Session, line: AiderLine) -> None:
        """Fails the message whose result the log never gave: a completion is refused while a call is open."""
        message, session.open_message = session.open_message, None
        if message is not None:
            error = {
                "error_code": "no_result",
                "error_message": f"the log has no result of this message before {line.name}",
            }
            self._emit(events, session, StepFailed, line, {**message.ids(), **error}, "system")

    def _log(self, events: list[Event], session: Session, line: AiderLine, level: LogLevel, message: str) -> None:
        self._emit(
            events, session, LogRecorded, line, {"log_level": level, "message": message, "details": line.details}
        )

    def _emit(
        self,
        events: list[Event],
        session: Session,
        event_class: type[Event],
        line: AiderLine,
        fields: Mapping[str, Any],
        origin: Origin = "line",
    ) -> None:
        """Adds an event at the line's time; only the line's own carries its number."""
        session.sequence += 1
        content = session.last_id + session.execution_id.bytes + event_class.event_type.encode() + line.digest
        event_id = content_event_id(line.at, content)
        session.last_id = event_id.bytes
        by_user = origin != "system" and session.user is not None
        by_nobody = OperatorKind.SYSTEM if origin == "system" else None
        events.append(
            event_class(
                event_id=event_id,
                execution_id=session.execution_id,
                sequence=session.sequence,
                occurred_at=line.at,
                operator_id=session.user if by_user else None,
                operator_kind=OperatorKind.USER if by_user else by_nobody,
                source=SOURCE,
                source_file=self._source_file,
                source_line=line.number if origin == "line" else None,
                **fields,
            )
        )
