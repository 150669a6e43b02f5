"""`daily`: the daily job, in this process."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from ledger_pipeline.cli.output import echo_json, echo_table, say
from ledger_pipeline.cli.parameters import example, json_option, now_option

if TYPE_CHECKING:
    from ledger_pipeline.defs.in_process import DailyRun


@click.command(epilog=example("ledger-pipeline daily --now 2026-11-20T00:00:00Z"))
@now_option
@json_option
def daily(now: datetime, as_json: bool) -> None:
    """Run the daily job: sync prices, take snapshots, roll what is due, build the marts and reconcile them.

    It is the job that Dagster's schedule runs, and the Dagster UI lists the run. Exit 1 when a check fails;
    when the marts don't reconcile with the events, the marts before them stay.
    """
    from ledger_pipeline.cli.dagster_home import make_dagster_home
    from ledger_pipeline.cli.progress import telling
    from ledger_pipeline.defs.in_process import run_daily
    from ledger_pipeline.settings import Settings

    with telling() as progress:
        done = run_daily(now, progress, make_dagster_home(Settings.read()))
    if as_json:
        echo_json(done)
    else:
        _print(done)
    if done.failed_checks:
        raise SystemExit(1)


def _print(done: "DailyRun") -> None:
    echo_table(("asset", "rows"), ((name, f"{rows:,}") for name, rows in done.rows.items()), right=("rows",))
    for warning in done.warnings:
        say(f"warning: {warning}")
    for failed in done.failed_checks:
        say(f"failed: {failed}")
