"""`verify`: re-hashes everything and names what is wrong."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger_pipeline.cli.output import echo_json
from ledger_pipeline.cli.parameters import example, json_option

if TYPE_CHECKING:
    from collections.abc import Generator

    from ledger_pipeline.replay.kept_work import KeptWork


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
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where a run was broken off: cold files that are still the same are not re-hashed event by event.",
)
@json_option
def verify(notes: Path | None, key_files: tuple[Path, ...], resume: bool, as_json: bool) -> int:
    """Re-hash every event, hot and cold, and name the first bad one; exit 1 when something is wrong."""
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.cold.notes import read_keys
    from ledger_pipeline.errors import InvalidInput
    from ledger_pipeline.ledger import Ledger

    if key_files and notes is None:
        raise InvalidInput("--key: is for notes; name their folder with --notes")
    keys = [key for path in key_files for key in read_keys(path)] if key_files else None
    with (
        Ledger.open() as ledger,
        _kept(ledger.settings.verification_dir, resume=resume) as kept,
        counting("verifying", "events") as progress,
    ):
        report = ledger.verify(progress, notes, keys, kept)
    if as_json:
        answer = {"ok": report.ok, "events": report.events, "resumed_events": report.resumed_events}
        echo_json({**answer, "problems": report.problems, "removed": report.removed})
    else:
        for problem in report.problems:
            click.echo(f"{problem.event_id or problem.file or 'ledger'}: {problem.what}")
        for removed in report.removed:
            click.echo(removed)
        if report.resumed_events:
            click.echo(
                f"{report.resumed_events:,} of the events were hashed by the run before; their files are the same"
            )
        verdict = "all as recorded" if report.ok else f"{len(report.problems):,} problems"
        click.echo(f"{report.events:,} events of {report.executions:,} executions verified: {verdict}")
    return 0 if report.ok else 1


@contextmanager
def _kept(folder: Path, *, resume: bool) -> "Generator[KeptWork | None]":
    """Where this run leaves what it has found; nowhere while another one runs, unless it is to go on from there."""
    from ledger_pipeline.cli.exclusive import only_one
    from ledger_pipeline.errors import InvalidInput
    from ledger_pipeline.replay.kept_work import KeptWork

    with ExitStack() as held:
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(only_one(folder.with_suffix(".lock"), "resume: another verification is running; wait"))
        except InvalidInput:
            if resume:
                raise
            yield None
        else:
            yield KeptWork(folder, resume=resume)
