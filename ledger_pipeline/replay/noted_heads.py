"""Names the executions that have lost, changed or got events since a batch was closed, by the heads noted then."""

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from ledger_pipeline.cold.files import path_of
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.notes import NotedHead
from ledger_pipeline.cold.tree import Batch
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verification import Problem, describe_noted_fault
from ledger_pipeline.settings import ColdStore

NAMED_EXECUTIONS = 20
"""Executions of a batch that are named, of those that differ."""

_SQL = Path(__file__).parent / "sql"
_NOTED = pa.schema(
    [("batch", pa.int64()), ("execution_id", pa.string()), ("sequence", pa.int64()), ("hash", pa.binary())]
)
_DOUBTFUL = pa.schema(
    [("n", pa.int64()), ("epoch", pa.int32()), ("first_tx", pa.int64()), ("end_tx", pa.int64())],
)
_PRESENT = pa.schema(
    [("event_id", pa.string()), ("execution_id", pa.string()), ("sequence", pa.int64()), ("hash", pa.binary())]
)
_HOT = """
    SELECT e.event_id::text AS event_id, e.execution_id::text AS execution_id, e.sequence, e.hash
    FROM unnest(%s::uuid[], %s::bigint[]) AS n (execution_id, sequence)
    JOIN workflow_events e USING (execution_id, sequence)
"""
_COLD = """
    INSERT INTO present
    SELECT event_id, execution_id, sequence, hash FROM read_parquet($files, hive_partitioning = false)
    SEMI JOIN noted USING (execution_id, sequence)
"""


def noted_problems(
    connection: Connection,
    work: duckdb.DuckDBPyConnection,
    files: Sequence[str],
    heads: Sequence[NotedHead],
    doubtful: Sequence[Batch],
    named: Collection[str],
) -> list[Problem]:
    """What the noted heads tell of batches in doubt, without the executions that are `named` already.

    `work` holds the feed and the segments; `files` are the cold ones.
    """
    if not heads:
        return []
    work.execute((_SQL / "noted.sql").read_text())
    rows = [{"batch": noted.batch, **noted.head._asdict()} for noted in heads]
    for table, given, schema in (("noted", rows, _NOTED), ("present", _hot(connection, heads), _PRESENT)):
        work.register("rows", pa.Table.from_pylist(given, schema=schema))
        work.execute(f"INSERT INTO {table} SELECT * FROM rows")  # noqa: S608  a table of ours
        work.unregister("rows")
    if files:
        work.execute(_COLD, {"files": list(files)})
    bounds = [{name: getattr(batch, name) for name in _DOUBTFUL.names} for batch in doubtful]
    work.register("doubtful", pa.Table.from_pylist(bounds, schema=_DOUBTFUL))
    found = work.execute((_SQL / "noted_faults.sql").read_text()).fetchall()
    work.unregister("doubtful")
    problems: list[Problem] = []
    left_out: dict[int, int] = {}
    told: dict[int, int] = {}
    for batch, execution_id, sequence, event_id, fault, other in found:
        if execution_id in named:
            continue
        if told.setdefault(batch, 0) == NAMED_EXECUTIONS:
            left_out[batch] = left_out.get(batch, 0) + 1
            continue
        told[batch] += 1
        problems.append(Problem(describe_noted_fault(execution_id, sequence, batch, fault, other), event_id=event_id))
    problems += [Problem(f"batch {batch}: {count} more executions differ") for batch, count in left_out.items()]
    return problems


def _hot(connection: Connection, heads: Sequence[NotedHead]) -> list[dict[str, object]]:
    executions = [noted.head.execution_id for noted in heads]
    sequences = [noted.head.sequence for noted in heads]
    return connection.execute(_HOT, (executions, sequences)).fetchall()


def cold_files(cold_dir: ColdStore, weeks: Sequence[RolledWeekRow]) -> list[str]:
    """The paths of the weeks' files."""
    return [str(path_of(cold_dir, file.name)) for week in weeks for file in week.files]
