"""Tables of a DuckDB session: names and texts quoted, columns described, comments set."""

# ruff: noqa: S608  names of tables and columns are our own; values are parameters

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb


def literal(text: str) -> str:
    """A text as an SQL literal, for the statements that take no parameters (ATTACH, COMMENT)."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    """The columns that a query gives, in order, with their types."""
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {query}").fetchall()}


def create_table(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str]) -> None:
    """An empty table; `name` is `schema.table`."""
    body = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
    connection.execute(f"CREATE TABLE {name} ({body})")


def comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, text: str) -> None:
    """Describes a table or view (`kind`) where every tool shows it."""
    connection.execute(f"COMMENT ON {kind} {name} IS {literal(text)}")


def comment_columns(connection: duckdb.DuckDBPyConnection, name: str, texts: Mapping[str, str]) -> None:
    """Describes columns where every tool shows them."""
    for column, text in texts.items():
        connection.execute(f"COMMENT ON COLUMN {name}.{quoted(column)} IS {literal(text)}")


def dict_rows(cursor: duckdb.DuckDBPyConnection, most: int | None = None) -> list[dict[str, Any]]:
    """The answer's rows, or the next `most` of them, by their columns' names."""
    names = [column[0] for column in cursor.description or ()]
    rows = cursor.fetchall() if most is None else cursor.fetchmany(most)
    return [dict(zip(names, row, strict=True)) for row in rows]


def count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Rows of a table or view."""
    return connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]


def same(left: str, right: str, columns: Iterable[str]) -> str:
    """A condition that two rows agree in some columns, NULL being a value like any other."""
    return " AND ".join(f"{left}.{quoted(name)} IS NOT DISTINCT FROM {right}.{quoted(name)}" for name in columns)
