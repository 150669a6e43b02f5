"""`daily`: the daily job, in this process."""

from datetime import datetime

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option, now_option


@click.command(epilog=example("ledger-pipeline daily --now 2026-11-20T00:00:00Z"))
@now_option
@json_option
def daily(now: datetime, as_json: bool) -> None:
    """Run the daily job: sync prices, take snapshots, roll what is due, build the marts and reconcile them."""
    from ledger_pipeline.cli.progress import telling
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger, telling() as progress:
        done = ledger.daily(now, progress=progress)
    if as_json:
        echo_json(done)
    else:
        click.echo("done")
