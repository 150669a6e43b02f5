"""`prove`: an event's proof."""

from typing import TYPE_CHECKING
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option

if TYPE_CHECKING:
    from ledger_pipeline.cold.proof import Inclusion


@click.command(epilog=example("ledger-pipeline prove 0199ed4d-f880-7c20-8f2d-207d2ca8ec60 --json > proof.json"))
@click.argument("event_id", type=click.UUID)
@json_option
def prove(event_id: UUID, as_json: bool) -> None:
    """Prove that an event was recorded: its place in a batch, the batch's in the tree, and the note that signs that.

    What --json prints can be checked without the ledger: verify_ledger.py --proof FILE.
    """
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        proof = ledger.prove(event_id)
    if as_json:
        echo_json(proof.to_json())
        return
    click.echo(f"{proof.event_type}, sequence {proof.sequence} of execution {proof.execution_id}")
    _print(f"batch {proof.batch}", proof.in_batch)
    _print("tree", proof.in_tree)
    click.echo(f"\n{proof.note}", nl=False)


def _print(name: str, inclusion: "Inclusion") -> None:
    click.echo(f"{name}: leaf {inclusion.index:,} of {inclusion.size:,}, root {inclusion.root.hex()}")
    for node in inclusion.path:
        click.echo(f"  {node.hex()}")
