"""Answers that only the marts can give: they say as of which build."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from ledger_pipeline.pages import Page, Part, Request, instant, optional, text
from ledger_pipeline.queries.pruned import Marts

T = TypeVar("T")


@dataclass(frozen=True)
class PageAsOf(Page[T]):
    """A page of what the marts hold; what was recorded after `as_of`, the time of their build, is not in it."""

    as_of: datetime


@dataclass(frozen=True)
class MartAnswer(Generic[T]):
    """A mart as an answer: the values of its items, what each filter compares, and the key of its order."""

    name: str
    item: type[T]
    conditions: dict[str, str]
    key: tuple[tuple[str, str, Part], ...]
    """Column, its type in DuckDB, and how a cursor's part is read; together they are the mart's grain."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """How a cursor is read."""
        return tuple(part for _, _, part in self.key)

    def page(self, marts: Marts, request: Request) -> PageAsOf[T]:
        """One page of the rows that meet the filters."""
        names = [field.name for field in fields(self.item)]  # pyright: ignore[reportArgumentType]  a dataclass
        rows = marts.execute(*self.statement(names, request)).fetchall()
        items = [self.item(**dict(zip(names, map(_value, row), strict=True))) for row in rows]
        page = request.page(items, lambda item: tuple(getattr(item, column) for column, _, _ in self.key))
        built = marts.execute("SELECT built_at FROM staging.build").fetchall()[0][0]
        return PageAsOf(page.items, page.next_cursor, _value(built))

    def statement(self, names: Sequence[str], request: Request) -> tuple[str, dict[str, Any]]:
        """The statement of a page, with its parameters; NULL comes last, as in DuckDB's comparison of rows."""
        conditions = [f"{self.conditions[name]} ${name}" for name in request.filters]
        parameters: dict[str, Any] = {name: _parameter(value) for name, value in request.filters.items()}
        order = ", ".join(column for column, _, _ in self.key)
        if request.after:
            after = ", ".join(f"$after_{column}::{kind}" for column, kind, _ in self.key)
            conditions.append(f"ROW({order}) > ROW({after})")
            parameters |= {
                f"after_{key[0]}": _parameter(value) for key, value in zip(self.key, request.after, strict=True)
            }
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return (
            f"SELECT {', '.join(names)} FROM marts.{self.name}{where} ORDER BY {order} LIMIT $rows",  # noqa: S608
            parameters | {"rows": request.page_size + 1},
        )


@dataclass(frozen=True)
class ModeCost:
    """Usage and cost of one mode, user and UTC month, in USD; None where nothing of it has a price."""

    mode: str | None
    user_id: UUID | None
    month: str
    calls: int
    priced_calls: int
    total_tokens: int
    cost_usd: Decimal | None
    estimated_cost_usd: Decimal | None
    corrections_usd: Decimal
    corrected_cost_usd: Decimal | None
    corrected_estimate_usd: Decimal | None


@dataclass(frozen=True)
class BillingRecord:
    """What a user and customer are billed in a UTC month for a model: usage, or an adjustment of an earlier month.

    `cost_usd` is exact, `billed_amount` it rounded once to cents; both None where nothing of it has a price.
    """

    user_id: UUID | None
    customer_id: UUID | None
    period: str
    model: str | None
    record_type: str
    adjusts_period: str | None
    month: str
    calls: int
    unpriced_calls: int
    corrections: int
    tokens_in: int
    tokens_out: int
    total_tokens: int
    cost_usd: Decimal | None
    billed_amount: Decimal | None
    currency: str
    estimated_cost_usd: Decimal | None
    closes_on: date


@dataclass(frozen=True)
class Metric:
    """One metric of one user in one period, about everything or about one model, mode or tool."""

    metric_type: str
    aggregation_period: str
    period_start: datetime
    user_id: UUID | None
    dimension: str
    model: str | None
    mode: str | None
    tool: str | None
    value: Decimal | None
    unit: str
    numerator: Decimal | None
    denominator: int
    estimated_cost_usd: Decimal | None


COST_BY_MODE = MartAnswer(
    name="cost_by_mode",
    item=ModeCost,
    conditions={"user": "user_id =", "mode": "mode =", "month": "month ="},
    key=(("mode", "VARCHAR", optional(text)), ("user_id", "UUID", optional(UUID)), ("month", "VARCHAR", text)),
)

BILLING = MartAnswer(
    name="billing_records",
    item=BillingRecord,
    conditions={"period": "period =", "user": "user_id =", "customer": "customer_id =", "model": "model ="},
    key=(
        ("period", "VARCHAR", text),
        ("customer_id", "UUID", optional(UUID)),
        ("user_id", "UUID", optional(UUID)),
        ("model", "VARCHAR", optional(text)),
        ("record_type", "VARCHAR", text),
        ("month", "VARCHAR", text),
    ),
)
METRICS = MartAnswer(
    name="observability_metrics",
    item=Metric,
    conditions={
        "metric_type": "metric_type =",
        "aggregation_period": "aggregation_period =",
        "user": "user_id =",
        "dimension": "dimension =",
        "model": "model =",
        "mode": "mode =",
        "tool": "tool =",
        "period_from": "period_start >=",
        "period_to": "period_start <",
    },
    key=(
        ("metric_type", "VARCHAR", text),
        ("aggregation_period", "VARCHAR", text),
        ("period_start", "TIMESTAMPTZ", instant),
        ("user_id", "UUID", optional(UUID)),
        ("dimension", "VARCHAR", text),
        ("model", "VARCHAR", optional(text)),
        ("mode", "VARCHAR", optional(text)),
        ("tool", "VARCHAR", optional(text)),
    ),
)


def _value(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _parameter(value: Any) -> Any:
    return value if isinstance(value, (int, Decimal, datetime, UUID)) or value is None else str(value)
