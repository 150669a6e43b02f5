"""`seed`: three realistic executions to look at."""

from datetime import datetime

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option, now_option


@click.command(epilog=example("ledger-pipeline seed"))
@now_option
@json_option
def seed(now: datetime, as_json: bool) -> None:
    """Add a completed, a running and a failed execution, with their templates and files; again adds nothing."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        seeded = ledger.seed(now)
    if as_json:
        echo_json(seeded)
    else:
        for name, execution_id in seeded.executions.items():
            click.echo(f"{execution_id}  {name}")
        click.echo(f"{seeded.events:,} events of {len(seeded.executions)} executions, {seeded.new_events:,} new events")
