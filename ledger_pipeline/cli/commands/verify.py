"""`verify`: re-hashes everything and names what is wrong."""

from pathlib import Path

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline verify --notes data/notes"))
@click.option(
    "--notes",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder of signed notes, best a copy kept elsewhere: the ledger must be what each of them says.",
)
@click.option(
    "--key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A verifier key that notes may be signed with; may be repeated. By default the key that signs here.",
)
@json_option
def verify(notes: Path | None, key_files: tuple[Path, ...], as_json: bool) -> int:
    """Re-hash every event, hot and cold, and name the first bad one; exit 1 when something is wrong."""
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.cold.notes import read_keys
    from ledger_pipeline.errors import InvalidInput
    from ledger_pipeline.ledger import Ledger

    if key_files and notes is None:
        raise InvalidInput("--key: is for notes; name their folder with --notes")
    keys = [key for path in key_files for key in read_keys(path)] if key_files else None
    with Ledger.open() as ledger, counting("verifying", "events") as progress:
        report = ledger.verify(progress, notes, keys)
    if as_json:
        echo_json({"ok": report.ok, "events": report.events, "problems": report.problems, "removed": report.removed})
    else:
        for problem in report.problems:
            click.echo(f"{problem.event_id or problem.file or 'ledger'}: {problem.what}")
        for removed in report.removed:
            click.echo(removed)
        verdict = "all as recorded" if report.ok else f"{len(report.problems):,} problems"
        click.echo(f"{report.events:,} events of {report.executions:,} executions verified: {verdict}")
    return 0 if report.ok else 1
