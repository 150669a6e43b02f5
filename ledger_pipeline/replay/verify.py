"""`verify`: re-hashes every stored event, hot and cold, and names the first bad one of each execution."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, LiteralString, cast

import duckdb
import pyarrow as pa

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.checkpoint_check import checkpoint_problems
from ledger_pipeline.replay.cold_check import read_week
from ledger_pipeline.replay.foreign_columns import foreign_expression
from ledger_pipeline.replay.verification import Problem, Report, describe_fault

_SQL = Path(__file__).parent / "sql"
_ROWS = 50_000

_SEGMENT_SCHEMA = pa.schema(
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
)
_HEAD_SCHEMA = pa.schema([("execution_id", pa.string()), ("last_sequence", pa.int64()), ("head_hash", pa.binary())])
_FEED_SCHEMA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("tx", pa.int64()),
        ("execution_id", pa.string()),
        ("sequence", pa.int64()),
        ("leaf", pa.binary()),
    ]
)


def _sql(name: str) -> LiteralString:
    return cast("LiteralString", (_SQL / name).read_text())


def _copy(
    connection: Connection,
    work: duckdb.DuckDBPyConnection,
    query: LiteralString,
    parameters: dict[str, Any],
    table: str,
    schema: pa.Schema,
) -> None:
    """Adds a query's rows to a table of `work`, in bounded memory; `parameters` fill columns that rows lack."""
    with connection.cursor(name="verify", binary=True) as cursor:
        cursor.itersize = _ROWS
        rows = iter(cursor.execute(query, parameters))
        while batch := list(islice(rows, _ROWS)):
            arrow = pa.Table.from_pylist([parameters | row for row in batch], schema=schema)  # noqa: F841
            work.execute(f"INSERT INTO {table} SELECT * FROM arrow")  # noqa: S608  # a table of ours


def _read_hot(connection: Connection, work: duckdb.DuckDBPyConnection, week: Any, *, for_checkpoints: bool) -> None:
    segments = cast("LiteralString", _sql("segments_hot.sql").replace("/*foreign*/", foreign_expression()))
    _copy(connection, work, segments, {"week": week}, "segments", _SEGMENT_SCHEMA)
    if for_checkpoints:
        leaves = "SELECT epoch, tx, execution_id::text, sequence, leaf FROM workflow_events WHERE week = %(week)s"
        _copy(connection, work, leaves, {"week": week}, "feed", _FEED_SCHEMA)


def _faults(work: duckdb.DuckDBPyConnection, *, complete: bool) -> list[Problem]:
    rows = work.execute(_sql("first_faults.sql")).fetchall()
    # Where a week could not be read, what its executions lack is told by its files.
    kept = [row for row in rows if complete or row[3] == "altered"]
    return [
        Problem(describe_fault(execution, sequence, fault, other), event_id=event)
        for execution, sequence, event, fault, other in kept
    ]


def verify(connection: Connection, cold_dir: Path, progress: Callable[[int], None] | None = None) -> Report:
    """Checks leaves, chains, sequences and heads of every execution, and files, roots and checkpoints.

    `progress` is told how many events have been checked. One read of hot and cold together: the manifest stays locked
    against a roll's last step while hot rows are hashed.
    """
    problems: list[Problem] = []
    complete = True
    with TemporaryDirectory(prefix="ledger-verify-") as folder, duckdb.connect() as work, translated():
        work.execute("SET temp_directory = $folder", {"folder": folder})
        work.execute(_sql("segments.sql"))
        with open_read(connection):
            checkpoints = connection.execute("SELECT EXISTS (SELECT FROM checkpoints) AS any").fetchone()
            for_checkpoints = bool(checkpoints and checkpoints["any"])
            for week in committed_weeks(connection):
                read, found = read_week(work, cold_dir, week, for_checkpoints=for_checkpoints)
                complete &= read
                problems += found
                _tell(work, progress)
            for row in connection.execute(_sql("hot_weeks.sql")).fetchall():
                _read_hot(connection, work, row["week"], for_checkpoints=for_checkpoints)
                _tell(work, progress)
            heads = "SELECT id::text AS execution_id, last_sequence, head_hash FROM execution_heads"
            _copy(connection, work, heads, {}, "heads", _HEAD_SCHEMA)
            closed, found = checkpoint_problems(connection, work) if complete else (0, [])
        problems += _faults(work, complete=complete)
        problems += found
        events, weeks = work.execute("SELECT coalesce(sum(events), 0), count(DISTINCT week) FROM segments").fetchall()[
            0
        ]
        executions = work.execute("SELECT count(*) FROM heads").fetchall()[0][0]
    return Report(int(events), executions, weeks, closed, problems)


def _tell(work: duckdb.DuckDBPyConnection, progress: Callable[[int], None] | None) -> None:
    if progress is not None:
        progress(int(work.execute("SELECT coalesce(sum(events), 0) FROM segments").fetchall()[0][0]))
