"""A period's budget is counted from the feed, and each threshold is recorded once, at the usage that crosses it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import Ledger
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.hot.database import connect
from ledger_pipeline_tests.budgets.conftest import NOW, Spender

TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
THIS_YEAR = f"{NOW:%Y}"
BEGINNING = TODAY.replace(month=1, day=1)


def early(days: int) -> datetime:
    """A time in this year, so many days after its beginning."""
    return min(BEGINNING + timedelta(days=days), NOW - timedelta(minutes=1))


def test_each_threshold_is_recorded_once_at_the_usage_that_crosses_it(ledger: Ledger, spender: Spender) -> None:
    budget = ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="10")
    first = spender.use(early(1), "5", "3")
    assert ledger.judge_budgets().breaches == ()
    second = spender.use(early(2), "0.5", "1.5", "7")
    judged = ledger.judge_budgets()
    assert [(b.threshold, b.total, b.usage.execution_id, b.usage.model_call_id) for b in judged.breaches] == [
        (80, Decimal("8.5"), str(second), "0"),
        (100, Decimal(17), str(second), "2"),
    ]
    assert ledger.judge_budgets().breaches == ()
    spender.use(early(3), "100")
    assert ledger.judge_budgets().breaches == ()
    assert spender.breaches() == [(THIS_YEAR, 80, "8.5"), (THIS_YEAR, 100, "17")]
    assert ledger.budgets.get(budget.id).total_usd == 117
    # The usage itself is named.
    crossing = next(e for e in ledger.events(second) if e["model_call_id"] == "2")
    (stream,) = {row["execution_id"] for row in breach_rows(ledger)}
    rows = list(ledger.events(stream))
    assert [row["event_type"] for row in rows] == ["WorkflowCreated", "WorkflowStarted", *["BudgetExceeded"] * 2]
    assert str(crossing["event_id"]) in rows[-1]["payload"]
    assert (rows[-1]["budget_id"], rows[-1]["customer_id"], rows[-1]["drive_id"]) == (budget.id, spender.customer, None)
    assert str(first) not in rows[-1]["payload"]
    assert ledger.replay(stream).status == "running"


def breach_rows(ledger: Ledger) -> list[dict[str, Any]]:
    return ledger.connection.execute(
        "SELECT * FROM workflow_events WHERE event_type = 'BudgetExceeded' AND execution_kind = 'budget'"
    ).fetchall()


def test_estimates_and_tokens_count_and_reaching_a_limit_is_not_exceeding_it(ledger: Ledger, spender: Spender) -> None:
    ledger.budgets.set(workflow_name="deploy", period="year", limit_usd="2", limit_tokens=200, thresholds=[100])
    spender.use(early(1), None, "1")
    assert ledger.judge_budgets().breaches == ()
    spender.use(early(2), None)
    assert [(b.unit, b.total) for b in ledger.judge_budgets().breaches] == [("usd", 3), ("tokens", 300)]


@pytest.mark.parametrize("of", ["customer_id", "agent_id", "workflow_name"])
def test_a_budget_counts_its_target_its_drive_and_its_period_alone(ledger: Ledger, spender: Spender, of: str) -> None:
    own = {"customer_id": spender.customer, "agent_id": spender.agent, "workflow_name": "deploy"}
    others = {
        "customer_id": ledger.people.customers.create("Other").id,
        "agent_id": ledger.people.agents.create("other").id,
        "workflow_name": "other",
    }
    given: dict[str, Any] = {of: own[of]}
    everywhere = ledger.budgets.set(**given, period="year", limit_usd="1000")
    here = ledger.budgets.set(**given, period="year", limit_usd="1000", drive_id=spender.drive)
    spender.use(early(1), "1")
    spender.use(early(1), "10", **{of: others[of]})
    spender.use(early(1), "100", drive_id=ledger.people.drives.create("Elsewhere").id)
    spender.use(BEGINNING - timedelta(minutes=1), "1000")
    ledger.judge_budgets()
    assert ledger.budgets.get(everywhere.id).total_usd == 101
    assert ledger.budgets.get(here.id).total_usd == 1


def test_periods_are_counted_apart(ledger: Ledger, spender: Spender) -> None:
    ledger.budgets.set(agent_id=spender.agent, period="day", limit_usd="1", thresholds=[100])
    ledger.judge_budgets()
    ledger.connection.execute("UPDATE budget_counts SET since = %s", (TODAY - timedelta(days=30),))
    days = [TODAY - timedelta(days=n, minutes=1) for n in (3, 2, 1)]
    for day in days:
        spender.use(day, "0.7")
        spender.use(day, "0.7")
    # Late, of a day that was judged.
    assert len(ledger.judge_budgets().breaches) == 3
    spender.use(days[0] - timedelta(days=1), "0.7", "0.7")
    ledger.judge_budgets()
    assert sorted(spender.breaches()) == sorted(
        (f"{day:%Y-%m-%d}", 100, "1.4") for day in [*days, days[0] - timedelta(days=1)]
    )


def test_a_budget_made_later_begins_with_its_period_hot_and_cold(ledger: Ledger, spender: Spender) -> None:
    old = spender.use(early(3), "6")
    spender.use(NOW - timedelta(hours=1), "3")
    if early(3) < NOW - timedelta(days=30):
        assert ledger.roll(NOW)
    ledger.budgets.set(workflow_name="something else", period="year", limit_usd="1")
    ledger.judge_budgets()
    late = ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="10", thresholds=[50, 80])
    judged = ledger.judge_budgets()
    assert (judged.budgets, [(b.threshold, b.total) for b in judged.breaches]) == (2, [(50, 6), (80, 9)])
    assert judged.breaches[0].usage.execution_id == str(old)
    spender.use(NOW - timedelta(minutes=1), "2")
    assert ledger.judge_budgets().breaches == ()
    assert ledger.budgets.get(late.id).total_usd == 11


def test_a_changed_limit_counts_the_current_period_anew(ledger: Ledger, spender: Spender) -> None:
    def limit(usd: str) -> None:
        ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd=usd, thresholds=[100])

    limit("10")
    spender.use(early(1), "11")
    assert len(ledger.judge_budgets().breaches) == 1
    limit("20")
    assert ledger.judge_budgets().breaches == ()
    spender.use(early(2), "10")
    assert [(b.limit, b.total) for b in ledger.judge_budgets().breaches] == [(20, 21)]
    limit("5")
    assert [(b.limit, b.total) for b in ledger.judge_budgets().breaches] == [(5, 11)]
    # Back to one whose breach is recorded.
    limit("10")
    assert ledger.judge_budgets().breaches == ()
    assert spender.breaches() == [(THIS_YEAR, 100, total) for total in ("11", "21", "11")]


def test_a_changed_limit_keeps_the_totals_of_earlier_periods(ledger: Ledger, spender: Spender) -> None:
    def limit(usd: str) -> None:
        ledger.budgets.set(agent_id=spender.agent, period="day", limit_usd=usd, thresholds=[100])

    def totals() -> list[Decimal]:
        rows = ledger.connection.execute("SELECT total_usd FROM budget_totals ORDER BY starts_at").fetchall()
        return [row["total_usd"] for row in rows]

    limit("10")
    ledger.judge_budgets()
    ledger.connection.execute("UPDATE budget_counts SET since = %s", (TODAY - timedelta(days=30),))
    old, today = TODAY - timedelta(days=2), max(TODAY, NOW - timedelta(minutes=1))
    spender.use(old, "1")
    spender.use(today, "2")
    ledger.judge_budgets()
    limit("20")
    # Of before and after the change, and late, of an earlier period: no other budget has kept the place meanwhile.
    spender.use(old, "4")
    spender.use(today, "8")
    ledger.judge_budgets()
    assert totals() == [5, 10]
    limit("3")
    assert [(b.period, b.total) for b in ledger.judge_budgets().breaches] == [(f"{TODAY:%Y-%m-%d}", 10)]
    assert totals() == [5, 10]


def test_a_limit_changed_before_it_was_first_judged_begins_when_the_budget_was_made(
    ledger: Ledger, spender: Spender
) -> None:
    budget = ledger.budgets.set(agent_id=spender.agent, period="day", limit_usd="10")
    ledger.connection.execute("UPDATE budgets SET created_at = %s", (TODAY - timedelta(days=3),))
    ledger.budgets.set(agent_id=spender.agent, period="day", limit_usd="20")
    spender.use(TODAY - timedelta(days=2), "1")
    ledger.judge_budgets()
    assert ledger.budgets.get(budget.id).total_usd == 1


def test_a_crash_between_the_append_and_the_cursor_records_nothing_twice(ledger: Ledger, spender: Spender) -> None:
    ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="10")
    ledger.judge_budgets()
    spender.use(early(1), "9", "9")
    root = ledger.connection
    # What is stored after the appends fails, as it would on a full disk.
    root.execute("CREATE FUNCTION public.disk_full() RETURNS trigger LANGUAGE plpgsql AS"
                 " $$ BEGIN RAISE EXCEPTION 'disk full'; END $$")  # fmt: skip
    root.execute(
        "CREATE TRIGGER disk_full BEFORE UPDATE ON feed_cursors FOR EACH ROW EXECUTE FUNCTION public.disk_full()"
    )
    with pytest.raises(psycopg.errors.RaiseException, match="disk full"):
        ledger.judge_budgets()
    assert len(spender.breaches()) == 2
    assert ledger.budgets.list()[0].total_usd is None
    root.execute("DROP TRIGGER disk_full ON feed_cursors")
    spender.use(early(2), "1")
    assert ledger.judge_budgets().breaches == ()
    assert ledger.budgets.list()[0].total_usd == 19
    assert spender.breaches() == [(THIS_YEAR, 80, "9"), (THIS_YEAR, 100, "18")]


def test_late_corrections_count_in_the_period_of_the_call(ledger: Ledger, spender: Spender) -> None:
    budget = ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="10", thresholds=[100])
    ledger.budgets.set(workflow_name="repricing", period="year", limit_usd="1")
    execution = spender.use(early(1), "4", None)
    assert ledger.judge_budgets().breaches == ()
    # Priced at last: the cost takes the place of the estimate.
    spender.correct(execution, 1, "3")
    ledger.judge_budgets()
    assert ledger.budgets.get(budget.id).total_usd == 7
    spender.correct(execution, 0, "8")
    (breach,) = ledger.judge_budgets().breaches
    assert (breach.total, breach.usage.model_call_id) == (11, "0")
    # A correction of what a budget does not count.
    before = spender.use(BEGINNING - timedelta(days=1), "1")
    spender.correct(before, 0, "100")
    ledger.judge_budgets()
    assert ledger.budgets.get(budget.id).total_usd == 11


def test_a_removed_budget_is_judged_no_more_and_its_breaches_stay(ledger: Ledger, spender: Spender) -> None:
    budget = ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="1")
    spender.use(early(1), "2")
    assert len(ledger.judge_budgets().breaches) == 2
    ledger.budgets.remove(budget.id)
    spender.use(early(1), "2")
    assert ledger.judge_budgets().budgets == 0
    assert len(spender.breaches()) == 2


def test_the_mart_of_breaches_shows_them(ledger: Ledger, spender: Spender) -> None:
    budget = ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="1", drive_id=spender.drive)
    spender.use(early(1), "0.9", "2")
    ledger.judge_budgets()
    ledger.build_marts(NOW)
    with ledger.marts() as marts:
        rows = marts.execute(
            "SELECT budget_id, budget_scope, execution_kind, customer_id, drive_id, budget_period, threshold_percent,"
            " over_usd, model_call_id FROM marts.budget_breaches ORDER BY sequence"
        ).fetchall()
        kept = ("customer", "budget", spender.customer, spender.drive, THIS_YEAR)
        assert rows == [
            (budget.id, *kept, 80, Decimal("-0.1"), "0"),
            (budget.id, *kept, 100, Decimal("1.9"), "1"),
        ]
        assert marts.execute("SELECT count(*) FROM marts.executions").fetchone() == (1,)


@pytest.fixture
def other_login(ledger: Ledger) -> Iterator[str]:
    name = f"judge_{NOW:%H%M%S%f}"
    ledger.connection.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE ledger_application").format(sql.Identifier(name)))
    yield name
    ledger.connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_only_the_service_judges_and_one_at_a_time(ledger: Ledger, spender: Spender, other_login: str) -> None:
    from ledger_pipeline.budgets.judging import judge

    ledger.budgets.set(customer_id=spender.customer, period="year", limit_usd="1")
    with connect(f"{ledger.url} user={other_login}", autocommit=True) as application:
        with pytest.raises(PermissionDenied):
            judge(application, ledger.settings.cold_dir)
        application.execute("SELECT pg_advisory_lock(19524, 2006)")
        with pytest.raises(Held, match="budgets are being judged by session"):
            ledger.judge_budgets()


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (datetime(2026, 11, 25, 23, 59, tzinfo=UTC), ("2026-11-25", "2026-W48", "2026-11", "2026-Q4", "2026")),
        (datetime(2027, 1, 1, tzinfo=UTC), ("2027-01-01", "2026-W53", "2027-01", "2027-Q1", "2027")),
    ],
)
def test_periods_have_names(at: datetime, names: tuple[str, ...]) -> None:
    from ledger_pipeline.budgets.periods import Period, begins, name

    assert tuple(name(period, begins(period, at)) for period in Period) == names
