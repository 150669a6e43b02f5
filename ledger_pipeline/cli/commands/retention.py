"""`retention`: removes weeks from the cold store for good, and holds what must be kept."""

from datetime import datetime
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_table
from ledger_pipeline.cli.parameters import example, json_option, now_option, operator_option

_days = click.option(
    "--days", type=click.IntRange(min=1), metavar="N", help="Days since a week's end; default: LEDGER_RETENTION_DAYS."
)
_reason = click.option("--reason", required=True, metavar="TEXT", help="Why, for the record.")


@click.group(epilog=example("ledger-pipeline retention list --days 3650"))
def retention() -> None:
    """Weeks past retention: which they are, what holds them, and their removal (docs/retention.md)."""


@retention.command("list", epilog=example("ledger-pipeline retention list --days 3650"))
@now_option
@_days
@json_option
def list_weeks(now: datetime, days: int | None, as_json: bool) -> None:
    """List the weeks past retention with what stands against their removal, and the weeks that were removed."""
    from ledger_pipeline.cold.retention import files_left, removed_weeks
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        off = days is None and ledger.settings.retention_days is None
        removable = [] if off else ledger.removable_weeks(now, days)
        removed = removed_weeks(ledger.connection)
        left = files_left(ledger.connection, ledger.settings.cold_dir)
    if as_json:
        echo_json({"past_retention": removable, "removed": removed, "files_left": left})
        return
    if off:
        click.echo("retention is off: LEDGER_RETENTION_DAYS is not set, and --days neither")
    for week in removable:
        click.echo(f"week {week.week}: {week.events:,} events, {week.bytes:,} bytes: past retention")
        for obstacle in week.obstacles:
            click.echo(f"  stays: {obstacle}")
    for gone in removed:
        click.echo(
            f"week {gone.week}: {gone.events:,} events were removed on {gone.removed_at:%Y-%m-%d} by {gone.removed_by}:"
            f" {gone.reason}"
        )
    for name in left:
        click.echo(f"{name}: is still there; `ledger-pipeline retention remove` finishes its removal")


@retention.command(
    epilog=example('ledger-pipeline retention remove --days 3650 --reason "records schedule, section 4" --dry-run')
)
@now_option
@_days
@_reason
@operator_option
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def remove(now: datetime, days: int | None, reason: str, operator: str, dry_run: bool, as_json: bool) -> None:
    """Remove the weeks past retention that nothing holds, for good.

    Their files go. Count, root and hashes stay, with who removed them and why, and what their model calls cost: the
    ledger goes on verifying, and totals of the past stay what they were. There is no way back but a backup.
    """
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        if dry_run:
            weeks = [week for week in ledger.removable_weeks(now, days) if not week.obstacles]
        else:
            weeks = ledger.remove_weeks(now, days, operator=operator, reason=reason)
    if as_json:
        echo_json(weeks)
        return
    for week in weeks:
        click.echo(f"week {week.week}: {week.events:,} events, {week.bytes:,} bytes")
    click.echo(f"{len(weeks):,} weeks {'would be ' if dry_run else ''}removed")


@retention.command(epilog=example('ledger-pipeline retention hold --ledger --reason "case 17/2026"'))
@click.option("--ledger", "whole", is_flag=True, help="Keep everything, or …")
@click.option("--execution", type=click.UUID, metavar="ID", help="… an execution, …")
@click.option("--customer", type=click.UUID, metavar="ID", help="… all that is of a customer …")
@click.option("--drive", type=click.UUID, metavar="ID", help="… or of a drive.")
@_reason
@operator_option
@json_option
def hold(
    whole: bool,
    execution: UUID | None,
    customer: UUID | None,
    drive: UUID | None,
    reason: str,
    operator: str,
    as_json: bool,
) -> None:
    """Place a legal hold: what it covers is not removed until it is lifted."""
    from ledger_pipeline.cold.holds import Scope, place_hold
    from ledger_pipeline.ledger import Ledger

    subjects = {Scope.EXECUTION: execution, Scope.CUSTOMER: customer, Scope.DRIVE: drive}
    named = [(scope, subject) for scope, subject in subjects.items() if subject is not None]
    if len(named) + whole != 1:
        raise click.UsageError("a hold is on one of --ledger, --execution, --customer, --drive")
    scope, subject = named[0] if named else (Scope.LEDGER, None)
    with Ledger.open() as ledger:
        placed = place_hold(ledger.connection, scope, subject, operator=operator, reason=reason)
    echo_json(placed) if as_json else click.echo(f"hold {placed.id} stands")


_ID = "01941f29-7c00-7585-b970-10875c90d530"


@retention.command(epilog=example(f'ledger-pipeline retention lift {_ID} --reason "case closed"'))
@click.argument("id", type=click.UUID, metavar="ID")
@_reason
@operator_option
@json_option
def lift(id: UUID, reason: str, operator: str, as_json: bool) -> None:
    """Lift a legal hold; it stays on record."""
    from ledger_pipeline.cold.holds import lift_hold
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        lifted = lift_hold(ledger.connection, id, operator=operator, reason=reason)
    echo_json(lifted) if as_json else click.echo(f"hold {lifted.id} is lifted")


@retention.command(epilog=example("ledger-pipeline retention holds"))
@click.option("--all", "with_lifted", is_flag=True, help="The lifted ones too.")
@json_option
def holds(with_lifted: bool, as_json: bool) -> None:
    """List the legal holds that stand."""
    from ledger_pipeline.cold.holds import holds as holds_of
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        found = holds_of(ledger.connection, lifted=with_lifted)
    if as_json:
        echo_json(found)
        return
    columns = ("id", "scope", "subject_id", "placed_at", "placed_by", "reason", "lifted_at", "lifted_by", "lift_reason")
    echo_table(columns, [[getattr(each, column) for column in columns] for each in found])
