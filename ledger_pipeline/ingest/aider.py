"""Imports an Aider analytics log: what `aider --analytics-log FILE` writes, as `.jsonl` or `.jsonl.gz`."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import cast
from uuid import UUID

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events import Event, TokensUpdated
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.aider_line import parse_line
from ledger_pipeline.ingest.aider_session import SessionReader
from ledger_pipeline.ingest.intake import Incoming, Intake, Row, latest_time
from ledger_pipeline.ingest.lines import SourceLine, check_file, read_lines
from ledger_pipeline.ingest.rejects import Rejects
from ledger_pipeline.ingest.result import ImportResult
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import price

HOPELESS_LINES = 10_000
"""So many lines without one that is well-formed, and the file is no Aider log."""


def read_aider(
    lines: Iterable[SourceLine],
    source_file: str,
    latest: datetime,
    reject: Callable[[SourceLine, str], None],
) -> Iterator[list[Event]]:
    """The events of each well-formed line, without prices; `reject` is told every other line and why."""
    reader = SessionReader(source_file)
    for line in lines:
        if line.blank:
            continue
        try:
            content = parse_line(line, latest)
        except InvalidInput as error:
            reject(line, str(error))
            continue
        yield reader.events(content)


def import_aider(
    conn: Connection,
    book: PriceBook,
    path: Path,
    rejects_dir: Path,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Adds the log's events that the ledger lacks, priced at their own times; `progress` is told the lines read.

    Malformed lines are put aside under `rejects_dir`. Raises InvalidInput, with nothing stored, when the file can't be
    read or holds no well-formed line.
    """
    check_file(path)
    latest = latest_time(conn)
    intake = Intake(conn, path)
    accepted = events = executions = 0
    with Rejects(rejects_dir, path) as rejects:

        def reject(line: SourceLine, reason: str) -> None:
            rejects.put(line, reason)
            if not accepted and rejects.count >= HOPELESS_LINES:
                raise _no_aider_log(path, rejects)

        for of_line in read_aider(read_lines(path), path.name, latest, reject):
            accepted += 1
            events += len(of_line)
            executions += sum(event.sequence == 1 for event in of_line)
            intake.add(_incoming(book, event) for event in of_line)
            if progress and accepted % 1_000 == 0:
                progress(accepted + rejects.count)
        if not accepted:
            raise _no_aider_log(path, rejects)
        intake.finish()
        if progress:
            progress(accepted + rejects.count)
        kept = rejects.keep()
    return ImportResult(
        source=path,
        lines=accepted + rejects.count,
        events=events,
        new_events=intake.new_events,
        executions=executions,
        rejects=rejects.count,
        rejects_file=kept,
        first_rejects=tuple(rejects.first),
    )


def _incoming(book: PriceBook, event: Event) -> Incoming:
    def row() -> Row:
        return (price(book, event) if isinstance(event, TokensUpdated) else event).to_row()

    # Events that a SessionReader made have all three.
    execution_id, event_id = cast("UUID", event.execution_id), cast("UUID", event.event_id)
    return Incoming(execution_id, cast("int", event.sequence), event_id, event.event_type, row)


def _no_aider_log(path: Path, rejects: Rejects) -> InvalidInput:
    first = f": line {rejects.first[0].line}: {rejects.first[0].reason}" if rejects.first else ": it holds no line"
    return InvalidInput(f"{path}: not an Aider analytics log, no line of it is well-formed{first}")
