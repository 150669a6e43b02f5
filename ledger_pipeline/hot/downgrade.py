"""What a downgrade would lose: found by doing it inside a savepoint, and refused where people recorded something."""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, literal_column

_COLUMNS = """
SELECT c.relname AS table, a.attname AS column, pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_NOT_PEOPLES = frozenset({"created_at", "updated_at"})
"""Columns that the database fills in by itself."""
_PASSING = frozenset({"append_staging", "projection_rebuilds"})
"""Tables whose rows live for one call."""


@dataclass(frozen=True)
class _Column:
    table: str
    name: str
    default: str | None


def _columns(connection: Connection) -> set[_Column]:
    return {_Column(*row) for row in connection.exec_driver_sql(_COLUMNS)}


def refuse_loss(connection: Connection, undo: Callable[[], None]) -> None:
    """Raises RuntimeError, naming tables and columns, when what `undo` drops holds something that was recorded.

    A dropped table must be empty, a dropped column must hold its default everywhere. Events and what follows from them
    are in tables that stay. `undo` is done and rolled back.
    """
    before = _columns(connection)
    connection.exec_driver_sql("SET LOCAL ROLE ledger_owner")
    for table in sorted({column.table for column in before}):
        # Nothing may be recorded between the look and the drop.
        connection.exec_driver_sql(f'LOCK TABLE ONLY ledger."{table}" IN SHARE ROW EXCLUSIVE MODE')
    connection.exec_driver_sql("RESET ROLE")
    savepoint = connection.begin_nested()
    undo()
    after = _columns(connection)
    savepoint.rollback()
    kept_tables = {column.table for column in after}
    gone = {(column.table, column.name) for column in before} - {(column.table, column.name) for column in after}
    connection.exec_driver_sql("SET LOCAL ROLE ledger_owner")
    lost: set[str] = set()
    for column in before:
        if (column.table, column.name) not in gone or column.table in _PASSING:
            continue
        if column.table not in kept_tables:
            if _any(connection, column.table):
                lost.add(column.table)
        elif column.name not in _NOT_PEOPLES:
            changed = sqlalchemy.column(column.name).is_distinct_from(literal_column(column.default or "NULL"))
            if _any(connection, column.table, changed):
                lost.add(f"{column.table}.{column.name}")
    connection.exec_driver_sql("RESET ROLE")
    if lost:
        raise RuntimeError(
            f"the downgrade would lose what was recorded in {', '.join(sorted(lost))}: it is refused while there is "
            "any; nothing was changed"
        )


def _any(connection: Connection, table: str, condition: ColumnElement[bool] | None = None) -> bool:
    """Whether a table has a row, or one that fulfils the condition."""
    rows = sqlalchemy.select(literal_column("1")).select_from(sqlalchemy.table(table, schema="ledger"))
    if condition is not None:
        rows = rows.where(condition)
    return bool(connection.execute(sqlalchemy.select(rows.exists())).scalar())
