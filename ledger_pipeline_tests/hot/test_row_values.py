"""A value that its column can't take: one error that names event, column and what is allowed, whatever the way in."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger_pipeline.errors import InvalidIdentifier, InvalidInput, InvalidTime, LedgerError
from ledger_pipeline.events.catalogue import EVENT_TYPES, USAGE_KINDS, EventRow
from ledger_pipeline.events.row_faults import COLUMN_RULES
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect, translated
from ledger_pipeline_tests.hot.conftest import NOW
from ledger_pipeline_tests.hot.test_commands import digest

Row = dict[str, Any]


@pytest.fixture(scope="module")
def connection(module_ledger_url: str) -> Iterator[Connection]:
    """One connection for all tests: the plans of an append, which take most of a first one, are kept."""
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


CREATED: Row = {"event_type": "WorkflowCreated", "occurred_at": NOW}
USAGE: Row = {
    "event_type": "TokensUpdated",
    "occurred_at": NOW,
    "model_call_id": "c",
    "model": "m",
    "pricing_status": "priced",
    "cost_usd": "0.01",
    "requests": 1,
    **{f"{kind}_tokens": 0 for kind in USAGE_KINDS},
}
LOG: Row = {"event_type": "LogRecorded", "occurred_at": NOW, "log_level": "info", "message": "x"}

TEXT = "text of at least one character, without U+0000 and U+001F"
TIME = "a time with its zone, such as 2026-01-05T09:00:00Z, from 1970 to 9998"
AMOUNT = "an amount from 0 to 1000000000000, a decimal of at most 12 places"
WRONG: list[tuple[type[LedgerError], Row, str, Any, str]] = [
    (InvalidTime, CREATED, "occurred_at", "x", f"is 'x'; allowed: {TIME}"),
    (InvalidTime, CREATED, "occurred_at", True, f"is true; allowed: {TIME}"),
    (InvalidIdentifier, CREATED, "user_id", "x", "'x' is not a UUID"),
    (InvalidIdentifier, CREATED, "event_id", 5, "5 is not a UUID"),
    (InvalidInput, LOG, "attempt", "two", "is 'two'; allowed: a whole number from 1 to 2147483647"),
    (InvalidInput, LOG, "attempt", 0, "is 0; allowed: a whole number from 1 to 2147483647"),
    (InvalidInput, LOG, "attempt", 2**31, f"is {2**31}; allowed: a whole number from 1 to 2147483647"),
    (InvalidInput, LOG, "attempt", 1.5, "is 1.5; allowed: a whole number from 1 to 2147483647"),
    (InvalidInput, LOG, "source_line", 2**63, f"is {2**63}; allowed: a whole number from 1 to {2**63 - 1}"),
    (InvalidInput, USAGE, "input_tokens", -1, "is -1; allowed: a whole number from 0 to 1000000000000"),
    (InvalidInput, USAGE, "input_tokens", None, "is missing; allowed: a whole number from 0 to 1000000000000"),
    (InvalidInput, USAGE, "cost_usd", "NaN", f"is 'NaN'; allowed: {AMOUNT}"),
    (InvalidInput, USAGE, "cost_usd", Decimal("-0.01"), f"is -0.01; allowed: {AMOUNT}"),
    (InvalidInput, USAGE, "cost_usd", "1e40", f"is '1e40'; allowed: {AMOUNT}"),
    (InvalidInput, USAGE, "cost_usd", "ten", f"is 'ten'; allowed: {AMOUNT}"),
    (InvalidInput, USAGE, "pricing_status", "free", "is 'free'; allowed: priced, unpriced"),
    (InvalidInput, USAGE, "pricing_status", None, "is missing; allowed: priced, unpriced"),
    (InvalidInput, LOG, "log_level", "loud", "is 'loud'; allowed: debug, info, warning, error"),
    (InvalidInput, LOG, "message", None, f"is missing; allowed: {TEXT}"),
    (InvalidInput, LOG, "message", "", f"is ''; allowed: {TEXT}"),
    (InvalidInput, CREATED, "workflow_name", "", f"is ''; allowed: {TEXT}"),
    (InvalidInput, LOG, "cost_usd", "1", "is no column of LogRecorded; leave it out"),
    (
        InvalidInput,
        LOG,
        "payload",
        "{",
        "is '{'; allowed: the JSON text of an object, without U+0000 and lone surrogates",
    ),
]
COERCED: list[tuple[type[LedgerError], Row, str, Any, str]] = [
    (InvalidInput, LOG, "message", 5, f"is 5; allowed: {TEXT}"),
    (InvalidInput, LOG, "message", {"a": 1}, f"is {{'a': 1}}; allowed: {TEXT}"),
    (InvalidInput, LOG, "payload", {"a": 1}, "is {'a': 1}; allowed: the JSON text of an object"),
    (InvalidInput, USAGE, "cost_usd", float("nan"), f"is nan; allowed: {AMOUNT}"),
    (InvalidInput, USAGE, "cost_usd", 0.1, f"is 0.1; allowed: {AMOUNT}"),
    (InvalidInput, USAGE, "cost_usd", "0.1234567890123", f"is '0.1234567890123'; allowed: {AMOUNT}"),
    (InvalidTime, LOG, "occurred_at", "infinity", "is 'infinity'; allowed: a time with its zone"),
    (InvalidTime, LOG, "occurred_at", "9999-06-01T00:00:00Z", "is '9999-06-01T00:00:00Z'; allowed: a time with its"),
    (InvalidTime, LOG, "occurred_at", datetime(2026, 1, 5), "is '2026-01-05 00:00:00'; allowed: a time with its zone"),
    (InvalidTime, LOG, "occurred_at", "2026-01-05T09:00:00", "is '2026-01-05T09:00:00'; allowed: a time with its"),
    (InvalidInput, LOG, "details", {}, "is no column of an event; what has none belongs into the payload"),
]
"""What PostgreSQL would read as something else, or leave out."""


def request(row: Row, name: str, value: Any) -> tuple[UUID, list[Row]]:
    """An execution's first events, the last of them with a wrong value."""
    execution_id = uuid.uuid4()
    step = {"step_id": str(uuid.uuid4()), "path": "0", "step_order": 0, "step_name": "s"}
    rows = [row] if row is CREATED else [{**CREATED, "payload": json.dumps({"plan": [step]})}, row]
    rows = [{**each, "execution_id": execution_id} for each in rows]
    rows[-1] |= {name: value}
    return execution_id, rows


