"""`sql`: read-only SQL over the marts."""

import click

from ledger_pipeline.cli.parameters import example


@click.command(
    epilog=example('ledger-pipeline sql "SELECT month, model, sum(cost_usd) FROM marts.cost_daily GROUP BY ALL"')
)
@click.argument("query")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="csv has a header line; json is an array of objects, decimals in strings.",
)
def sql(query: str, form: str) -> None:
    """Run a read-only query on the current marts, sandboxed: no files, no network."""
    from ledger_pipeline.marts.sandbox import run_sql
    from ledger_pipeline.settings import Settings

    click.echo(run_sql(Settings.read(), query, form).rstrip("\n"))
