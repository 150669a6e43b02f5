"""`import`: takes in files of other tools, and of the ledger's own format."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger_pipeline.cli.output import echo_json, say
from ledger_pipeline.cli.parameters import example, json_option

if TYPE_CHECKING:
    from ledger_pipeline.ingest.result import ImportResult
    from ledger_pipeline.ledger import Ledger

Importer = Callable[["Ledger", Path, Callable[[int], None]], "ImportResult"]

_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")


@click.group("import", epilog=example("ledger-pipeline import aider analytics.jsonl.gz"))
def import_group() -> None:
    """Take in files; what the ledger has already is not added again."""


@import_group.command("aider", epilog=example("ledger-pipeline import aider ~/.aider/analytics.jsonl"))
@_files
@json_option
def import_aider(files: tuple[Path, ...], as_json: bool) -> int:
    """Import Aider analytics logs (`aider --analytics-log FILE`), `.jsonl` or `.jsonl.gz`.

    Lines that can't be read are put aside in LEDGER_HOME/rejects and make the exit code 2; the rest is imported.
    """
    return _import(files, as_json, lambda ledger, path, progress: ledger.import_aider(path, progress=progress))


@import_group.command("jsonl", epilog=example("ledger-pipeline import jsonl events.jsonl.gz"))
@_files
@json_option
def import_jsonl(files: tuple[Path, ...], as_json: bool) -> int:
    """Import files in the ledger's own interchange format (docs/interchange.md), as `export jsonl` writes it.

    An execution with a line that can't be taken is put aside whole in LEDGER_HOME/rejects; the exit code is 2 then.
    """
    return _import(files, as_json, lambda ledger, path, progress: ledger.import_jsonl(path, progress=progress))


def _import(files: tuple[Path, ...], as_json: bool, importer: Importer) -> int:
    from ledger_pipeline.cli.progress import counting
    from ledger_pipeline.ingest.lines import check_file
    from ledger_pipeline.ledger import Ledger

    for path in files:  # all of them before the first is stored
        check_file(path)
    results: list[ImportResult] = []
    with Ledger.open() as ledger:
        for path in files:
            with counting(f"importing {path.name}", "lines") as progress:
                result = importer(ledger, path, progress)
            results.append(result)
            if not as_json:
                _report(result)
    if as_json:
        echo_json(results)
    rejected = [result for result in results if result.rejects]
    for result in rejected:
        first = result.first_rejects[0]
        say(
            f"error: {result.source}: {result.rejects:,} lines were put aside in {result.rejects_file}, "
            f"the first: line {first.line}: {first.reason}"
        )
    return 2 if rejected else 0


def _report(result: "ImportResult") -> None:
    click.echo(
        f"{result.source}: {result.lines:,} lines, {result.events:,} events of {result.executions:,} executions, "
        f"{result.new_events:,} of them new"
    )
    for reject in result.first_rejects:
        click.echo(f"  line {reject.line}: {reject.reason}")
