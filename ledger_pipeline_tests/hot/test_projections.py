"""Each projection row equals the replay of its events, however the events were cut into appends."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import set_json_loads

from ledger_pipeline.events.catalogue import CLIENT_COLUMNS
from ledger_pipeline.events.fold import fold_all
from ledger_pipeline.events.state import initial
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.simulate import run_simulation, simulate
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.costing import price
from ledger_pipeline_tests.events.histories import legal_histories

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
IGNORED = {"created_at", "updated_at", "steps_done"}


@pytest.fixture
def connection(ledger_url: str) -> Iterator[Connection]:
    with connect(ledger_url, autocommit=True) as opened:
        yield opened


KEYS = {
    "workflow_executions": "id",
    "workflow_steps": "id",
    "executions": "id",
    "workflow_artifacts": "id",
    "workflow_approvals": "id",
    "execution_log": "sequence",
}


@pytest.fixture
def rows(connection: Connection) -> list[dict[str, Any]]:
    book = load_book(connection)
    # One family of another seed brings the population, which executions refer to.
    run_simulation(connection, book, 1, 1, 8, NOW)
    return [event.to_row() for event in simulate(40, 60, 7, NOW, partial(price, book))]


def _by_execution(rows: Iterable[dict[str, Any]]) -> dict[UUID, list[dict[str, Any]]]:
    grouped: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[UUID(str(row["execution_id"]))].append(row)
    return grouped


def assert_rows_equal_replays(connection: Connection, execution_ids: list[UUID] | None = None) -> int:
    """Compares every row of every projection with the fold of its execution's events; answers how many rows."""
    compared = 0
    set_json_loads(partial(json.loads, parse_float=Decimal), connection)
    heads = connection.execute(
        "SELECT id FROM execution_heads WHERE %(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s)", {"ids": execution_ids}
    ).fetchall()
    for head in heads:
        events = connection.execute(
            "SELECT *, payload::text AS payload FROM workflow_events WHERE execution_id = %s ORDER BY sequence",
            (head["id"],),
        ).fetchall()
        expected = state_as_rows(fold_all(initial(), events), events)
        for table, key in KEYS.items():
            column = "id" if table == "workflow_executions" else "execution_id"
            stored = connection.execute(f"SELECT * FROM {table} WHERE {column} = %s", (head["id"],)).fetchall()
            stored_by_key = {row[key]: row for row in stored}
            expected_by_key = {row[key]: row for row in expected[table]}
            assert stored_by_key.keys() == expected_by_key.keys(), table
            for name, row in expected_by_key.items():
                found = {k: v for k, v in stored_by_key[name].items() if k not in IGNORED}
                different = {k: (found[k], row.get(k)) for k in found if found[k] != row.get(k)}
                assert not different, (table, name, different)
                compared += 1
    return compared


@pytest.mark.mission("A9")
def test_rows_equal_replays_after_a_bulk_append(connection: Connection, rows: list[dict[str, Any]]) -> None:
    assert append_many(connection, rows, history=True) == len(rows)
    assert assert_rows_equal_replays(connection) > len(rows) / 10


@pytest.mark.mission("A9")
def test_rows_equal_replays_however_the_events_are_cut(connection: Connection, rows: list[dict[str, Any]]) -> None:
    # One event, a few, or many at a time must leave the same rows as one batch does.
    append_many(connection, rows[:0], history=True)
    choose = random.Random(7)
    executions = _by_execution(rows)
    append_many(connection, [r for rs in list(executions.values())[:3] for r in rs], history=True, batch_size=7)
    for execution_id, events in list(executions.items())[3:]:
        weeks = {row["occurred_at"] for row in events}
        connection.execute(
            "SELECT make_leaf(r.event_type, w) FROM state_rules r,"
            " (SELECT DISTINCT week_of(t) AS w FROM unnest(%s::timestamptz[]) t) weeks",
            (list(weeks),),
        )
        start = 0
        while start < len(events):
            end = start + choose.choice((1, 1, 1, 2, 5, 20))
            while end < len(events) and events[end]["event_type"] == "BudgetExceeded":
                end += 1
            append(connection, execution_id, events[start:end], history=True)
            start = end
    assert assert_rows_equal_replays(connection) > 0


@pytest.mark.mission("A9")
@given(rows=legal_histories(40), data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_rows_equal_replays_of_any_legal_history(
    module_ledger_url: str, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    # Times need not ascend, operators may be missing: what counts is the order of the events.
    fresh = str(uuid4())[:19]

    def renewed(value: Any) -> Any:
        """The same history under ids that no earlier example has used."""
        if isinstance(value, UUID):
            return UUID(renewed(str(value)))
        return value.replace("00000000-0000-0000-", fresh) if isinstance(value, str) else value

    again = [
        {name: renewed(row[name]) for name in CLIENT_COLUMNS if name not in ("event_id", "sequence")} for row in rows
    ]
    cut = data.draw(st.integers(0, len(again)))
    with connect(module_ledger_url, autocommit=True) as connection:
        for part in (again[:cut], again[cut:]):
            append_many(connection, part, history=True)
        assert_rows_equal_replays(connection, [again[0]["execution_id"]])