def by_sql(connection: Connection, execution_id: UUID, rows: list[Row]) -> None:
    given = [{**row, "ordinal": nth} for nth, row in enumerate(rows)]
    with translated():
        connection.execute("SELECT append(%s, %s::json)", (execution_id, json.dumps(given, default=str)))


def by_one(connection: Connection, execution_id: UUID, rows: list[Row]) -> None:
    append(connection, execution_id, rows)


def by_many(connection: Connection, execution_id: UUID, rows: list[Row]) -> None:
    append_many(connection, rows)


def by_many_unjudged(connection: Connection, execution_id: UUID, rows: list[Row]) -> None:
    """What says that it was judged, and was not: only the database's tables look at it."""
    append_many(connection, [EventRow(row) for row in rows])


Way = Callable[[Connection, UUID, list[Row]], None]


@pytest.mark.mission("A2")
@pytest.mark.parametrize("way", [by_one, by_many, by_sql])
@pytest.mark.parametrize(("error", "row", "name", "value", "fault"), WRONG)
def test_a_wrong_value_is_refused_in_the_same_words_whatever_the_way_in(
    connection: Connection, way: Way, error: type[LedgerError], row: Row, name: str, value: Any, fault: str
) -> None:
    execution_id, rows = request(row, name, value)
    before = digest(connection)
    with pytest.raises(error) as caught:
        way(connection, execution_id, rows)
    assert type(caught.value) is error
    said = f"events[{len(rows) - 1}].{name}: {fault}"
    assert str(caught.value).replace("True", "true") == said
    assert digest(connection) == before


@pytest.mark.mission("A2")
@pytest.mark.parametrize("way", [by_one, by_many])
@pytest.mark.parametrize(("error", "row", "name", "value", "fault"), COERCED)
def test_nothing_is_read_as_something_else(
    connection: Connection, way: Way, error: type[LedgerError], row: Row, name: str, value: Any, fault: str
) -> None:
    execution_id, rows = request(row, name, value)
    with pytest.raises(error) as caught:
        way(connection, execution_id, rows)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"events[{len(rows) - 1}].{name}: {fault}")


