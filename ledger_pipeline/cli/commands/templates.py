"""`templates`: workflow definitions and their versions."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_table, plain, say
from ledger_pipeline.cli.parameters import example, json_option
from ledger_pipeline.events.enums import ChangeType, TemplateStatus

_drive_option = click.option("--drive", "drive_id", type=click.UUID, metavar="ID", help="In this drive.")
_file = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
_STATUSES = [status.value for status in TemplateStatus]
_CHANGES = [change.value for change in ChangeType if change is not ChangeType.CREATE]
_template = click.argument("template", metavar="NAME|ID")


@click.group(epilog=example("ledger-pipeline templates save vm_deployment.json"))
def templates() -> None:
    """Workflow definitions: checked when they are saved, kept in versions (docs/workflows.md)."""


@templates.command(epilog=example("ledger-pipeline templates check vm_deployment.json"))
@_file
@json_option
def check(file: Path, as_json: bool) -> int:
    """Say what is wrong with a definition, and what is doubtful, without saving it; exit 1 when it can't be saved."""
    from ledger_pipeline.errors import InvalidDefinition
    from ledger_pipeline.templates import read_definition

    try:
        faults, warnings = (), read_definition(file.read_bytes()).warnings
    except InvalidDefinition as error:
        faults, warnings = error.faults, ()
    if as_json:
        echo_json({"ok": not faults, "faults": faults, "warnings": warnings})
    else:
        for fault in faults:
            click.echo(fault)
        for warning in warnings:
            click.echo(f"warning: {warning}")
    return 1 if faults else 0


@templates.command(epilog=example("ledger-pipeline templates save vm_deployment.json --summary 'Back up by default'"))
@_file
@_drive_option
@click.option("--by", "created_by", type=click.UUID, metavar="ID", help="The user who saves.")
@click.option("--expect", type=click.IntRange(0), metavar="N", help="Refuse unless N is the current version; 0: none.")
@click.option("--change", type=click.Choice(_CHANGES), help="What kind.")
@click.option("--summary", metavar="TEXT", help="What changed.")
@json_option
def save(
    file: Path,
    drive_id: UUID | None,
    created_by: UUID | None,
    expect: int | None,
    change: str | None,
    summary: str | None,
    as_json: bool,
) -> None:
    """Save the definition in a JSON file as the next version of its template; every fault is named, or none is left."""
    from ledger_pipeline.ledger import Ledger

    document = file.read_bytes()
    with Ledger.open() as ledger:
        saved = ledger.templates.save(
            document,
            drive_id=drive_id,
            created_by=created_by,
            expected_version=expect,
            change_type=ChangeType(change) if change else None,
            change_summary=summary,
        )
    if as_json:
        echo_json(saved)
        return
    for warning in saved.warnings:
        say(f"warning: {warning}")
    click.echo(f"{saved.name} {saved.version_tag} (version {saved.version_number}, {saved.status}) {saved.template_id}")
    for what in saved.breaking:
        click.echo(f"breaking: {what}")


@templates.command("list", epilog=example("ledger-pipeline templates list --status active --tag security"))
@_drive_option
@click.option("--creator", "created_by", type=click.UUID, metavar="ID", help="Made by this user.")
@click.option("--category", metavar="C", help="Of this category.")
@click.option("--status", type=click.Choice(_STATUSES), help="Of this status.")
@click.option("--public/--private", "is_public", default=None, help="Public to the drive, or private.")
@click.option("--tag", metavar="T", help="With this tag.")
@click.option("--name", metavar="N", help="Of this name.")
@click.option("--page-size", type=int, default=50, show_default=True, metavar="N", help="How many at once.")
@click.option("--cursor", metavar="C", help="The page behind this next_cursor.")
@json_option
def list_templates(page_size: int, cursor: str | None, as_json: bool, **filters: Any) -> None:
    """List templates with their creators and steps, the newest first."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        page = ledger.templates.list(page_size=page_size, cursor=cursor, **filters)
    if as_json:
        echo_json(page)
        return
    columns = ("id", "name", "version", "status", "category", "tags")
    echo_table(
        (*columns, "steps", "creator"),
        [
            (*(row[column] for column in columns), len(row["steps"]), (row["creator"] or {}).get("name"))
            for row in page.items
        ],
        right=("steps",),
    )
    if page.next_cursor:
        say(f"more: --cursor {page.next_cursor}")


@templates.command(epilog=example("ledger-pipeline templates show vm_deployment --version 1"))
@_template
@_drive_option
@click.option("--version", metavar="N|TAG", help="At this version, by number or tag; default: the current one.")
@json_option
def show(template: str, drive_id: UUID | None, version: str | None, as_json: bool) -> None:
    """Print a definition as it was saved, to the letter; with --json, in an object with what else is known."""
    from ledger_pipeline.ledger import Ledger

    number = int(version) if version is not None and version.isascii() and version.isdigit() else version
    with Ledger.open() as ledger:
        found = ledger.templates.get(template, drive_id=drive_id, version=number)
    if as_json:
        fields = {name: value for name, value in vars(found).items() if name not in ("definition", "text")}
        # Numbers as they are written: read as floats they would change.
        known = json.dumps(plain(fields), ensure_ascii=False, indent=2)
        click.echo(f'{known[:-2]},\n  "document": {found.text}\n}}'.encode())
    else:
        click.echo(found.text.encode())


@templates.command(epilog=example("ledger-pipeline templates versions vm_deployment"))
@_template
@_drive_option
@json_option
def versions(template: str, drive_id: UUID | None, as_json: bool) -> None:
    """List a template's versions, the newest first."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        rows = ledger.templates.versions(ledger.templates.get(template, drive_id=drive_id).id)
    if as_json:
        echo_json(rows)
    else:
        columns = ("version_number", "version_tag", "change_type", "breaking_changes", "created_at", "change_summary")
        echo_table(columns, [[row[column] for column in columns] for row in rows], right=("version_number",))


@templates.command("status", epilog=example("ledger-pipeline templates status vm_deployment deprecated"))
@_template
@click.argument("status", type=click.Choice(_STATUSES))
@_drive_option
def set_status(template: str, status: str, drive_id: UUID | None) -> None:
    """Move a template through its life; only active and, with a warning, deprecated ones run."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        ledger.templates.set_status(ledger.templates.get(template, drive_id=drive_id).id, TemplateStatus(status))
    click.echo(f"{template} is {status}")


@templates.command(epilog=example("ledger-pipeline templates delete vm_deployment"))
@_template
@_drive_option
def delete(template: str, drive_id: UUID | None) -> None:
    """Delete a template with its versions and executions; refused while one of them has hot events. Events stay."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        ledger.templates.delete(ledger.templates.get(template, drive_id=drive_id).id)
    click.echo(f"{template} is deleted")
