"""Budgets are set, listed and removed, by whom the drive lets, and wrong ones are refused by name."""

import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ledger_pipeline import Ledger
from ledger_pipeline.budgets.budget import Budgets
from ledger_pipeline.errors import InvalidIdentifier, InvalidInput, InvalidReference, LedgerError, NotFound
from ledger_pipeline.events.columns import MAX_TOKENS
from ledger_pipeline.hot.database import Connection
from ledger_pipeline_tests.budgets.conftest import Spender

RIGHT: dict[str, Any] = {"workflow_name": "deploy", "period": "month", "limit_usd": "10"}


def test_a_budget_is_set_set_anew_listed_and_removed(ledger: Ledger, spender: Spender) -> None:
    made = ledger.budgets.set(**RIGHT, reason="too much last month")
    assert (made.scope, made.target, made.limit_usd, made.thresholds) == ("workflow", "deploy", 10, (80, 100))
    again = ledger.budgets.set(
        workflow_name="deploy", period="month", limit_tokens=5, thresholds=[100, 50], reason="and less"
    )
    assert (again.id, again.limit_usd, again.limit_tokens, again.thresholds) == (made.id, None, 5, (50, 100))
    assert again.updated_at > made.updated_at
    others = [
        ledger.budgets.set(**RIGHT | {"period": "week"}),
        ledger.budgets.set(**RIGHT, drive_id=spender.drive),
        ledger.budgets.set(customer_id=spender.customer, period="month", limit_usd=Decimal("0.000000000001")),
        ledger.budgets.set(agent_id=str(spender.agent), period="month", limit_usd=1),
    ]
    assert ledger.budgets.list() == [again, *others]
    assert ledger.budgets.list(drive_id=spender.drive) == [others[1]]
    assert ledger.budgets.list(after=others[1].id, limit=1) == [others[2]]
    ledger.budgets.remove(made.id, reason="gone")
    with pytest.raises(NotFound):
        ledger.budgets.get(made.id)
    logged = ledger.connection.execute(
        "SELECT action, reason, drive_id FROM admin_log WHERE object_kind = 'budgets' AND object_id = %s ORDER BY at",
        (str(made.id),),
    ).fetchall()
    assert [(row["action"], row["reason"]) for row in logged] == [
        ("create", "too much last month"),
        ("update", "and less"),
        ("delete", "gone"),
    ]


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"limit_usd": None}, InvalidInput, "limit_usd: is missing, and limit_tokens too"),
        ({"limit_usd": "ten"}, InvalidInput, "limit_usd: is 'ten'; "),
        ({"limit_usd": 0.1}, InvalidInput, "limit_usd: is 0.1; money is a decimal, never a float"),
        ({"limit_usd": 0}, InvalidInput, "limit_usd: is 0; allowed: more than 0"),
        ({"limit_usd": "-1"}, InvalidInput, "limit_usd: is '-1'; input should be greater than or equal to 0"),
        ({"limit_usd": "NaN"}, InvalidInput, "limit_usd: is 'NaN'; "),
        ({"limit_usd": "1e30"}, InvalidInput, "limit_usd: is '1e30'; input should be less than or equal to"),
        ({"limit_usd": "1e-13"}, InvalidInput, "limit_usd: is '1e-13'; has more than 12 decimal places"),
        ({"limit_tokens": 0}, InvalidInput, "limit_tokens: is 0; allowed: a whole number, 1 or more"),
        ({"limit_tokens": 1.5}, InvalidInput, "limit_tokens: is 1.5"),
        (
            {"limit_tokens": MAX_TOKENS + 1},
            InvalidInput,
            "limit_tokens: is 1000000000001; allowed: a whole number from 1",
        ),
        ({"period": "fortnight"}, InvalidInput, "period: 'fortnight' is not known; allowed: day, week, month"),
        ({"period": None}, InvalidInput, "period: None is not known"),
        ({"workflow_name": None}, InvalidInput, "workflow_name: 0 of workflow_name, agent_id, customer_id are given"),
        ({"agent_id": uuid.uuid4()}, InvalidInput, "agent_id: 2 of workflow_name, agent_id, customer_id are given"),
        ({"workflow_name": " "}, InvalidInput, "workflow_name: is empty"),
        ({"workflow_name": "a\x1fb"}, InvalidInput, "workflow_name: is 'a\\\\x1fb'; must not contain the control"),
        ({"workflow_name": None, "agent_id": "x"}, InvalidIdentifier, "agent_id: 'x' is not a UUID"),
        ({"workflow_name": None, "agent_id": uuid.UUID(int=7)}, InvalidReference, "agent_id: agent .*7 does not exist"),
        (
            {"workflow_name": None, "customer_id": uuid.UUID(int=7)},
            InvalidReference,
            "customer_id: customer .* does not",
        ),
        ({"drive_id": uuid.UUID(int=7)}, InvalidReference, "drive_id: drive .* does not exist, or you may not see it"),
        ({"thresholds": []}, InvalidInput, r"thresholds: is \[\]; allowed: up to 20 different whole percents"),
        ({"thresholds": [80, 80]}, InvalidInput, r"thresholds: is \[80, 80\]"),
        ({"thresholds": [0]}, InvalidInput, "thresholds: 0 is none; allowed"),
        ({"thresholds": [1001]}, InvalidInput, "thresholds: 1001 is none"),
        ({"thresholds": [99.5]}, InvalidInput, "thresholds: 99.5 is none"),
        ({"thresholds": "80"}, InvalidInput, "thresholds: is '80'"),
        ({"thresholds": list(range(1, 22))}, InvalidInput, "thresholds: is "),
    ],
)
def test_what_makes_no_budget_is_refused_by_name_and_leaves_nothing(
    ledger: Ledger, change: dict[str, Any], kind: type[LedgerError], says: str
) -> None:
    with pytest.raises(kind, match=f"^{says}"):
        ledger.budgets.set(**RIGHT | change)
    assert ledger.budgets.list() == []


