"""`check_projections`: proves every projection row equal to a replay of its execution's events."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from psycopg import sql

from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.projection_tables import (
    MOST_NAMED,
    TABLES,
    RowDifference,
    compare_each,
)
from ledger_pipeline.replay.replayed_rows import Head, check_known, page_of_heads, replay_page
from ledger_pipeline.settings import ColdStore

_STRAY = sql.SQL(
    """
    SELECT t.{owner} AS execution_id, count(*) AS rows
    FROM {table} t
    LEFT JOIN execution_heads h ON h.id = t.{owner}
    WHERE h.id IS NULL OR h.pruned_at IS NOT NULL
    GROUP BY 1
    ORDER BY 1
    """
)


@dataclass
class ProjectionReport:
    """What was compared, how many rows of each table differ, and the first of those."""

    executions: int = 0
    rows: int = 0
    differing: Counter[str] = field(default_factory=Counter[str])
    differences: list[RowDifference] = field(default_factory=list[RowDifference])

    @property
    def ok(self) -> bool:
        """Whether every row equals its replay."""
        return not self.differing

    @property
    def first(self) -> RowDifference | None:
        """The first row that differs."""
        return self.differences[0] if self.differences else None

    def note(self, table: str, count: int, named: Sequence[RowDifference]) -> None:
        """Adds the differing rows of a table."""
        if count:
            self.differing[table] += count
            self.differences += named[: MOST_NAMED - len(self.differences)]


def check_projections(
    connection: Connection,
    cold_dir: ColdStore,
    execution_ids: Sequence[UUID] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ProjectionReport:
    """Compares the rows of all executions, or of some, with replays from the first event; pruned ones have none.

    Each batch is read at one instant, so appends may go on meanwhile. The connection must not be in a transaction.
    `progress` is told how many executions are done. Raises NotFound for an execution that doesn't exist, and
    ColdStoreDamaged for a file that is missing or altered.
    """
    report = ProjectionReport()
    with translated():
        check_known(connection, execution_ids)
        last: Head | None = None
        while True:
            with open_read(connection):
                page = page_of_heads(connection, last, execution_ids)
                if not page:
                    break
                replayed = replay_page(connection, cold_dir, page)
                ids = [head.id for head in page]
                for table in TABLES:
                    rows = replayed.rows[table.name]
                    report.note(table.name, *compare_each(connection, table, ids, rows))
                    report.rows += len(rows)
            report.executions += len(page)
            last = page[-1]
            if progress is not None:
                progress(report.executions)
        if execution_ids is None:
            _note_stray_rows(connection, report)
    return report


def _note_stray_rows(connection: Connection, report: ProjectionReport) -> None:
    """Rows of executions that don't exist or were pruned."""
    for table in TABLES[1:]:
        query = _STRAY.format(table=sql.Identifier(table.name), owner=sql.Identifier(table.owner))
        for row in connection.execute(query).fetchall():
            what = f"{row['rows']} stored, but the execution does not exist or was pruned"
            named = RowDifference(table.name, str(row["execution_id"]), row["execution_id"], (), what)
            report.note(table.name, row["rows"], [named])
