"""Saves a definition: a new version of its template, in one transaction."""

from collections import defaultdict
from typing import Any
from uuid import UUID

import psycopg

from ledger_pipeline.errors import Fault, InvalidDefinition, InvalidInput, InvalidReference, NotFound, VersionConflict
from ledger_pipeline.events.enums import ChangeType, TemplateStatus
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.templates.changes import breaking_changes, next_tag
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.links import link_faults
from ledger_pipeline.templates.reading import Document, Reading, read_definition
from ledger_pipeline.templates.statements import read_sql, rows
from ledger_pipeline.templates.stored_rows import step_rows, template_row
from ledger_pipeline.templates.template import Saved, kept_steps, stored_definition


def save(
    connection: Connection,
    document: Document,
    *,
    drive_id: UUID | None = None,
    created_by: UUID | None = None,
    template_id: UUID | None = None,
    expected_version: int | None = None,
    change_type: ChangeType | None = None,
    change_summary: str | None = None,
) -> Saved:
    """Saves a definition as the next version of the drive's template of that name, or of `template_id`.

    Where they are left out, the drive is the one that the document notes, by id or name, and who saves is the user for
    whom the session acts, or else the one that the document notes. Raises InvalidDefinition with every fault,
    VersionConflict when the template's version is not `expected_version` (0: it must be new) or the tag is taken,
    NotFound for an unknown `template_id`, InvalidReference for an unknown drive or user.
    """
    reading = read_definition(document)
    definition = reading.definition
    with connection.transaction(), translated():
        drive_id, created_by, noted = _place(connection, definition, drive_id, created_by, template_id)
        rows(connection, "lock_drive", {"drive_id": drive_id})
        parameters = {"template_id": template_id, "drive_id": drive_id, "name": definition.name}
        current = next(iter(rows(connection, "current", parameters)), None)
        if template_id is not None and current is None:
            raise NotFound(f"template {template_id} does not exist")
        number = _number_after(current, expected_version, definition.name)
        warnings = (*noted, *_check_links(connection, reading, drive_id, current))
        change = _change(change_type, number)
        breaking = breaking_changes(stored_definition(current["snapshot"]), definition) if current else ()
        version: dict[str, Any] = template_row(definition) | {
            "drive_id": drive_id,
            "created_by": created_by,
            "changed_by": created_by,
            "template_id": current["id"] if current else None,
            "number": number,
            "version": _tag(definition, current, number, change, breaking=bool(breaking)),
            "status": definition.status or (current["status"] if current else TemplateStatus.ACTIVE),
            "snapshot": reading.text,
            "change_summary": change_summary,
            "change_type": change,
            "breaking": bool(breaking),
        }
        version["template_id"] = saved_id = _store_template(connection, version, created=current is None)
        connection.execute(read_sql("insert_version"), version)
        _store_steps(connection, definition, saved_id, number, current["steps"] if current else [])
    return Saved(
        template_id=saved_id,
        name=definition.name,
        version_number=number,
        version_tag=version["version"],
        status=TemplateStatus(version["status"]),
        created=current is None,
        breaking=breaking,
        warnings=warnings,
    )


def _place(
    connection: Connection,
    definition: Definition,
    drive_id: UUID | None,
    created_by: UUID | None,
    template_id: UUID | None,
) -> tuple[UUID | None, UUID | None, tuple[Fault, ...]]:
    """The ids of the drive and of who saves; what the call doesn't say is looked for in the document.

    A drive decides who sees the template, so one that isn't known is refused; an author who isn't known stays a note.
    """
    drive = None if template_id else str(drive_id) if drive_id else definition.drive_id
    creator, noted = str(created_by) if created_by else None, definition.created_by
    parameters = {"drive": drive, "creator": creator, "noted": noted, "template_id": template_id}
    (found,) = rows(connection, "place", parameters)
    place = _only("drive_id", drive, found["drives"])
    if noted is not None and creator is None and len(found["creators"]) != 1:
        return place, None, (Fault("created_by", f"{noted!r} is no user of this ledger: nobody is its creator"),)
    return place, _only("created_by", creator, found["creators"]), ()


def _only(field: str, given: str | None, found: list[UUID]) -> UUID | None:
    if given is not None and len(found) != 1:
        what = "is not known" if not found else "is the name of several"
        raise InvalidReference(f"{field}: {given!r} {what}; allowed: the id of one that you may see")
    return found[0] if found else None


def _number_after(current: dict[str, Any] | None, expected: int | None, name: str) -> int:
    number: int = current["current_version"] if current else 0
    if expected is not None and expected != number:
        stands = f"is at version {number}" if current else "is not saved yet"
        raise VersionConflict(f"expected_version: {name} {stands}, not at {expected}: read it again, then save")
    return number + 1


def _check_links(
    connection: Connection, reading: Reading, drive_id: UUID | None, current: dict[str, Any] | None
) -> tuple[Fault, ...]:
    links: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows(connection, "links", {"drive_id": drive_id}):
        links[row["name"]] |= {row["linked"]} - {None}
    # What it linked to until now no longer counts; under another name it is another workflow.
    for name in {reading.definition.name, current["name"] if current else reading.definition.name}:
        links.pop(name, None)
    faults, warnings = link_faults(reading.definition, links)
    if faults:
        raise InvalidDefinition(faults)
    return (*reading.warnings, *warnings)


def _change(given: ChangeType | None, number: int) -> ChangeType:
    if number == 1:
        return ChangeType.CREATE
    if given is ChangeType.CREATE:
        raise InvalidInput("change_type: create is the first version's; allowed: update, major, minor, patch")
    return given or ChangeType.UPDATE


def _tag(
    definition: Definition, current: dict[str, Any] | None, number: int, change: ChangeType, breaking: bool
) -> str:
    taken = current["tags"] if current else []
    if definition.version in taken:
        raise VersionConflict(
            f"version: the tag {definition.version!r} is taken by an earlier version of {definition.name}: "
            "give another, or none"
        )
    return definition.version or next_tag(
        current["version"] if current else None, number, change, taken, breaking=breaking
    )


def _store_template(connection: Connection, version: dict[str, Any], *, created: bool) -> UUID:
    try:
        (stored,) = rows(connection, "insert_template" if created else "update_template", version)
    except psycopg.errors.UniqueViolation:
        raise VersionConflict(f"name: {version['name']!r} is taken by another template of the drive") from None
    return stored["id"]


def _store_steps(
    connection: Connection, definition: Definition, template_id: UUID, number: int, stored: list[Any]
) -> None:
    kept = kept_steps(definition, stored)
    parameters = {
        "template_id": template_id,
        "number": number,
        "kept": list(kept.values()),
        "steps": step_rows(definition, kept),
    }
    connection.execute(read_sql("delete_steps"), parameters)
    connection.execute(read_sql("store_steps"), parameters)
