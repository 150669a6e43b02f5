"""What commands print: data as JSON or tables on stdout, everything else on stderr."""

import dataclasses
import enum
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import click


def one_line(text: object) -> str:
    """A message without line breaks."""
    return " ".join(str(text).split())


def plain(value: object) -> Any:
    """A value as JSON holds it: decimals as strings in plain digits, which no reader rounds; times in ISO 8601."""
    match value:
        case None | bool() | int() | float() | str():
            return value.value if isinstance(value, enum.Enum) else value
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat().replace("+00:00", "Z")
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case enum.Enum():
            return plain(value.value)
        case UUID() | Path():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case Iterable():
            return [plain(item) for item in value]
        case _:
            return str(value)


def echo_json(value: object, *, indent: int | None = 2) -> None:
    """Prints a value as JSON in UTF-8, whatever the terminal's encoding."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=indent).encode())


def cell(value: object) -> str:
    """A value as a cell of a table or of a CSV file; NULL is empty."""
    shown = plain(value)
    if shown is None:
        return ""
    if isinstance(shown, bool):
        return "true" if shown else "false"
    return json.dumps(shown, ensure_ascii=False) if isinstance(shown, (dict, list)) else str(shown)


def echo_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = (), title: str | None = None
) -> None:
    """Prints rows as a table; columns named in `right` are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    if title:
        click.echo(title)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", header_style="bold", overflow="fold")
    for row in rows:
        # As Text: square brackets of a value are not markup.
        table.add_row(*(Text(cell(value)) for value in row))
    echo_renderable(table)


def echo_renderable(renderable: object) -> None:
    """Prints something of rich's; uncut where the output is no terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, file=sys.stdout).print(renderable)


def say(message: str) -> None:
    """Tells the user how it goes, on stderr."""
    click.echo(message, err=True)