BY_SQL = [
    *(case for case in COERCED if not isinstance(case[3], (dict, float)) and not str(case[3]).startswith("9999")),
    (InvalidInput, LOG, "message", {"a": 1}, 'is {"a": 1}; allowed: text of at least one character'),
    (InvalidInput, LOG, "message", 7, "is 7; allowed: text of at least one character"),
    (InvalidInput, LOG, "agent_name", True, "is true; allowed: text of at least one character"),
    (InvalidInput, LOG, "mesage", "a", "is no column of an event; what has none belongs into the payload"),
    (InvalidInput, LOG, "batch", "b", "is no column of an event; what has none belongs into the payload"),
    (InvalidIdentifier, LOG, "agent_id", 7, "7 is not a UUID"),
    (InvalidTime, LOG, "occurred_at", 20260105, "is 20260105; allowed: a time with its zone"),
    (InvalidTime, LOG, "occurred_at", "2026-01-05", "is '2026-01-05'; allowed: a time with its zone"),
]
"""What JSON can hold of it: a number is exact there, and a payload may be an object."""


@pytest.mark.mission("A2")
@pytest.mark.parametrize(("error", "row", "name", "value", "fault"), BY_SQL)
def test_nothing_is_read_as_something_else_by_sql(
    connection: Connection, error: type[LedgerError], row: Row, name: str, value: Any, fault: str
) -> None:
    test_nothing_is_read_as_something_else(connection, by_sql, error, row, name, value, fault)


@pytest.mark.mission("A2")
@pytest.mark.parametrize("name", ["message", "agent_name"])
def test_a_text_with_a_unit_separator_is_refused_whatever_the_way_in(connection: Connection, name: str) -> None:
    for way in (by_one, by_many, by_sql, by_many_unjudged):
        execution_id, rows = request(LOG, name, "a\x1fb")
        with pytest.raises(InvalidInput, match=rf"^events\[1\].{name}: is .*; allowed: text of at least one character"):
            way(connection, execution_id, rows)


@pytest.mark.mission("A2")
@pytest.mark.parametrize(
    ("error", "row", "name", "value", "fault"),
    [case for case in WRONG if case[3] in (0, -1, "", "loud", "free", Decimal("-0.01"), "NaN", None)],
)
def test_what_reaches_the_tables_of_a_batch_is_named_as_well(
    connection: Connection, error: type[LedgerError], row: Row, name: str, value: Any, fault: str
) -> None:
    execution_id, rows = request(row, name, value)
    before = digest(connection)
    with pytest.raises(error) as caught:
        by_many_unjudged(connection, execution_id, rows)
    assert f".{name}: " in str(caught.value)
    assert digest(connection) == before


def test_what_is_no_list_and_no_event_is_said_so_by_sql(connection: Connection) -> None:
    for given, fault in (("{}", r"^events: is {}; allowed: a list"), ("[5]", r"^events\[0\]: is 5; allowed: an event")):
        with pytest.raises(InvalidInput, match=fault), translated():
            connection.execute("SELECT append(%s, %s::json)", (uuid.uuid4(), given))


@pytest.mark.mission("A2")
@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_each_column_has_a_rule_that_its_class_agrees_with(event_type: str) -> None:
    own = {name for name, rule in COLUMN_RULES.items() if event_type in rule.types}
    fields = EVENT_TYPES[event_type].model_fields
    assert own - {"event_type", "payload"} == {name for name in fields if name in COLUMN_RULES}
    assert {name for name in own if event_type in COLUMN_RULES[name].required_by} >= {
        name for name, field in fields.items() if field.is_required() and name in COLUMN_RULES
    }


@pytest.mark.mission("A11")
def test_an_amount_is_taken_as_text_as_decimal_and_as_a_whole_number(connection: Connection) -> None:
    for amount in ("1.5", Decimal("1.500000000000"), 2):
        execution_id, rows = request(USAGE, "cost_usd", amount)
        append(connection, execution_id, rows)
        row = connection.execute(
            "SELECT cost_usd FROM workflow_events WHERE execution_id = %s AND sequence = 2", (execution_id,)
        ).fetchone()
        assert row == {"cost_usd": Decimal(amount)}


def test_a_login_with_no_right_to_the_judging_functions_may_still_not_call_them(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE ledger_application")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT value_fault('{}')")
