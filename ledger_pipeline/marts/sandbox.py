"""`sql`: one read-only statement over the current marts, and its answer as a table, CSV or JSON."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.marts.publish import as_of_this_version, connect_readonly
from ledger_pipeline.settings import Settings

_ALLOWED = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_BATCH_ROWS = 10_000
_WIDEST = 10_000
_NUMBER = re.compile(r"[-–]?|-?[\d,]+(\.\d+)?")


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def query(settings: Settings, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of one SELECT over the current marts.

    Raises InvalidInput, in one line, for anything else: writes, several statements, files, other databases, settings.
    """
    connection = connect_readonly(settings)
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise InvalidInput(f"sql: expected one statement, got {len(statements)}: run them one by one")
        if statements[0].type not in _ALLOWED:
            raise InvalidInput(
                f"sql: {statements[0].type.name} is not allowed: marts are read-only; allowed are SELECT, FROM, "
                "DESCRIBE, SHOW, SUMMARIZE and EXPLAIN"
            )
        with as_of_this_version(connection):
            cursor = connection.execute(statements[0])
        names = [column[0] for column in cursor.description or ()]
        rows: list[tuple[Any, ...]] = []
        while batch := cursor.fetchmany(_BATCH_ROWS):
            rows += batch
    except duckdb.PermissionException:
        raise InvalidInput("sql: files, other databases and extensions are out of reach: query schema marts") from None
    except duckdb.Error as error:
        raise InvalidInput(f"sql: {_one_line(error)}") from None
    finally:
        connection.close()
    return names, rows


def run_sql(settings: Settings, sql: str, format: str = Format.TABLE) -> str:
    """The answer of one SELECT as text: a table, CSV with a header line, or a JSON list of objects.

    Decimals stay exact: plain digits in CSV, strings in JSON. Times are ISO 8601 in UTC. CSV writes NULL as nothing.
    """
    if format not in list(Format):
        raise InvalidInput(f"format: {format!r} is not known; allowed: {', '.join(Format)}")
    names, rows = query(settings, sql)
    if format == Format.JSON:
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise InvalidInput(
                f"sql: two columns are named {twice[0]}: JSON needs names that differ, give one an alias"
            )
        items = [dict(zip(names, map(json_value, row), strict=True)) for row in rows]
        return json.dumps(items, ensure_ascii=False, indent=2)
    if format == Format.CSV:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_text(value) for value in row] for row in rows)
        return out.getvalue().removesuffix("\n")
    return as_table(names, rows)


def as_table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None, total: Sequence[Any] | None = None
) -> str:
    """Rows as a table as wide as it needs to be; numbers to the right, a total below a line."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    lines = [[_text(value) for value in row] for row in (*rows, *([total] if total else []))]
    for index, name in enumerate(names):
        numbers = all(_NUMBER.fullmatch(line[index]) for line in lines)
        table.add_column(name, justify="right" if numbers else "left", no_wrap=True)
    for line in lines:
        if total and line is lines[-1]:
            table.add_section()
        table.add_row(*line)
    console = Console(file=io.StringIO(), width=_WIDEST, highlight=False, markup=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().strip("\n").splitlines())


def json_value(value: Any) -> Any:
    """A value of DuckDB's as JSON holds it without loss."""
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value)


def _one_line(error: duckdb.Error) -> str:
    """The error and its hint, without the excerpt of the statement that follows them."""
    lines = [line.strip() for line in str(error).split("\n\n")[0].splitlines() if line.strip()]
    return " ".join(lines)
