"""Imports and exports the ledger's own interchange format: one event a line, described in `docs/interchange.md`."""

# pyarrow has no types of its own.
# pyright: reportUnknownParameterType=false

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import UUID

import pyarrow as pa

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events import TokensUpdated
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.intake import Incoming, Intake, latest_time
from ledger_pipeline.ingest.jsonl_course import Courses, numbered_row
from ledger_pipeline.ingest.jsonl_line import FRAGMENTS, LedgerLine, execution_of, format_row, parse_line
from ledger_pipeline.ingest.lines import SourceLine, check_file, read_lines
from ledger_pipeline.ingest.rejects import Rejects
from ledger_pipeline.ingest.result import ImportResult
from ledger_pipeline.pricing.book import PriceBook, load_book
from ledger_pipeline.pricing.costing import price

JUDGED_TOGETHER = 5_000
"""Lines that are judged in one go: one look at the database for all of them."""

PROGRESS_LINES = 1_000


def export_jsonl(
    batches: Iterable[pa.RecordBatch], out: BinaryIO, progress: Callable[[int], None] | None = None
) -> int:
    """Writes event batches, such as those of the feed, as lines in their order; answers how many events."""
    written = 0
    for batch in batches:
        # Lines are joined from their columns' texts: a column without values costs nothing, and most have none.
        rows: list[list[str]] = [[] for _ in range(batch.num_rows)]
        for name, kind in EVENT_COLUMNS.items():
            column = batch.column(name)
            if column.null_count == batch.num_rows:
                continue
            fragment = FRAGMENTS[kind]
            for row, value in zip(rows, column.to_pylist(), strict=True):
                if value is not None:
                    row.append(f'"{name}":{fragment(value)}')
        out.write("".join(f"{{{','.join(row)}}}\n" for row in rows).encode())
        written += batch.num_rows
        if progress:
            progress(written)
    return written


def export_rows(rows: Iterable[Mapping[str, Any]], out: BinaryIO) -> int:
    """Writes event rows, such as those of one execution, as lines; answers how many."""
    written = 0
    for row in rows:
        out.write(format_row(row))
        written += 1
    return written


def import_jsonl(
    conn: Connection,
    path: Path,
    rejects_dir: Path,
    progress: Callable[[int], None] | None = None,
    book: PriceBook | None = None,
) -> ImportResult:
    """Adds the file's events that the ledger lacks; `progress` is told the lines read, of both readings.

    The file is judged whole first. A malformed line, and every line of an execution that has one, is put aside under
    `rejects_dir`. Raises InvalidInput, with nothing stored, when the file can't be read or no execution of it can be
    imported; AppendRefused for what only the database can refuse: nothing of an execution of that batch is stored in
    part, and the import may be repeated (see `append_many`). Usage without a `pricing_status` is priced
    from `book`, by default the ledger's at this moment.
    """
    check_file(path)
    latest = latest_time(conn)
    courses, last_line = _judge(conn, path, latest, progress)
    intake = Intake(conn, path)
    positions: dict[UUID, int] = {}
    lines = events = 0
    with Rejects(rejects_dir, path) as rejects:
        for line in read_lines(path):
            if line.number > last_line:
                break
            if line.blank:
                continue
            lines += line.number != rejects.last_line
            reason = courses.faults.get(line.number)
            if reason is None:
                content = parse_line(line, latest)
                execution_id = cast("UUID", content.event.execution_id)
                first_fault = courses.condemned.get(execution_id)
                if first_fault is None:
                    sequence = content.event.sequence or positions.get(execution_id, 0) + 1
                    positions[execution_id] = sequence
                    if isinstance(content.event, TokensUpdated) and content.event.pricing_status is None:
                        if book is None:
                            with conn.transaction():
                                book = load_book(conn)
                        content = LedgerLine(price(book, content.event), None, content.digest)
                    intake.add([_incoming(numbered_row(content, sequence))])
                    events += 1
                else:
                    reason = f"line {first_fault} of its execution can't be imported: {courses.faults[first_fault]}"
            if reason is not None:
                rejects.put(line, reason)
            if progress and lines % PROGRESS_LINES == 0:
                progress(last_line + line.number)
        if not events:
            first = f"line {rejects.first[0].line}: {rejects.first[0].reason}" if rejects.first else "it holds no line"
            raise InvalidInput(f"{path}: no execution of it can be imported: {first}")
        intake.finish()
        if progress:
            progress(2 * last_line)
        kept = rejects.keep()
    return ImportResult(
        source=path,
        lines=lines,
        events=events,
        new_events=intake.new_events,
        executions=len(positions),
        rejects=rejects.count,
        rejects_file=kept,
        first_rejects=tuple(rejects.first),
    )


def _incoming(row: dict[str, Any]) -> Incoming:
    return Incoming(row["execution_id"], row["sequence"], row["event_id"], row["event_type"], lambda: row)


def _judge(
    conn: Connection, path: Path, latest: datetime, progress: Callable[[int], None] | None
) -> tuple[Courses, int]:
    """The first reading: what can't be imported, and the number of the last line that was there."""
    courses = Courses(conn)
    last_line = 0
    for lines in _together(read_lines(path), JUDGED_TOGETHER):
        parsed: list[tuple[int, LedgerLine]] = []
        for line in lines:
            try:
                parsed.append((line.number, parse_line(line, latest)))
            except InvalidInput as error:
                courses.fault(line.number, execution_of(line), str(error))
        courses.judge(parsed)
        last_line = lines[-1].number
        if progress:
            progress(last_line)
    return courses, last_line


def _together(lines: Iterator[SourceLine], size: int) -> Iterator[list[SourceLine]]:
    together: list[SourceLine] = []
    for line in lines:
        if not line.blank:
            together.append(line)
        if len(together) >= size:
            yield together
            together = []
    if together:
        yield together
