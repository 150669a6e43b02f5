"""`projections`: proves the rows derived from events, or makes them anew."""

from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.group(epilog=example("ledger-pipeline projections check"))
def projections() -> None:
    """Prove the rows derived from events equal to a replay, or make them anew."""


_EXECUTIONS = click.argument("executions", type=click.UUID, nargs=-1, metavar="[ID]…")


@projections.command(epilog=example("ledger-pipeline projections check", "ledger-pipeline projections check --json ID"))
@_EXECUTIONS
@json_option
def check(executions: tuple[UUID, ...], as_json: bool) -> int:
    """Compare every projection row with a replay of its events, hot and cold; exit 1 when one differs, and name it."""
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger, counting("replaying", "executions") as progress:
        report = ledger.check_projections(executions or None, progress=progress)
    if as_json:
        echo_json(
            {
                "ok": report.ok,
                "executions": report.executions,
                "rows": report.rows,
                "differing": report.differing,
                "differences": report.differences,
            }
        )
    else:
        for difference in report.differences:
            click.echo(str(difference))
        count = report.differing.total()
        verdict = "all as their events give them" if report.ok else f"{count:,} differ"
        click.echo(f"{report.rows:,} rows of {report.executions:,} executions compared with replays: {verdict}")
    return 0 if report.ok else 1


@projections.command(epilog=example("ledger-pipeline projections rebuild"))
@_EXECUTIONS
@json_option
def rebuild(executions: tuple[UUID, ...], as_json: bool) -> None:
    """Make the projection rows of all executions, or of some, anew from their events."""
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger, counting("rebuilding", "executions") as progress:
        rebuilt = ledger.rebuild_projections(executions or None, progress=progress)
    if as_json:
        echo_json(rebuilt)
    else:
        click.echo(f"{rebuilt.rows:,} rows of {rebuilt.executions:,} executions made anew from their events")
