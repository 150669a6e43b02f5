"""What a short history gives in each mart: story.yaml in, <mart>/expected.csv out."""

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pyarrow as pa
import pytest
import yaml

from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.events import make_event
from ledger_pipeline.marts import staging
from ledger_pipeline.marts.build import Build, build_from
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.conftest import NOW
from ledger_pipeline_tests.marts.in_memory import InMemorySource, stored

FOLDER = Path(__file__).parent
_NO_UUIDS = {"operator_id", "model_call_id"}
_NAMES: dict[str, str] = {}


def an_id(name: str) -> UUID:
    """The id that a name of the story stands for."""
    made = uuid5(UUID(int=0), name)
    _NAMES[str(made)] = name
    return made


def with_ids(value: Any, key: str = "") -> Any:
    """The story's value with its names made into ids."""
    if isinstance(value, dict):
        return {k: with_ids(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [with_ids(item) for item in value]
    return an_id(value) if key.endswith("_id") and key not in _NO_UUIDS and key != "price_id" else value


def an_instant(text: str) -> datetime:
    return datetime.fromisoformat(text if "-" in text else f"2026-03-02 {text}").replace(tzinfo=UTC)


def as_text(value: Any) -> str:
    """A value as the CSV files write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    return _NAMES.get(str(value), str(value))


def prices() -> pa.Table:
    """The price book of pricing_history/expected.csv, as its source stated it."""
    with (FOLDER / "pricing_history" / "expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    given = [
        {
            "price_id": str(an_id(row["price_id"])),
            **{name: row[name] for name in ("provider", "model", "usage_kind", "source")},
            "service_tier": "standard",
            "region": "any",
            "context_tier": 0,
            "daily_window": "any",
            "usd_per_million": Decimal(row["usd_per_million"]) if row["usd_per_million"] else None,
            "valid_from": datetime.fromisoformat(row["valid_from"]),
            "known_from": datetime.fromisoformat(row["known_from"]),
            "withdrawn": row["withdrawn"] == "true",
        }
        for row in rows
    ]
    return pa.Table.from_pylist(given, staging.PRICE_SCHEMA)


def removed_costs() -> pa.Table:
    """What a removed week cost, as in removed_costs/expected.csv, and one whose events are still there."""
    usage = {"workflow_name": "deploy", "user_id": str(an_id("ada")), "provider": "anthropic", "model": "claude-3-opus"}
    measures = {"calls": 3, "priced_calls": 2, "total_tokens": 4000}
    money = {"cost_usd": Decimal("0.12"), "estimated_cost_usd": Decimal("0.01"), "corrected_cost_usd": Decimal("0.12")}
    rows = [
        {"week": week, "day": week + timedelta(days=2), "month": f"{week:%Y-%m}", **usage, **measures, **money}
        for week in (date(2024, 1, 1), date(2026, 3, 2))
    ]
    return pa.Table.from_pylist(rows, staging.REMOVED_COSTS_SCHEMA)


def budgets() -> pa.Table:
    """A budget of each scope: of a workflow by day, an agent by week, a customer by month."""
    made = {"created_at": datetime(2026, 3, 11, 12, tzinfo=UTC)}
    given = [
        {
            "budget_id": "of-tuning",
            "scope": "workflow",
            "workflow_name": "tuning",
            "period": "day",
            "limit_tokens": 100,
        },
        {"budget_id": "of-reviewer", "scope": "agent", "agent_id": "reviewer", "period": "week", "limit_usd": "0.01"},
        {"budget_id": "of-acme", "scope": "customer", "customer_id": "acme", "period": "month", "limit_usd": "1"},
        {"budget_id": "unused", "scope": "workflow", "workflow_name": "nobody", "period": "year", "limit_usd": "1"},
    ]
    ids = {"budget_id", "agent_id", "customer_id"}
    rows = [made | {k: str(an_id(v)) if k in ids else v for k, v in row.items()} for row in given]
    for row in rows:
        row["limit_usd"] = Decimal(row["limit_usd"]) if "limit_usd" in row else None
    return pa.Table.from_pylist(rows, staging.BUDGET_SCHEMA)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The marts of the story."""
    events = []
    for line in yaml.safe_load((FOLDER / "story.yaml").read_text()):
        fields = with_ids(line)
        at, of, kind = an_instant(fields.pop("at")), an_id(fields.pop("of")), fields.pop("type")
        if "target_occurred_at" in fields:
            fields["target_occurred_at"] = an_instant(fields["target_occurred_at"])
        events.append(make_event(kind, {**fields, "execution_id": of, "occurred_at": at}))
    source = InMemorySource(prices_table=prices(), budgets_table=budgets(), removed_table=removed_costs())
    source.add(stored(events))
    return build_from(source, Settings(home=tmp_path_factory.mktemp("told")), NOW)


@pytest.mark.mission("C1")
@pytest.mark.mission("C2")
@pytest.mark.parametrize("mart", marts())
def test_the_story_gives_the_expected_rows(told: Build, mart: str) -> None:
    with (FOLDER / mart / "expected.csv").open() as file:
        expected = list(csv.reader(file))
    names = ", ".join(expected[0])
    with reading(told.path) as connection:
        rows = connection.execute(f"SELECT {names} FROM marts.{mart}").fetchall()
    found = [[as_text(value) for value in row] for row in rows]
    if mart == "reconciliation":
        found = [row for row in found if row[:3] in [line[:3] for line in expected]]
    assert sorted(found) == sorted(expected[1:])
