"""Weeks that were removed under retention: what is kept of them stands in for their events in a verification."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verification import Problem

_SCHEMA = pa.schema(
    [
        ("week", pa.date32()),
        ("execution_id", pa.string()),
        ("first_sequence", pa.int64()),
        ("last_sequence", pa.int64()),
        ("first_leaf", pa.binary()),
        ("first_hash", pa.binary()),
        ("last_hash", pa.binary()),
    ]
)
_ROWS = 50_000


def removals(weeks: Sequence[RolledWeekRow]) -> list[str]:
    """A sentence for each removed week."""
    return [f"week {week.week}: {week.events} events were {week.removal}" for week in weeks]


def read_removed(
    connection: Connection, work: duckdb.DuckDBPyConnection, weeks: Sequence[RolledWeekRow]
) -> list[Problem]:
    """Adds what is kept of removed weeks to the segments in `work`, with no events; answers what is wrong with it."""
    problems: list[Problem] = []
    for week in weeks:
        row = connection.execute(
            "SELECT events, root, segments_hash = removed_segments_hash(week) AS whole"
            " FROM removed_weeks WHERE week = %s",
            (week.week,),
        ).fetchone()
        assert row is not None
        if (row["events"], row["root"]) != (week.events, week.root):
            problems.append(Problem(f"week {week.week}: was removed with another count or root than the manifest says"))
        if not row["whole"]:
            problems.append(
                Problem(f"week {week.week}: what was kept of its executions when it was removed was changed")
            )
        with connection.cursor(binary=True) as cursor:
            cursor.execute(
                "SELECT week, execution_id::text AS execution_id, first_sequence, last_sequence, first_leaf,"
                " first_hash, last_hash FROM removed_segments WHERE week = %s",
                (week.week,),
            )
            while rows := cursor.fetchmany(_ROWS):
                work.register("batch", pa.Table.from_pylist(rows, schema=_SCHEMA))
                work.execute("INSERT INTO segments BY NAME SELECT *, 0 AS events FROM batch")
                work.unregister("batch")
    return problems
