"""Hand-made Aider analytics logs for the tests of its importer."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger_pipeline.events import Event
from ledger_pipeline.ingest.aider import read_aider
from ledger_pipeline.ingest.lines import SourceLine

LATEST = datetime(2030, 1, 1, tzinfo=UTC)
NOON = 1_730_000_000


def line(event: str, user: str | None = "ada", time: float = NOON, **properties: Any) -> str:
    """One line as Aider writes it."""
    return json.dumps({"event": event, "properties": properties, "user_id": user, "time": time})


def send(user: str | None = "ada", time: float = NOON, **properties: Any) -> str:
    """A model call with the properties that it always has."""
    usage = {"main_model": "gpt-4o", "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "cost": 0.0005}
    return line("message_send", user, time, **(usage | properties))


def source_lines(lines: Iterable[str]) -> list[SourceLine]:
    """The lines as read from a file."""
    return [SourceLine(number, f"{text}\n".encode()) for number, text in enumerate(lines, 1)]


def events_of(lines: Iterable[str], source_file: str = "log.jsonl") -> list[Event]:
    """The events of well-formed lines."""

    def refuse(source: SourceLine, reason: str) -> None:
        raise AssertionError(f"line {source.number}: {reason}")

    return [e for of_line in read_aider(source_lines(lines), source_file, LATEST, refuse) for e in of_line]


def rejects_of(lines: Iterable[str]) -> dict[int, str]:
    """The reasons of the lines that are put aside, by line number."""
    reasons: dict[int, str] = {}

    def note(source: SourceLine, reason: str) -> None:
        reasons[source.number] = reason

    list(read_aider(source_lines(lines), "log.jsonl", LATEST, note))
    return reasons


def written(path: Path, lines: Iterable[str]) -> Path:
    """A log file of these lines."""
    path.write_text("".join(f"{text}\n" for text in lines))
    return path


def by_execution(events: Iterable[Event]) -> list[list[Event]]:
    """The events of each execution, executions in the order of their first events."""
    executions: dict[Any, list[Event]] = {}
    for event in events:
        executions.setdefault(event.execution_id, []).append(event)
    return list(executions.values())


def shape(events: Iterable[Event]) -> list[str]:
    """The events' types with their line, in order: `LogRecorded:3`, or without a number when synthetic."""
    return [e.event_type + (f":{e.source_line}" if e.source_line else "") for e in events]
