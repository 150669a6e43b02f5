"""`report`: cost tables in the terminal."""

import click

from ledger_pipeline.cli.output import echo_json, echo_table
from ledger_pipeline.cli.parameters import example, json_option

# As in `cost_report.DIMENSIONS`, which imports DuckDB.
BY = ("day", "month", "model", "workflow", "agent", "customer", "mode")


@click.command(epilog=example("ledger-pipeline report --by month --by model"))
@click.option(
    "--by", type=click.Choice(BY), multiple=True, default=("month",), show_default=True, help="May be repeated."
)
@json_option
def report(by: tuple[str, ...], as_json: bool) -> None:
    """Show what was spent, from the current marts: rounded to cents here, exact with --json."""
    from ledger_pipeline.cli.cost_report import cost_report, total, usd
    from ledger_pipeline.marts.publish import as_of_this_version, connect_readonly
    from ledger_pipeline.settings import Settings

    by = tuple(dict.fromkeys(by))
    with connect_readonly(Settings.read()) as marts, as_of_this_version(marts):
        lines = cost_report(marts, by)
    if as_json:
        fields = ("calls", "tokens", "cost_usd", "estimated_cost_usd", "unpriced_calls", "recorded_cost_usd")
        fields += ("corrections_usd",)
        echo_json(
            [dict(zip(by, line.values, strict=True)) | {name: getattr(line, name) for name in fields} for line in lines]
        )
        return
    measures = ("calls", "tokens", "cost USD", "estimated USD", "unpriced calls", "recorded USD", "corrections USD")
    echo_table(
        (*by, *measures),
        (
            (
                *values,
                f"{line.calls:,}",
                f"{line.tokens:,}",
                usd(line.cost_usd),
                usd(line.estimated_cost_usd),
                line.unpriced_calls or "",
                usd(line.recorded_cost_usd),
                usd(line.corrections_usd),
            )
            for values, line in [
                *((line.values, line) for line in lines),
                (("all", *[""] * (len(by) - 1)), total(lines)),
            ]
        ),
        right=measures,
    )
