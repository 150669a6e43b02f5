"""`prune`: takes what was derived from long-ended executions out of the hot store."""

from datetime import datetime

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option, now_option


@click.command(epilog=example("ledger-pipeline prune --after-days 365 --dry-run"))
@now_option
@click.option(
    "--after-days",
    type=click.IntRange(min=0),
    metavar="N",
    help="Days since an execution's last week; default: LEDGER_PRUNE_AFTER_DAYS.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many executions would be pruned.")
@json_option
def prune(now: datetime, after_days: int | None, dry_run: bool, as_json: bool) -> None:
    """Prune ended executions whose events are all in cold storage and in the published marts.

    Their steps, calls, artifacts and snapshots leave Postgres. Their events stay, so that they can be read, replayed
    and verified as before, and the marts keep their rows; but they take no more events.
    """
    from ledger_pipeline.cli.progress import telling
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger, telling() as progress:
        pruned = ledger.prune(
            now, after_days, dry_run=dry_run, progress=lambda done: progress(f"{done:,} executions pruned")
        )
    if as_json:
        echo_json(pruned)
        return
    click.echo(f"{pruned.executions:,} executions {'would be ' if dry_run else ''}pruned")
