"""One line of the ledger's own interchange format, read and written; `docs/interchange.md` describes it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import (
    CLIENT_COLUMNS,
    EVENT_COLUMNS,
    SERVER_COLUMNS,
    Event,
    EventRow,
    describe,
    event_class_of,
    make_event,
    payload_members,
    versions_of,
)
from ledger_pipeline.events.columns import USD_PLACES, ColumnKind
from ledger_pipeline.events.payload import parse_payload
from ledger_pipeline.events.upcasters import upcast
from ledger_pipeline.ingest.exact_json import decode_object, shown
from ledger_pipeline.ingest.lines import SourceLine


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A well-formed line: its event, the payload's text where the line gives one, and a digest of the line."""

    event: Event
    payload: str | None
    digest: bytes


@cache
def _columns(event_class: type[Event]) -> tuple[str, ...]:
    return tuple(name for name in CLIENT_COLUMNS if name in event_class.model_fields)


def parse_line(line: SourceLine, latest: datetime) -> LedgerLine:
    """The line's event; raises InvalidInput with the reason when it is malformed or later than `latest`."""
    text = line.text().strip()
    given = decode_object(text)
    fields = {
        name: value
        for name, value in given.items()
        if name not in SERVER_COLUMNS and not (value is None and name in EVENT_COLUMNS)
    }
    event_type = fields.pop("event_type", None)
    if not isinstance(event_type, str):
        raise InvalidInput(f"event_type: must be a text, not {shown(event_type)}")
    event_class = event_class_of(event_type, _version(fields, event_type))
    for name in ("execution_id", "occurred_at"):
        if not isinstance(fields.get(name), str):
            raise InvalidInput(f"{name}: must be a text, not {shown(fields.get(name))}")
    payload = fields.pop("payload", None)
    if payload is not None:
        fields |= _members(payload, event_class, fields)
    if event_class.version == event_class_of(event_type).version:
        event = make_event(event_type, fields)
    else:
        event, payload = _in_current_version(_validated(event_class, fields), payload)
    if event.occurred_at > latest:
        raise InvalidInput(
            f"occurred_at: {event.occurred_at.isoformat()} lies in the future; allowed until {latest.isoformat()}"
        )
    return LedgerLine(event, payload, hashlib.sha256(text.encode()).digest())


def _version(fields: Mapping[str, Any], event_type: str) -> int | None:
    """The version that a line gives; without one, or with one that is no number, the current class judges it."""
    version = fields.get("event_version")
    return version if isinstance(version, int) and version in versions_of(event_type) else None


def _validated(event_class: type[Event], fields: Mapping[str, Any]) -> Event:
    try:
        return event_class.model_validate(dict(fields))
    except ValidationError as error:
        raise InvalidInput(f"{event_class.event_type}, version {event_class.version}: {describe(error)}") from None


def _in_current_version(event: Event, payload: str | None) -> tuple[Event, str | None]:
    """An event of an old version as the current one, with the payload's text where the line gave one."""
    row = upcast({**dict.fromkeys(EVENT_COLUMNS), **event_row(event, payload), "event_version": event.event_version})
    fields = {name: row[name] for name in CLIENT_COLUMNS if name != "payload" and row[name] is not None}
    event_type: str = fields.pop("event_type")
    event_class = event_class_of(event_type)
    own = {name: value for name, value in fields.items() if name in event_class.model_fields}
    return make_event(event_type, own | parse_payload(row["payload"])), payload and row["payload"]


def _members(payload: Any, event_class: type[Event], fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(payload, str):
        raise InvalidInput(
            f"payload: must be a text that holds the JSON object, not {shown(payload)}; or leave it out and write its "
            "members beside the other fields"
        )
    try:
        members = parse_payload(payload)
    except ArithmeticError:
        raise InvalidInput("payload: a number beyond every bound") from None
    allowed = payload_members(event_class)
    foreign = sorted(members.keys() - allowed)
    if foreign:
        raise InvalidInput(
            f"payload: {', '.join(foreign)} is not a member of {event_class.event_type}'s payload; allowed: "
            + (", ".join(sorted(allowed)) or "none")
        )
    twice = sorted(members.keys() & fields.keys())
    if twice:
        raise InvalidInput(f"payload: {', '.join(twice)} is given beside the payload too: give it once")
    return members


def execution_of(line: SourceLine) -> UUID | None:
    """The execution that a malformed line names, when it can be made out."""
    try:
        return UUID(str(decode_object(line.text().strip()).get("execution_id")))
    except (InvalidInput, ValueError):
        return None


def event_row(event: Event, payload: str | None) -> EventRow:
    """The event as a row with the payload's text as received, or made when the line gave its members."""
    if payload is None:
        return event.to_row()
    row = EventRow({name: getattr(event, name) for name in _columns(type(event))})
    row["event_type"] = event.event_type
    row["payload"] = payload
    return row


def _timestamp(value: datetime) -> str:
    return f'"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")}Z"'


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


FRAGMENTS: dict[ColumnKind, Callable[[Any], str]] = {
    ColumnKind.UUID: lambda value: f'"{value}"',
    ColumnKind.TEXT: _text,
    ColumnKind.INTEGER: str,
    ColumnKind.BIGINT: str,
    ColumnKind.BOOLEAN: lambda value: "true" if value else "false",
    ColumnKind.TIMESTAMP: _timestamp,
    ColumnKind.DATE: lambda value: f'"{value.isoformat()}"',
    ColumnKind.USD: lambda value: f'"{value.quantize(USD_PLACES):f}"',
    ColumnKind.JSON: _text,
    ColumnKind.BYTES: lambda value: f'"{bytes(value).hex()}"',
}
"""How a value that is not NULL is written; money as text, so that no reader makes it a float."""


def format_row(row: Mapping[str, Any]) -> bytes:
    """The line of an event row, its ending included; columns that are NULL are left out."""
    members = [
        f'"{name}":{FRAGMENTS[kind](row[name])}' for name, kind in EVENT_COLUMNS.items() if row.get(name) is not None
    ]
    return f"{{{','.join(members)}}}\n".encode()
