"""`simulate`: fills the ledger with realistic traffic."""

from datetime import datetime

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option, now_option


@click.command(epilog=example("ledger-pipeline simulate --executions 500 --days 30 --seed 7"))
@click.option("--executions", type=click.IntRange(min=1), required=True, metavar="N", help="Workflow executions.")
@click.option("--days", type=click.IntRange(1, 10_000), required=True, metavar="D", help="Days of traffic, up to now.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="S", help="The same seed, the same traffic.")
@now_option
@json_option
def simulate(executions: int, days: int, seed: int, now: datetime, as_json: bool) -> None:
    """Add realistic agent traffic of the days up to now: the same for the same seed and time."""
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger, counting("simulating", "events") as progress:
        simulated = ledger.simulate(executions, days, seed, now, progress=progress)
    if as_json:
        echo_json(simulated)
    else:
        click.echo(
            f"{simulated.events:,} events of {simulated.executions:,} executions, {simulated.new_events:,} new events"
        )
