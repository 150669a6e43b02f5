"""`restore`: rolled weeks back in Postgres, for inspection."""

from datetime import datetime

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline restore --week 2026-06-01"))
@click.option(
    "--week",
    "weeks",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    metavar="MONDAY",
    help="The Monday of a week in the cold store; may be given several times.",
)
@click.option("--drop", is_flag=True, help="Instead, drop the weeks' copies.")
@json_option
def restore(weeks: tuple[datetime, ...], drop: bool, as_json: bool) -> None:
    """Copy rolled weeks into tables of the schema ledger_quarantine, verified against the manifest.

    The copies are for looking at, with `psql` for instance. The ledger goes on reading the cold files; dropping a copy
    loses nothing. Without --week, lists the copies that there are.
    """
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.cold.restore import drop_restored_week, restore_week, restored_weeks
    from ledger_pipeline.ledger import Ledger

    if drop and not weeks:
        raise click.UsageError("--drop needs --week, the week whose copy is to go")
    days = [week.date() for week in weeks]
    with Ledger.open() as ledger:
        if drop:
            gone = [day for day in days if drop_restored_week(ledger.connection, day)]
            echo_json(gone) if as_json else click.echo(f"{len(gone):,} copies dropped")
            return
        if not days:
            there = restored_weeks(ledger.connection)
            echo_json(there) if as_json else click.echo("\n".join(map(str, there)) or "no week is restored")
            return
        with counting("restoring", "events") as progress:
            restored = [restore_week(ledger.connection, ledger.settings.cold_dir, day, progress) for day in days]
    if as_json:
        echo_json(restored)
        return
    for week in restored:
        click.echo(f"week {week.week}: {week.events:,} events, verified, in {week.table}")
