"""`roll`: moves what is old enough to cold storage."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option, now_option

if TYPE_CHECKING:
    from ledger_pipeline.cold.roll import RollProgress


@click.command(epilog=example("ledger-pipeline roll --dry-run"))
@now_option
@click.option(
    "--keep-days", type=click.IntRange(min=0), metavar="N", help="Days to keep hot; default: LEDGER_HOT_DAYS."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be rolled.")
@click.option("--orphans", "find_orphans", is_flag=True, help="Instead, list files that no week names.")
@click.option("--remove", is_flag=True, help="With --orphans: remove them.")
@json_option
def roll(now: datetime, keep_days: int | None, dry_run: bool, find_orphans: bool, remove: bool, as_json: bool) -> None:
    """Roll every week that is older than the hot days from Postgres to Parquet files."""
    from ledger_pipeline.cli.progress import telling
    from ledger_pipeline.ledger import Ledger

    if remove and not find_orphans:
        raise click.UsageError("--remove needs --orphans: only files that no week names are ever removed")
    with Ledger.open() as ledger:
        if find_orphans:
            from ledger_pipeline.cold.roll import orphans

            files = orphans(ledger.connection, ledger.settings, remove=remove and not dry_run)
            if as_json:
                echo_json(files)
            else:
                for file in files:
                    click.echo(f"{file.name}: {file.bytes:,} bytes")
                click.echo(f"{len(files):,} files of no week {'removed' if remove and not dry_run else 'found'}")
            return
        with telling() as progress:
            weeks = ledger.roll(now, keep_days=keep_days, dry_run=dry_run, progress=_telling(progress))
    if as_json:
        echo_json(weeks)
        return
    for week in weeks:
        click.echo(f"week {week.week}: {week.events:,} events, {week.bytes:,} bytes")
    done = "would be rolled" if dry_run else "rolled"
    click.echo(f"{len(weeks):,} weeks, {sum(week.events for week in weeks):,} events {done}")


def _telling(progress: Callable[[object], None]) -> Callable[["RollProgress"], None]:
    return lambda at: progress(f"week {at.week}: {at.state}, {at.events:,} of {at.of_events:,} events")
