"""`migrate`: brings the database to the newest schema, or says whether it is there."""

from datetime import UTC, datetime

import click

from ledger_pipeline.cli.output import echo_json, say
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline migrate --check"))
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 unless the database is up to date.")
@click.option("--to", "revision", metavar="REV", help="Revision to go to, up or down; `base` is before the first.")
@json_option
def migrate(only_check: bool, revision: str | None, as_json: bool) -> int:
    """Bring the database to the newest schema and load the embedded price catalogue."""
    from ledger_pipeline.errors import SchemaMismatch
    from ledger_pipeline.hot.revision import REVISION, check, current_revision
    from ledger_pipeline.hot.server import running_server
    from ledger_pipeline.ledger import set_up
    from ledger_pipeline.settings import Settings

    if only_check and revision:
        raise click.UsageError("--check looks at the newest revision only: leave --to out")
    problem: str | None = None
    with running_server(Settings.read()) as url:
        if only_check:
            current = current_revision(url)
            try:
                check(url)
            except SchemaMismatch as error:
                problem = str(error)
        else:
            current = set_up(url, datetime.now(UTC), revision or "head")
    if as_json:
        echo_json({"ok": problem is None, "revision": current, "newest": REVISION, "problem": problem})
    elif problem:
        click.echo(problem)
    else:
        say(f"the database is at revision {current or 'base'}")
    return 1 if problem else 0
