"""`adopt`: accepts a restored, failed-over or copied database as the ledger's."""

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline adopt --clone"))
@click.option("--clone", is_flag=True, help="The database is a copy that lives on beside the original.")
@click.option("--reason", default="adopted on the command line", show_default=True, help="Why, for the record.")
@json_option
def adopt(clone: bool, reason: str, as_json: bool) -> None:
    """Open a new epoch after a restore, a failover or a copy; until then the ledger takes and rolls nothing."""
    from ledger_pipeline.cold.folder import strays
    from ledger_pipeline.hot.database import connect, translated
    from ledger_pipeline.hot.revision import check
    from ledger_pipeline.hot.server import running_server
    from ledger_pipeline.settings import Settings

    settings = Settings.read()
    with running_server(settings) as url:
        check(url)
        with connect(url, autocommit=True) as connection, translated():
            connection.execute("SELECT adopt(%s, %s)", (reason, clone))
            epoch = connection.execute("SELECT * FROM ledger_epochs ORDER BY epoch DESC LIMIT 1").fetchone()
            warnings = strays(connection, settings.cold_dir)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        echo_json(epoch)
    elif epoch:
        click.echo(f"epoch {epoch['epoch']} is open, instance {epoch['instance_id']}")