@pytest.mark.parametrize(
    "wrong",
    [
        "scope = 'agent'",
        "scope = 'execution'",
        "limit_usd = NULL",
        "limit_usd = 0",
        "limit_usd = 'NaN'",
        "limit_usd = 'infinity'",
        "limit_tokens = -1",
        "period = 'never'",
        "workflow_name = ''",
        "workflow_name = chr(31)",
        "thresholds = '{}'",
        "thresholds = '{NULL}'",
        "thresholds = '{0}'",
        "thresholds = '{1001}'",
    ],
)
def test_the_database_refuses_it_from_anybody(ledger: Ledger, wrong: str) -> None:
    ledger.budgets.set(**RIGHT)
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.NumericValueOutOfRange)):
        ledger.connection.execute(f"UPDATE budgets SET {wrong}")  # pyright: ignore[reportArgumentType]


@pytest.mark.mission("B5")
@pytest.mark.parametrize(
    ("of", "given"),
    [
        ("drives", {"workflow_name": "deploy", "drive_id": "drive"}),
        ("customers", {"customer_id": "customer"}),
        ("agents", {"agent_id": "agent"}),
    ],
)
def test_a_budget_goes_with_whose_it_is(ledger: Ledger, spender: Spender, of: str, given: dict[str, str]) -> None:
    fields = {name: getattr(spender, value, value) for name, value in given.items()}
    ledger.budgets.set(period="day", limit_tokens=1, **fields)
    ledger.judge_budgets()
    getattr(ledger.people, of).delete(getattr(spender, of.removesuffix("s")))
    assert ledger.budgets.list() == []
    assert ledger.connection.execute("SELECT FROM budget_counts").rowcount == 0


def test_a_budget_that_is_not_there_is_not_found(ledger: Ledger) -> None:
    nowhere: Connection = ledger.connection
    for attempt in (Budgets(nowhere).get, Budgets(nowhere).remove):
        with pytest.raises(NotFound, match=r"budget .* does not exist, or you may not"):
            attempt(uuid.uuid4())
