"""Cost tables of the current marts: what was spent, by whatever costs are charged to."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb

DIMENSIONS = {
    "day": "day",
    "month": "month",
    "model": "model",
    "workflow": "workflow_name",
    "agent": "agent_name",
    "customer": "customer_id",
    "mode": "mode",
}
"""What a report may be by, and the column of `marts.cost_daily` that holds it."""

_MEASURES = (
    "CAST(sum(calls) AS BIGINT), CAST(sum(total_tokens) AS BIGINT), sum(cost_usd), sum(corrected_estimate_usd), "
    "CAST(sum(calls) - sum(priced_calls) - sum(repriced_calls) AS BIGINT), sum(recorded_cost_usd), sum(corrections_usd)"
)


@dataclass(frozen=True)
class CostLine:
    """One line: the dimensions' values, then calls, tokens, exact cost in USD (None: nothing of it was priced),
    the estimate of what has no cost yet, how many calls that is, what the sources themselves recorded, and what
    re-pricing runs found since.
    """

    values: tuple[object, ...]
    calls: int
    tokens: int
    cost_usd: Decimal | None
    estimated_cost_usd: Decimal | None
    unpriced_calls: int
    recorded_cost_usd: Decimal | None
    corrections_usd: Decimal | None


def cost_report(marts: duckdb.DuckDBPyConnection, by: Sequence[str]) -> list[CostLine]:
    """The costs by these dimensions, in their order; those of weeks that were removed under retention as well."""
    columns = [DIMENSIONS[name] for name in by]
    keys = ", ".join(columns)
    spent = marts.sql("FROM marts.cost_daily UNION ALL BY NAME SELECT * EXCLUDE (week) FROM marts.removed_costs")
    lines = spent.aggregate(f"{keys}, {_MEASURES}", keys).order(keys).fetchall()
    return [CostLine(line[: len(by)], *line[len(by) :]) for line in lines]


def total(lines: Sequence[CostLine]) -> CostLine:
    """The sum of the lines."""
    return CostLine(
        (),
        sum(line.calls for line in lines),
        sum(line.tokens for line in lines),
        sum((line.cost_usd or Decimal(0) for line in lines), Decimal(0)),
        sum((line.estimated_cost_usd or Decimal(0) for line in lines), Decimal(0)),
        sum(line.unpriced_calls for line in lines),
        sum((line.recorded_cost_usd or Decimal(0) for line in lines), Decimal(0)),
        sum((line.corrections_usd or Decimal(0) for line in lines), Decimal(0)),
    )


def usd(amount: Decimal | None) -> str:
    """An amount for reading, in cents, rounded half even; empty when there is none."""
    return "" if amount is None else f"{amount:,.2f}"
