"""`demo`: the whole pipeline once, on made-up traffic or on a log of yours."""

from datetime import datetime
from pathlib import Path

import click

from ledger_pipeline.cli.parameters import example, now_option


@click.command(epilog=example("ledger-pipeline demo", "ledger-pipeline demo --input ~/.aider/analytics.jsonl"))
@click.option(
    "--input", "log", type=click.Path(path_type=Path), metavar="FILE", help="An Aider analytics log to import instead."
)
@now_option
def demo(log: Path | None, now: datetime) -> int:
    """Fill the ledger, run the daily job, and show costs, cold storage, a replay and the verification.

    Without --input an empty ledger is given 400 days of simulated traffic, more than 100,000 events; one that holds
    events is taken as it is.
    """
    from ledger_pipeline.cli.demo import run

    return 0 if run(log, now) else 1
