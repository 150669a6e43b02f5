"""What the Dagster UI shows of a build: first rows of each mart, sums of money, and cost by month."""

from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb

from ledger_pipeline.defs.plots import bar_chart
from ledger_pipeline.defs.tables import markdown_table
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.engines.duckdb.tables import quoted
from ledger_pipeline.marts.definitions import Mart, marts

ROWS = 8
WIDEST = 8
"""Columns of the widest table that is shown upright; a wider one lies on its side, a line for each column."""
ROWS_LYING = 4

MONTHS = 24
NEWEST_FIRST = (
    *("day", "date", "period", "month", "week", "period_start", "occurred_at"),
    *("last_execution_at", "created_at", "valid_from"),
)
"""Columns of time, the first that a mart has orders its preview; `rank` comes before any of them."""

Metadata = dict[str, dg.MarkdownMetadataValue | float]


def previews(path: Path) -> dict[str, Metadata]:
    """Metadata of each mart of a build; one read-only session reads it all."""
    connection = reading(path)
    try:
        return {mart.name: _metadata(connection, mart) for mart in marts().values()}
    finally:
        connection.close()


def _metadata(connection: duckdb.DuckDBPyConnection, mart: Mart) -> Metadata:
    shown: Metadata = {"preview": dg.MetadataValue.md(_first_rows(connection, mart))}
    if "cost_usd" in mart.types:
        row = connection.execute(f"SELECT sum(cost_usd) FROM {mart.table}").fetchone()  # noqa: S608  a name
        # A float only for the UI's plot over time; the exact sums are in the marts.
        shown["cost USD"] = float(row[0]) if row and row[0] is not None else 0.0
        if "month" in mart.types:
            months = _cost_by_month(connection, mart)
            shown["cost by month"] = dg.MetadataValue.md(markdown_table(("month", "USD"), months))
            shown["cost by month, plotted"] = dg.MetadataValue.md(bar_chart("USD by month", months[::-1]))
    return shown


def _first_rows(connection: duckdb.DuckDBPyConnection, mart: Mart) -> str:
    upright = len(mart.types) <= WIDEST
    limit = ROWS if upright else ROWS_LYING
    query = f"SELECT * FROM {mart.table} ORDER BY {_order(mart)} LIMIT ?"  # noqa: S608  names
    rows = connection.execute(query, [limit]).fetchall()
    if upright:
        return markdown_table(list(mart.types), rows)
    return markdown_table(["column", *([""] * len(rows))], zip(mart.types, *rows, strict=True))


def _order(mart: Mart) -> str:
    if "rank" in mart.types:
        return "rank"
    newest = next((f"{name} DESC NULLS LAST" for name in NEWEST_FIRST if name in mart.types), None)
    return ", ".join([*filter(None, [newest]), *map(quoted, mart.grain)])


def _cost_by_month(connection: duckdb.DuckDBPyConnection, mart: Mart) -> list[tuple[str, Decimal]]:
    """The newest months, newest first, with their cost in whole cents, half even: for the eye only."""
    query = (
        f"SELECT month, coalesce(sum(cost_usd), 0) FROM {mart.table} "  # noqa: S608  a name
        "GROUP BY month ORDER BY month DESC LIMIT ?"
    )
    rows: list[tuple[str, Decimal]] = connection.execute(query, [MONTHS]).fetchall()
    return [(month, round(cost, 2)) for month, cost in rows]
