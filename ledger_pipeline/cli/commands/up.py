"""`up`: the Dagster UI on this ledger."""

import click

from ledger_pipeline.cli.output import say
from ledger_pipeline.cli.parameters import example


@click.command(epilog=example("ledger-pipeline up --port 3001"))
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port on 127.0.0.1.")
def up(port: int) -> None:
    """Run Postgres (unless a server is set), the Dagster UI and its daemon until Ctrl-C."""
    import tempfile
    from pathlib import Path

    from ledger_pipeline.cli.dagster_home import make_dagster_home
    from ledger_pipeline.cli.exclusive import only_one
    from ledger_pipeline.cli.services import HOST, check_port, running_services, watch
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.settings import Settings

    settings = Settings.read()
    check_port(port)
    # Held open, so that the embedded server stays up between the runs that use it.
    with Ledger.open(settings):
        home = make_dagster_home(settings)
        environment = {"DAGSTER_HOME": str(home), "LEDGER_HOME": str(settings.home), "DAGSTER_DISABLE_TELEMETRY": "yes"}
        with (
            only_one(
                home / "up.lock", f"Dagster runs already on the ledger in {settings.home}: use that one, or end it"
            ),
            tempfile.TemporaryDirectory(prefix="ledger-ui-") as folder,
        ):
            say("starting Dagster …")
            with running_services(port, Path(folder), environment) as services:
                click.echo(f"Dagster UI: http://{HOST}:{port} (Ctrl-C ends it)")
                watch(services)
