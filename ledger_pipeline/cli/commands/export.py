"""`export`: writes the ledger's events for other programs."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import click

from ledger_pipeline.cli.output import say
from ledger_pipeline.cli.parameters import example


@click.group("export", epilog=example("ledger-pipeline export jsonl --output events.jsonl"))
def export_group() -> None:
    """Write events for other programs."""


@export_group.command("jsonl", epilog=example("ledger-pipeline export jsonl --output events.jsonl"))
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="File to write; default: stdout.")
@click.option("--execution", "execution_id", type=click.UUID, metavar="ID", help="Only this execution.")
@click.option(
    "--but-removed",
    is_flag=True,
    help="Without weeks removed under retention; else it refuses, naming them.",
)
def export_jsonl(output: Path | None, execution_id: UUID | None, but_removed: bool) -> None:
    """Write every event, hot and cold, in the ledger's interchange format (docs/interchange.md)."""
    from ledger_pipeline.durable import durable_file
    from ledger_pipeline.ledger import Ledger

    target: AbstractContextManager[BinaryIO] = durable_file(output) if output else nullcontext(sys.stdout.buffer)
    with Ledger.open() as ledger, target as out:
        events = ledger.export_jsonl(out, execution_id, but_removed=but_removed)
        out.flush()
    say(f"{events:,} events" + (f" in {output}" if output else ""))
