"""`recover`: a working ledger from the cold folder alone."""

from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("LEDGER_HOME=new LEDGER_COLD_URL=old/cold ledger-pipeline recover"))
@click.option(
    "--instance", type=click.UUID, metavar="ID", help="The ledger whose files to take, where the folder has several."
)
@json_option
def recover(instance: UUID | None, as_json: bool) -> None:
    """Rebuild a ledger from its cold folder, into an empty database, when the database is lost with its backups.

    Every event in the folder is hashed anew first. Executions, steps, costs and heads come back from the events; what
    only the database had is lost, and named. With a dump, restore that and run `adopt` instead (docs/disaster.md).
    """
    from ledger_pipeline.cli.progress import telling
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.replay.recover import recover as recover_ledger

    with Ledger.open() as ledger, telling() as progress:
        recovered = recover_ledger(ledger.connection, ledger.settings.cold_dir, instance, progress)
    if as_json:
        echo_json(recovered)
        return
    click.echo(
        f"{recovered.events:,} events of {recovered.executions:,} executions in {recovered.weeks:,} weeks are back, as"
        f" the ledger {recovered.instance_id}"
    )
    for what in recovered.lost:
        click.echo(f"lost: {what}")
