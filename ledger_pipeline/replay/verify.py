"""`verify`: re-hashes every stored event, hot and cold, and names the first bad one of each execution."""

from collections.abc import Callable
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, LiteralString, cast

import duckdb
import pyarrow as pa
from psycopg import sql

from ledger_pipeline.cold.folder import strays
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.tree import read_tree
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.checkpoint_check import checkpoint_problems
from ledger_pipeline.replay.cold_check import batches, read_weeks
from ledger_pipeline.replay.foreign_columns import foreign_expression
from ledger_pipeline.replay.note_check import KeptNotes, note_findings
from ledger_pipeline.replay.noted_heads import cold_files, noted_problems
from ledger_pipeline.replay.removed_check import read_removed, removals
from ledger_pipeline.replay.tree_check import tree_problems
from ledger_pipeline.replay.verification import Problem, Report, describe_fault
from ledger_pipeline.settings import ColdStore

_SQL = Path(__file__).parent / "sql"
_ROWS = 50_000

# The tables that rows of the hot store are copied into; their columns are those of segments.sql.
_SCHEMAS: dict[str, Any] = {
    "segments": pa.schema(
        [
            ("week", pa.date32()),
            ("execution_id", pa.string()),
            ("events", pa.int64()),
            ("first_sequence", pa.int64()),
            ("last_sequence", pa.int64()),
            ("first_event", pa.string()),
            ("last_event", pa.string()),
            ("first_leaf", pa.binary()),
            ("first_hash", pa.binary()),
            ("last_hash", pa.binary()),
            ("bad_sequence", pa.int64()),
            ("bad_event", pa.string()),
            ("fault", pa.string()),
        ]
    ),
    "heads": pa.schema([("execution_id", pa.string()), ("last_sequence", pa.int64()), ("head_hash", pa.binary())]),
    "feed": pa.schema(
        [
            ("epoch", pa.int32()),
            ("tx", pa.int64()),
            ("execution_id", pa.string()),
            ("sequence", pa.int64()),
            ("leaf", pa.binary()),
        ]
    ),
}


_FEED = sql.SQL("SELECT epoch, tx, execution_id::text, sequence, leaf FROM workflow_events WHERE week = {week}")
_HEADS = sql.SQL("SELECT id::text AS execution_id, last_sequence, head_hash FROM execution_heads")


def _sql(name: str) -> LiteralString:
    return cast("LiteralString", (_SQL / name).read_text())


_SEGMENTS = sql.SQL(cast("LiteralString", _sql("segments_hot.sql").replace("/*foreign*/", foreign_expression())))


def _copy(
    connection: Connection,
    work: duckdb.DuckDBPyConnection,
    query: sql.SQL | sql.Composed,
    table: str,
    constants: dict[str, Any] | None = None,
) -> None:
    """Adds a query's rows to a table of `work`, in bounded memory; `constants` are columns that the rows lack."""
    # A stream, because a cursor's plan is never parallel.
    with connection.cursor(binary=True) as cursor:
        rows = cursor.stream(query, binary=True, size=1_000)
        while batch := list(islice(rows, _ROWS)):
            full = [constants | row for row in batch] if constants else batch
            work.register("batch", pa.Table.from_pylist(full, schema=_SCHEMAS[table]))
            work.execute(f"INSERT INTO {table} SELECT * FROM batch")  # noqa: S608  a table of ours
            work.unregister("batch")


def _read_hot(connection: Connection, work: duckdb.DuckDBPyConnection, week: date, *, for_checkpoints: bool) -> None:
    _copy(connection, work, _SEGMENTS.format(week=sql.Literal(week)), "segments", {"week": week})
    if for_checkpoints:
        _copy(connection, work, _FEED.format(week=sql.Literal(week)), "feed")


def _faults(work: duckdb.DuckDBPyConnection, *, complete: bool) -> dict[str, Problem]:
    """The first fault of each execution that has one."""
    rows = work.execute(_sql("first_faults.sql")).fetchall()
    # Where a week could not be read, what its executions lack is told by its files.
    kept = [row for row in rows if complete or row[3] == "altered"]
    return {
        execution: Problem(describe_fault(execution, sequence, fault, other), event_id=event)
        for execution, sequence, event, fault, other in kept
    }


def verify(
    connection: Connection,
    cold_dir: ColdStore,
    progress: Callable[[int], None] | None = None,
    notes: KeptNotes | None = None,
) -> Report:
    """Checks leaves, chains, sequences and heads of every execution, and files, roots, checkpoints and the tree.

    `progress` is told how many events have been checked; `notes` are such that the tree must agree with. One read of
    hot and cold together: the manifest stays locked against a roll's last step while hot rows are hashed.
    """
    problems: list[Problem] = []
    complete = True
    with TemporaryDirectory(prefix="ledger-verify-") as folder, duckdb.connect() as work, translated():
        work.execute("SET temp_directory = $folder", {"folder": folder})
        work.execute(_sql("segments.sql"))
        with open_read(connection):
            checkpoints = connection.execute("SELECT EXISTS (SELECT FROM checkpoints) AS any").fetchone()
            for_checkpoints = bool(checkpoints and checkpoints["any"])
            archived = committed_weeks(connection)
            committed = [week for week in archived if week.removal is None]
            gone = [week for week in archived if week.removal is not None]
            problems += read_removed(connection, work, gone)
            problems += [Problem(what) for what in strays(connection, cold_dir, missing=False)]
            for weeks in batches(committed):
                read, found = read_weeks(work, cold_dir, weeks, for_checkpoints=for_checkpoints)
                complete &= read
                problems += found
                _tell(work, progress)
            for row in connection.execute(_sql("hot_weeks.sql")).fetchall():
                _read_hot(connection, work, row["week"], for_checkpoints=for_checkpoints)
                _tell(work, progress)
            _copy(connection, work, _HEADS, "heads")
            faults = _faults(work, complete=complete)
            problems += faults.values()
            tree = read_tree(connection)
            problems += tree_problems(connection, tree)
            closed, found, doubtful = checkpoint_problems(connection, work, gone) if complete else ([], [], set[int]())
            problems += found
            if notes is not None:
                findings = note_findings(notes, tree, doubtful)
                problems += findings.problems
                if complete:
                    in_doubt = {noted.batch for noted in findings.heads}
                    batches_in_doubt = [batch for batch in closed if batch.n in in_doubt]
                    files = cold_files(cold_dir, committed)
                    problems += noted_problems(connection, work, files, findings.heads, batches_in_doubt, faults)
        events = _one(work, "SELECT coalesce(sum(events), 0) FROM segments")
        weeks_read = _one(work, "SELECT count(DISTINCT week) FROM segments WHERE events > 0")
        executions = _one(work, "SELECT count(*) FROM heads")
    return Report(events, executions, weeks_read, len(closed), problems, removals(gone))


def _one(work: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(work.execute(query).fetchall()[0][0])


def _tell(work: duckdb.DuckDBPyConnection, progress: Callable[[int], None] | None) -> None:
    if progress is not None:
        progress(_one(work, "SELECT coalesce(sum(events), 0) FROM segments"))
