"""The SQL of this package, and what every statement of it needs."""

from importlib.resources import files
from typing import Any, LiteralString, cast

from ledger_pipeline.hot.database import Connection


def read_sql(name: str) -> LiteralString:
    """One statement of this package's `sql` folder."""
    text = files("ledger_pipeline.templates").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return cast("LiteralString", text)


def rows(connection: Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """What a statement answers; planned anew each time, since which filters are set decides the index."""
    return connection.execute(read_sql(name), parameters, prepare=False).fetchall()
