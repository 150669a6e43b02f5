"""`verify`: re-hashes everything and names what is wrong."""

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline verify --json"))
@json_option
def verify(as_json: bool) -> int:
    """Re-hash every event, hot and cold, and name the first bad one; exit 1 when something is wrong."""
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger, counting("verifying", "events") as progress:
        report = ledger.verify(progress=progress)
    if as_json:
        echo_json({"ok": report.ok, "events": report.events, "problems": report.problems})
    else:
        for problem in report.problems:
            click.echo(f"{problem.event_id or problem.file or 'ledger'}: {problem.what}")
        verdict = "all as recorded" if report.ok else f"{len(report.problems):,} problems"
        click.echo(f"{report.events:,} events of {report.executions:,} executions verified: {verdict}")
    return 0 if report.ok else 1
