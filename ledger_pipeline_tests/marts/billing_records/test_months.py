"""When a month is closed, what comes later is an adjustment, and the month stays as it was billed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid5

import pytest

from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.events import make_event
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.conftest import NOW
from ledger_pipeline_tests.marts.differences import differences
from ledger_pipeline_tests.marts.in_memory import InMemorySource, Row, stored

CLOSING = datetime(2026, 4, 8, tzinfo=UTC)
"""March 2026 is closed from this instant on."""
USER = UUID(int=1)

Billed = tuple[str, str, str | None, int, Decimal | None, Decimal | None]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def usage(name: str, occurred_at: datetime, cost: str | None, came: datetime, *, history: bool = False) -> list[Row]:
    """An execution with one model call, as stored by a live way in, or by an import of history."""
    call: dict[str, Any] = {"model_call_id": "m", "model": "sonnet", "input_tokens": 10, "pricing_status": "priced"}
    if cost is None:
        call |= {"pricing_status": "unpriced", "unpriced_reason": "unknown_model", "estimated_cost_usd": Decimal("1.5")}
    else:
        call["cost_usd"] = Decimal(cost)
    events = [
        ("WorkflowCreated", {"workflow_name": "w", "user_id": USER}),
        ("WorkflowStarted", {}),
        ("TokensUpdated", call),
    ]
    return recorded(an_id(name), occurred_at, events, came, history=history)


def repricing(name: str, target: str, target_at: datetime, difference: str, came: datetime) -> list[Row]:
    """A re-pricing run that corrects one call."""
    kind = {"execution_kind": "repricing"}
    corrects = {"target_execution_id": an_id(target), "target_occurred_at": target_at, "target_event_id": an_id("any")}
    corrects |= {"model_call_id": "m", "new_cost_usd": Decimal(1), "difference_usd": Decimal(difference)}
    events = [
        ("WorkflowCreated", {"workflow_name": "repricing", **kind}),
        ("WorkflowStarted", kind),
        ("CostRecalculated", {"reason": "the price was wrong", "model": "sonnet", **corrects, **kind}),
    ]
    return recorded(an_id(name), came, events, came)


def recorded(
    execution_id: UUID,
    occurred_at: datetime,
    events: list[tuple[str, dict[str, Any]]],
    came: datetime,
    *,
    history: bool = False,
) -> list[Row]:
    """The events as rows: a live way in puts them into the week in which they come, an import into their own."""
    envelope = {"execution_id": execution_id, "occurred_at": occurred_at}
    week = week_of(occurred_at if history else came)
    rows = stored(make_event(kind, envelope | own) for kind, own in events)
    return [row | {"recorded_at": came, "week": week} for row in rows]


def an_id(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


def bill(rows: list[Row], home: Path) -> list[Billed]:
    with reading(build_from(InMemorySource(rows), Settings(home=home), NOW).path) as connection:
        return connection.execute(
            "SELECT period, record_type, adjusts_period, calls, cost_usd, billed_amount FROM marts.billing_records "
            "ORDER BY ALL"
        ).fetchall()


@pytest.mark.mission("C1")
def test_what_is_recorded_before_the_closing_is_usage_and_afterwards_an_adjustment(tmp_path: Path) -> None:
    march = at("2026-03-31 23:59:59")
    rows = [
        *usage("in time", march, "1.111", CLOSING - timedelta(microseconds=1)),
        *usage("late", march, "0.004", CLOSING),
        *usage("much later", march, "0.0050", at("2026-07-01 00:00:00")),
    ]
    assert bill(rows, tmp_path) == [
        ("2026-03", "usage", None, 1, Decimal("1.111"), Decimal("1.11")),
        ("2026-04", "adjustment", "2026-03", 1, Decimal("0.004"), Decimal("0.00")),
        ("2026-07", "adjustment", "2026-03", 1, Decimal("0.005"), Decimal("0.01")),
    ]


@pytest.mark.mission("C1")
def test_history_is_usage_of_its_month_whenever_it_is_imported(tmp_path: Path) -> None:
    rows = usage("old", at("2024-02-29 12:00:00"), "2.5", NOW, history=True)
    assert bill(rows, tmp_path) == [("2024-02", "usage", None, 1, Decimal("2.5"), Decimal("2.50"))]


@pytest.mark.mission("C1")
def test_a_repricing_is_an_adjustment_in_the_month_in_which_it_came(tmp_path: Path) -> None:
    march = at("2026-03-10 08:00:00")
    rows = [
        *usage("call", march, "1", march),
        *repricing("soon", "call", march, "-0.005", at("2026-03-20 00:00:00")),
        *repricing("later", "call", march, "0.25", at("2026-06-01 00:00:00")),
    ]
    assert bill(rows, tmp_path) == [
        ("2026-03", "adjustment", "2026-03", 0, Decimal("-0.005"), Decimal("-0.01")),
        ("2026-03", "usage", None, 1, Decimal(1), Decimal("1.00")),
        ("2026-06", "adjustment", "2026-03", 0, Decimal("0.25"), Decimal("0.25")),
    ]


@pytest.mark.mission("A13")
def test_what_has_no_price_is_never_billed(tmp_path: Path) -> None:
    march = at("2026-03-10 08:00:00")
    assert bill(usage("call", march, None, march), tmp_path) == [("2026-03", "usage", None, 1, None, None)]


@pytest.mark.mission("C1")
def test_cents_are_rounded_once_for_all_calls_of_a_row(tmp_path: Path) -> None:
    march = at("2026-03-10 08:00:00")
    rows = [row for n in range(3) for row in usage(f"call {n}", march, "0.004", march)]
    assert bill(rows, tmp_path) == [("2026-03", "usage", None, 3, Decimal("0.012"), Decimal("0.01"))]


def a_year(random: Random) -> Iterator[list[Row]]:
    """Calls of a year, some recorded months later, and re-pricings of some: each as it is recorded."""
    for nth in range(60):
        occurred = at("2026-01-01 00:00:00") + timedelta(hours=random.randrange(300 * 24))
        came = occurred + timedelta(days=random.choice([0, 0, 1, 10, 40, 90]))
        yield usage(str(nth), occurred, random.choice(["0.005", "1.2345", None]), came)
        if nth % 4 == 0:
            yield repricing(f"run {nth}", str(nth), occurred, "0.125", came + timedelta(days=random.randrange(90)))


@pytest.mark.slow
@pytest.mark.mission("C1")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_closed_month_never_changes(tmp_path: Path, seed: int) -> None:
    appends = sorted(a_year(Random(seed)), key=lambda rows: rows[0]["recorded_at"])
    source, settings = InMemorySource(), Settings(home=tmp_path / "grown")
    closed: dict[str, list[Any]] = {}
    for part in (appends[:40], appends[40:60], appends[60:]):
        for rows in part:
            source.add(rows)
        grown = build_from(source, settings, NOW)
        found = months(grown.path)
        assert closed.items() <= found.items()
        today = part[-1][0]["recorded_at"].date()
        closed = {month: rows for month, rows in found.items() if rows[0]["closes_on"] <= today}
        assert closed
    full = build_from(source, Settings(home=tmp_path / "full"), NOW)
    assert differences(grown.path, full.path) == {}


def months(build: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of each period."""
    with reading(build) as connection:
        cursor = connection.execute("FROM marts.billing_records ORDER BY ALL")
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["period"]: [other for other in rows if other["period"] == row["period"]] for row in rows}
