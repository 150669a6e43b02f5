"""`report`: what models cost, by day, month, model, workflow, agent, customer or mode."""

# ruff: noqa: S608  names of tables and columns are our own; values are parameters

from dataclasses import dataclass
from decimal import Decimal

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.marts.sandbox import as_table
from ledger_pipeline.settings import Settings

GROUPS = {
    "day": "day",
    "month": "month",
    "model": "model",
    "workflow": "workflow_name",
    "agent": "agent_name",
    "customer": "customer_id",
    "mode": "mode",
}
"""What a report can group by, and the column of `marts.cost_daily` that holds it."""

_IN_ORDER_OF_TIME = {"day", "month"}
_CENT = Decimal("0.01")
_SMALLEST_SHOWN = Decimal("0.0001")


@dataclass(frozen=True)
class ReportRow:
    """Usage and cost of one group, or of all. USD; a cost is None where no call has one.

    `cost_usd` is what the price book says, `estimated_cost_usd` the cautious guess for calls without a price, and
    `recorded_cost_usd` what the sources themselves recorded: three amounts that are never added up.
    """

    group: str | None
    calls: int
    unpriced_calls: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cost_usd: Decimal | None
    corrections_usd: Decimal | None
    estimated_cost_usd: Decimal | None
    recorded_cost_usd: Decimal | None


@dataclass(frozen=True)
class Report:
    """A cost report: its groups, dearest first (days and months in order), and the total of all of them."""

    by: str
    rows: tuple[ReportRow, ...]
    total: ReportRow


_NOTE = """\
cost: by the price book at each call's time. corrections: what re-pricing runs found since. estimated: $0.01 a token
for calls without a price, not part of cost. recorded: what the sources said. tokens in: cached ones included."""

_SUMS = """
    CAST(coalesce(sum(calls), 0) AS BIGINT),
    CAST(coalesce(sum(calls - priced_calls), 0) AS BIGINT),
    CAST(coalesce(sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens), 0) AS BIGINT),
    CAST(coalesce(sum(output_tokens + reasoning_tokens), 0) AS BIGINT),
    CAST(coalesce(sum(total_tokens), 0) AS BIGINT),
    sum(cost_usd),
    sum(corrections_usd),
    sum(estimated_cost_usd),
    sum(recorded_cost_usd)
"""


def report(settings: Settings, by: str = "month") -> Report:
    """Usage and cost of all workflows; raises InvalidInput for an unknown group, NotFound when there are no marts."""
    if by not in GROUPS:
        raise InvalidInput(f"by: {by!r} is not known; allowed: {', '.join(GROUPS)}")
    order = "1" if by in _IN_ORDER_OF_TIME else "7 DESC NULLS LAST, 9 DESC NULLS LAST, 1"
    connection = connect_readonly(settings)
    try:
        rows = connection.execute(
            f"SELECT CAST({GROUPS[by]} AS VARCHAR), {_SUMS} FROM marts.cost_daily GROUP BY 1 ORDER BY {order}"
        ).fetchall()
        total = connection.execute(f"SELECT 'total', {_SUMS} FROM marts.cost_daily").fetchall()[0]
    finally:
        connection.close()
    return Report(by, tuple(ReportRow(*row) for row in rows), ReportRow(*total))


def as_text(found: Report) -> str:
    """The report as a table for a terminal, the total last."""
    names = [found.by, "calls", "unpriced", "tokens in", "tokens out"]
    names += ["cost $", "corrections $", "estimated $", "recorded $"]
    table = as_table(names, [*map(_line, found.rows)], f"Usage and cost by {found.by}", _line(found.total))
    return f"{table}\n{_NOTE}"


def _line(row: ReportRow) -> list[str]:
    counts = (row.calls, row.unpriced_calls, row.input_tokens, row.output_tokens)
    amounts = (row.cost_usd, row.corrections_usd, row.estimated_cost_usd, row.recorded_cost_usd)
    return [row.group or "(none)", *(f"{count:,}" for count in counts), *map(_usd, amounts)]


def _usd(amount: Decimal | None) -> str:
    """Cents, or four places where cents would show nothing; display only."""
    if amount is None:
        return "–"
    places = _CENT if amount == 0 or abs(amount) >= _CENT else _SMALLEST_SHOWN
    return f"{amount.quantize(places):,f}"
