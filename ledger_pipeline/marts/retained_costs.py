"""What is kept of a week's costs when it is removed: its part of `cost_daily`, from the published marts."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from ledger_pipeline.cold.retention import Costs
from ledger_pipeline.engines.duckdb.tables import dict_rows
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.settings import Settings

_USAGE = "FROM marts.model_usage"


@contextmanager
def costs_by_week(settings: Settings) -> Generator[Costs]:
    """A function that answers a week's costs; raises NotFound when no marts are published."""
    query = marts()["cost_daily"].query
    assert query.count(_USAGE) == 1
    of_week = query.replace(_USAGE, f"{_USAGE} SEMI JOIN (SELECT $week::DATE AS week) AS removed USING (week)")
    with connect_readonly(settings) as connection:

        def costs_of(week: date) -> Sequence[Mapping[str, Any]]:
            return dict_rows(connection.execute(of_week, {"week": week}))

        yield costs_of
