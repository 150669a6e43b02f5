"""Rolled weeks back in Postgres for inspection: a copy beside the ledger, which no reader of it looks at."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from psycopg import sql

from ledger_pipeline.cold.manifest import RolledWeekRow, WeekState, week_row
from ledger_pipeline.cold.reader import read_file
from ledger_pipeline.errors import ColdStoreDamaged, InvalidInput
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class RestoredWeek:
    """A week's copy: its table, and how many events it holds."""

    week: date
    table: str
    events: int


def restore_week(
    connection: Connection, cold_dir: ColdStore, week: date, progress: Callable[[int], None] | None = None
) -> RestoredWeek:
    """Copies a rolled week's events into a table of the schema `ledger_quarantine`, all or nothing.

    The copy is judged by the database: each leaf is hashed anew from its row, and count and root must be those that
    the manifest names. Raises InvalidInput for a week that isn't in the cold store, or is restored already;
    ColdStoreDamaged for files or rows that are not what was rolled. `progress` hears how many rows have been copied.
    """
    with translated(), connection.transaction():
        row = _committed(connection, week)
        opened = connection.execute("SELECT open_quarantine(%s) AS table", (week,)).fetchone()
        assert opened is not None
        table: str = opened["table"]
        _fill(connection, table, cold_dir, row, progress)
        _judge(connection, row)
    return RestoredWeek(week, table, row.events)


def drop_restored_week(connection: Connection, week: date) -> bool:
    """Drops a week's copy; answers whether there was one."""
    with translated():
        dropped = connection.execute("SELECT drop_quarantine(%s) AS dropped", (_monday(week),)).fetchone()
    return bool(dropped and dropped["dropped"])


def restored_weeks(connection: Connection) -> list[date]:
    """The weeks that have a copy, oldest first."""
    rows = connection.execute(
        "SELECT to_date(right(relname, 10), 'YYYY_MM_DD') AS week FROM pg_class"
        " WHERE relnamespace = 'ledger_quarantine'::regnamespace AND relkind = 'r' ORDER BY 1"
    ).fetchall()
    return [row["week"] for row in rows]


def _committed(connection: Connection, week: date) -> RolledWeekRow:
    row = week_row(connection, _monday(week))
    if row is None or row.state is not WeekState.COMMITTED:
        raise InvalidInput(f"week: {week} is not in the cold store; `ledger-pipeline roll` moves what is old enough")
    return row


def _monday(week: date) -> date:
    if days := week.weekday():
        raise InvalidInput(f"week: {week} is not a Monday; its week's is {week - timedelta(days=days)}")
    return week


def _fill(
    connection: Connection,
    table: str,
    cold_dir: ColdStore,
    row: RolledWeekRow,
    progress: Callable[[int], None] | None,
) -> None:
    copied = 0
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, EVENT_COLUMNS))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for file in row.files:
            for batch in read_file(cold_dir, file, _BATCH_ROWS):
                columns = (batch.column(name).to_pylist() for name in EVENT_COLUMNS)
                for values in zip(*columns, strict=True):
                    copy.write_row(values)
                copied += batch.num_rows
                if progress:
                    progress(copied)


def _judge(connection: Connection, row: RolledWeekRow) -> None:
    copy = connection.execute("SELECT * FROM close_quarantine(%s)", (row.week,)).fetchone()
    assert copy is not None
    if copy["first_bad"] is not None:
        raise ColdStoreDamaged(f"week {row.week}: event {copy['first_bad']} is not what its leaf is the hash of")
    if (copy["events"], copy["root"]) != (row.events, row.root):
        raise ColdStoreDamaged(
            f"week {row.week}: {copy['events']} events with the root {copy['root'].hex()} are in its files;"
            f" {row.events} with the root {row.root.hex() if row.root else '(none)'} were rolled"
        )
