"""`people` and `members`: customers, users, agents and drives, and who may do what in a drive."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_table, plain
from ledger_pipeline.cli.parameters import JsonObject, example, json_option

_kind = click.argument("kind", type=click.Choice(["customers", "users", "agents", "drives"]))
_one = click.argument("id", type=click.UUID, metavar="ID")
_reason = click.option("--reason", metavar="TEXT", help="Why, for the log of changes.")
_drive = click.argument("drive_id", type=click.UUID, metavar="DRIVE")
_user = click.argument("user_id", type=click.UUID, metavar="USER")


def _fields(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options for what a customer, user, agent or drive may have; the ledger says which one has which."""
    for option in (
        click.option("--metadata", type=JsonObject(), help="A JSON object."),
        click.option("--contact", type=JsonObject(), help="A JSON object, of a customer."),
        click.option("--description", metavar="TEXT", help="Of a drive."),
        click.option("--kind-of-agent", metavar="TEXT", help="Of an agent."),
        click.option("--login", "database_login", metavar="ROLE", help="A user's PostgreSQL login."),
        click.option("--email", metavar="ADDRESS", help="A user's."),
        click.option("--drive", "drive_id", type=click.UUID, metavar="ID", help="A customer's or an agent's."),
    ):
        function = option(function)
    return function


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    if "kind_of_agent" in given:
        given["kind"] = given.pop("kind_of_agent")
    return given


def _show(row: Any, as_json: bool) -> None:
    if as_json:
        echo_json(row)
    else:
        echo_table(("what", "value"), [(name, value) for name, value in plain(row).items() if value is not None])


@click.group(epilog=example('ledger-pipeline people create users "Ada Lovelace" --email ada@example.org'))
def people() -> None:
    """Customers, users, agents and drives (docs/security.md)."""


@people.command(epilog=example('ledger-pipeline people create drives Engineering --description "Builds things"'))
@_kind
@click.argument("name")
@_fields
@json_option
def create(kind: str, name: str, as_json: bool, **options: Any) -> None:
    """Make a customer, user, agent or drive."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        _show(getattr(ledger.people, kind).create(name, **_given(options)), as_json)


@people.command("list", epilog=example("ledger-pipeline people list users"))
@_kind
@click.option("--after", type=click.UUID, metavar="ID", help="Those behind this one.")
@click.option("--limit", type=int, default=100, show_default=True, metavar="N", help="How many at once.")
@json_option
def list_rows(kind: str, after: UUID | None, limit: int, as_json: bool) -> None:
    """List customers, users, agents or drives in order of their ids."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        rows = getattr(ledger.people, kind).list(after=after, limit=limit)
    if as_json:
        echo_json(rows)
        return
    columns = [field.name for field in fields(rows[0]) if field.name not in ("updated_at", "metadata")] if rows else []
    echo_table(columns or ("id", "name"), [[getattr(row, column) for column in columns] for row in rows])


@people.command(epilog=example("ledger-pipeline people show users 01941f29-7c00-7585-b970-10875c90d530"))
@_kind
@_one
@json_option
def show(kind: str, id: UUID, as_json: bool) -> None:
    """Show one of them."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        _show(getattr(ledger.people, kind).get(id), as_json)


@people.command(epilog=example("ledger-pipeline people update users 01941f29-7c00-7585-b970-10875c90d530 --name Ada"))
@_kind
@_one
@click.option("--name")
@_fields
@_reason
@json_option
def update(kind: str, id: UUID, as_json: bool, reason: str | None, **options: Any) -> None:
    """Change one of them; what is left out stays as it is."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        _show(getattr(ledger.people, kind).update(id, reason=reason, **_given(options)), as_json)


@people.command(epilog=example("ledger-pipeline people delete users 01941f29-7c00-7585-b970-10875c90d530"))
@_kind
@_one
@_reason
def delete(kind: str, id: UUID, reason: str | None) -> None:
    """Delete one with the executions that it owns; refused while one of them has hot events. Events stay."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        getattr(ledger.people, kind).delete(id, reason=reason)
    click.echo(f"{id} is deleted")


@click.group(epilog=example("ledger-pipeline members list 01941f29-7c00-7585-b970-10875c90d530"))
def members() -> None:
    """Who may do what in a drive (docs/security.md)."""


@members.command("list", epilog=example("ledger-pipeline members list 01941f29-7c00-7585-b970-10875c90d530"))
@_drive
@json_option
def list_members(drive_id: UUID, as_json: bool) -> None:
    """List a drive's members."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        found = ledger.people.members(drive_id)
    if as_json:
        echo_json(found)
    else:
        echo_table(("user_id", "access"), [(member.user_id, member.access) for member in found])


@members.command("set", epilog=example("ledger-pipeline members set DRIVE USER write"))
@_drive
@_user
@click.argument("access", type=click.Choice(["read", "write", "administer"]))
def set_member(drive_id: UUID, user_id: UUID, access: str) -> None:
    """Give a user access to a drive, or another access than before."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        ledger.people.set_member(drive_id, user_id, access)
    click.echo(f"{user_id} may {access}")


@members.command(epilog=example("ledger-pipeline members remove DRIVE USER"))
@_drive
@_user
def remove(drive_id: UUID, user_id: UUID) -> None:
    """Take a user's access to a drive away."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        ledger.people.remove_member(drive_id, user_id)
    click.echo(f"{user_id} is no member any more")
