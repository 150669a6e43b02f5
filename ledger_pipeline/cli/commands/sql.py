"""`sql`: read-only SQL over the marts."""

import csv
import io
from collections.abc import Sequence

import click

from ledger_pipeline.cli.output import cell, echo_json, echo_table
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
    import duckdb

    from ledger_pipeline.errors import InvalidInput
    from ledger_pipeline.marts.publish import connect_readonly
    from ledger_pipeline.settings import Settings

    with connect_readonly(Settings.read()) as connection:
        try:
            answer = connection.sql(query)
            columns, rows = (answer.columns, answer.fetchall()) if answer else ([], [])
        except duckdb.Error as error:
            raise InvalidInput(f"sql: {error}") from None
    _print(columns, rows, form)


def _print(columns: Sequence[str], rows: Sequence[Sequence[object]], form: str) -> None:
    if form == "json":
        echo_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(value) for value in row] for row in rows)
        click.echo(text.getvalue().encode(), nl=False)
    else:
        numeric = [name for place, name in enumerate(columns) if rows and isinstance(rows[0][place], (int, float))]
        echo_table(columns, rows, right=numeric)
