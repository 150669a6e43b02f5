"""Small tables as the Dagster UI shows them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

LONGEST_CELL = 120


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; decimals in plain digits without trailing zeros, times in UTC to the second, NULL empty."""
    lines = [columns, ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown_list(items: Iterable[str]) -> str:
    """A Markdown list; `none` for no items."""
    return "\n".join(f"- {_escaped(item)}" for item in items) or "none"


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            text = format(value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            text = " ".join(str(value).split())
            return _escaped(text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
