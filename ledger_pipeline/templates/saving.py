"""Saves a definition: a new version of its template, in one transaction."""

from collections import defaultdict
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from ledger_pipeline.errors import Fault, InvalidDefinition, InvalidInput, NotFound, VersionConflict
from ledger_pipeline.events.enums import ChangeType, StepType, TemplateStatus
from ledger_pipeline.events.payload import dump_payload
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.templates.changes import breaking_changes, next_tag
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.links import link_faults
from ledger_pipeline.templates.positions import member, positions
from ledger_pipeline.templates.reading import Document, Reading, read_definition
from ledger_pipeline.templates.statements import read_sql, rows
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

    Where they are left out, the drive and who saves are those that the document notes, by id or name. Raises
    InvalidDefinition with every fault, VersionConflict when the template's version is not `expected_version` (0: it
    must be new) or the tag is taken, NotFound for an unknown `template_id`, InvalidInput for an unknown drive or user.
    """
    reading = read_definition(document)
    definition = reading.definition
    with connection.transaction(), translated():
        drive_id, created_by, noted = _place(
            connection, definition, drive_id, created_by, known=template_id is not None
        )
        rows(connection, "lock_drive", {"drive_id": drive_id})
        parameters = {"template_id": template_id, "drive_id": drive_id, "name": definition.name}
        current = next(iter(rows(connection, "current", parameters)), None)
        if template_id is not None and current is None:
            raise NotFound(f"template {template_id} does not exist")
        number = _number_after(current, expected_version, definition.name)
        if current is not None:
            drive_id = current["drive_id"]
        warnings = (*noted, *_check_links(connection, reading, drive_id, current))
        change = _change(change_type, number)
        breaking = breaking_changes(stored_definition(current["snapshot"]), definition) if current else ()
        version = _row(definition) | {
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
    connection: Connection, definition: Definition, drive_id: UUID | None, created_by: UUID | None, *, known: bool
) -> tuple[UUID | None, UUID | None, tuple[Fault, ...]]:
    """The ids of the drive and of who saves; what the call doesn't say is looked for in the document.

    A drive decides who sees the template, so one that isn't known is refused; an author who isn't known stays a note.
    """
    drive = str(drive_id) if drive_id else (None if known else definition.drive_id)
    creator = str(created_by) if created_by else definition.created_by
    (found,) = rows(connection, "place", {"drive": drive, "creator": creator})
    if created_by is None and len(found["creators"]) != 1:
        unknown = Fault("created_by", f"{creator!r} is no user of this ledger: the template has no creator")
        return _only("drive_id", drive, found["drives"]), None, (unknown,) if creator else ()
    return _only("drive_id", drive, found["drives"]), _only("created_by", creator, found["creators"]), ()


def _only(field: str, given: str | None, found: list[UUID]) -> UUID | None:
    if given is not None and len(found) != 1:
        what = "is not known" if not found else "is the name of several"
        raise InvalidInput(f"{field}: {given!r} {what}; allowed: the id of one that you may see")
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


def _row(definition: Definition) -> dict[str, Any]:
    fields = ("name", "title", "description", "category", "timeout_minutes", "max_retries", "is_public")
    return {field: getattr(definition, field) for field in fields} | {
        "tags": list(definition.tags),
        "parameters": Jsonb(definition.parameters, dumps=_dumps),
        "outputs": Jsonb(definition.outputs, dumps=_dumps),
    }


def _dumps(value: Any) -> str:
    # Only objects have a text; the value is one member of it.
    return dump_payload({"": value})[len('{"":') : -1]


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
    steps: list[dict[str, Any]] = []
    for position in positions(definition):
        fields = ("title", "agent_id", "prompt_template", "tool_name", "requires_user_input", "input_schema")
        steps.append(
            {field: member(position.step, field) for field in fields}
            | {
                "id": kept.get(position.path),
                "path": position.path,
                "step_order": position.order,
                "name": position.name,
                "type": StepType(position.type),
                "config": position.step.model_dump(exclude_unset=True, exclude={"metadata"}),
                "metadata": position.step.metadata,
            }
        )
    connection.execute(read_sql("delete_steps"), {"template_id": template_id, "kept": list(kept.values())})
    if steps:
        parameters = {"template_id": template_id, "number": number, "steps": Jsonb(steps, dumps=_dumps)}
        connection.execute(read_sql("store_steps"), parameters)
