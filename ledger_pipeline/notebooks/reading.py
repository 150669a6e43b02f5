"""What both notebooks read with: frames of the current marts, and figures as text.

Money stays `Decimal` in every frame; charts, which know only floats, take a cast of their own.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import polars as pl
import polars.selectors as cs


def frame(marts: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> pl.DataFrame:
    """The answer of one SELECT over the marts."""
    return marts.sql(sql, params=list(parameters)).pl()


def for_chart(data: pl.DataFrame) -> pl.DataFrame:
    """The same rows with floats in place of decimals, for the eye only."""
    return data.with_columns(cs.decimal().cast(pl.Float64))


def for_table(data: pl.DataFrame) -> pl.DataFrame:
    """The same rows with amounts of 6 decimals, which a page has room for."""
    return data.with_columns(cs.decimal().round(6).cast(pl.Decimal(38, 6)))


def usd(amount: Decimal | None) -> str:
    """An amount in USD, rounded to cents as a bill would be; a dash for none."""
    return "–" if amount is None else f"${amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
