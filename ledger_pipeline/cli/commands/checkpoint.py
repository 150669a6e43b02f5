"""`checkpoint`: closes the feed up to now and signs it."""

from dataclasses import asdict

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline checkpoint"))
@json_option
def checkpoint(as_json: bool) -> None:
    """Close a batch of the feed: its events are counted and bound by one root hash, which a note signs.

    The note goes to LEDGER_NOTES_DIR. Keep a copy where whoever can write to the database can't: `verify --notes` holds
    the ledger against it.
    """
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        closed, note = ledger.checkpoint()
    if as_json:
        signed = {"note": note.path, "tree_size": note.checkpoint.size} if note else {}
        echo_json((asdict(closed) if closed else {}) | signed or None)
        return
    if closed is None:
        click.echo("nothing new to close")
    else:
        click.echo(f"checkpoint {closed.n}: {closed.events:,} events, root {closed.root.hex()}")
    if note is not None:
        click.echo(f"signed: a tree of {note.checkpoint.size:,} leaves, {note.path}")
