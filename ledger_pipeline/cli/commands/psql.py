"""`psql`: PostgreSQL's own client on the hot store."""

import os
import subprocess

import click

from ledger_pipeline.cli.parameters import example


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
    epilog=example('ledger-pipeline psql -c "SELECT count(*) FROM workflow_events"'),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]…")
def psql(arguments: tuple[str, ...]) -> int:
    """Open psql on the hot store as a superuser, our tables on the search path.

    ARGS go to psql, and the exit code is psql's own.
    """
    from ledger_pipeline.hot.server import client_command, running_server
    from ledger_pipeline.settings import Settings

    with running_server(Settings.read()) as url:
        command, environment = client_command("psql", url)
        options = f"{environment.get('PGOPTIONS', '')} -c search_path=ledger,public".strip()
        # Not exec: this process holds the embedded server until psql has ended.
        client = subprocess.Popen([*command, *arguments], env=os.environ | environment | {"PGOPTIONS": options})
        return _wait(client)


def _wait(client: "subprocess.Popen[bytes]") -> int:
    """psql's exit code; Ctrl-C cancels psql's query, not the wait for it."""
    while True:
        try:
            code = client.wait()
        except KeyboardInterrupt:
            continue
        except BaseException:
            client.terminate()
            client.wait()
            raise
        return code if code >= 0 else 128 - code
