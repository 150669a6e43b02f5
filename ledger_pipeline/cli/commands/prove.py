"""`prove`: an event's proof."""

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option

if TYPE_CHECKING:
    from ledger_pipeline.cold.merkle import Inclusion


@click.command(epilog=example("ledger-pipeline prove 0199ed4d-f880-7c20-8f2d-207d2ca8ec60 --json > proof.json"))
@click.argument("event_id", type=click.UUID, required=False)
@click.option(
    "--since",
    type=click.Path(path_type=Path),
    metavar="NOTE",
    help="Instead of an event: prove that the ledger goes on from a note that was kept, with nothing rewritten.",
)
@json_option
def prove(event_id: UUID | None, since: Path | None, as_json: bool) -> None:
    """Prove that an event was recorded: its place in a batch, the batch's in the tree, and the note that signs that.

    What --json prints can be checked without the ledger: verify_ledger.py --proof FILE.
    """
    from ledger_pipeline.errors import InvalidInput
    from ledger_pipeline.ledger import Ledger

    if (event_id is None) == (since is None):
        raise InvalidInput("event_id: name either an event, or a note with --since")
    if since is not None:
        _prove_consistency(since, as_json=as_json)
        return
    assert event_id is not None
    with Ledger.open() as ledger:
        proof = ledger.prove(event_id)
    if as_json:
        echo_json(proof.to_json())
        return
    click.echo(f"{proof.event_type}, sequence {proof.sequence} of execution {proof.execution_id}")
    _print(f"batch {proof.batch}", proof.in_batch)
    _print("tree", proof.in_tree)
    click.echo(f"\n{proof.note}", nl=False)


def _prove_consistency(since: Path, *, as_json: bool) -> None:
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        proof = ledger.prove_consistency(since)
    if as_json:
        echo_json(proof.to_json())
        return
    sizes = (proof.earlier.checkpoint.size, proof.later.checkpoint.size)
    click.echo("the tree of {:,} leaves is the beginning of the tree of {:,}".format(*sizes))
    for node in proof.path:
        click.echo(f"  {node.hex()}")
    click.echo(f"\n{proof.later.text}", nl=False)


def _print(name: str, inclusion: "Inclusion") -> None:
    click.echo(f"{name}: leaf {inclusion.index:,} of {inclusion.size:,}, root {inclusion.root.hex()}")
    for node in inclusion.path:
        click.echo(f"  {node.hex()}")
