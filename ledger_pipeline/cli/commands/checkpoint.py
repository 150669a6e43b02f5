"""`checkpoint`: closes the feed up to now."""

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline checkpoint"))
@json_option
def checkpoint(as_json: bool) -> None:
    """Close a batch of the feed: its events are counted and bound by one root hash."""
    from ledger_pipeline.cold.checkpoints import close_checkpoint
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        closed = close_checkpoint(ledger.connection)
    if as_json:
        echo_json(closed)
    elif closed is None:
        click.echo("nothing new to close")
    else:
        click.echo(f"checkpoint {closed.n}: {closed.events:,} events, root {closed.root.hex()}")
