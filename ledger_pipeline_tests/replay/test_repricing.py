"""Re-pricing on a real ledger, hot, cold and pruned: as known then, as known now, and what the marts show."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.cli.cost_report import cost_report, total
from ledger_pipeline.cold.sessions import LOCK_CLASS, Held
from ledger_pipeline.errors import InvalidInput, InvalidTransition
from ledger_pipeline.hot.database import connect
from ledger_pipeline.ingest.aider import import_aider
from ledger_pipeline.marts.publish import current
from ledger_pipeline.pricing import repricing
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.by_hand import Variant, set_prices, withdraw_prices
from ledger_pipeline.pricing.costing import Usage, cost
from ledger_pipeline.pricing.explain import usage_tokens
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.repricing import Findings, RepricedLine, Run, Selection, all_changed_at, lines_of_marts
from ledger_pipeline.replay.repricing import REPRICING_LOCK, Repriced
from ledger_pipeline.settings import Settings

pytestmark = [pytest.mark.mission("A12"), pytest.mark.mission("A13")]

NOW = datetime.now(UTC).replace(microsecond=0)
OLD = NOW - timedelta(days=200)
RECENT = NOW - timedelta(days=2)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
WHO: dict[str, Any] = {"reason": "our contract", "operator": "ada"}
CORRECTED = """
SELECT model, cost_usd, correction_count, corrections_usd, corrected_cost_usd
FROM marts.model_usage ORDER BY occurred_at, model
"""


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one old and one recent execution, each with a call of gpt-4o and one of a model of the house."""
    with Ledger.open(Settings(home=tmp_path, database_url=SecretStr(ledger_url))) as opened:
        for at in (OLD, RECENT):
            opened.append_many(execution(at), history=True)
        yield opened


def execution(at: datetime) -> list[events.Event]:
    given: dict[str, Any] = {"occurred_at": at, "execution_id": uuid.uuid4()}
    million: dict[str, Any] = {**given, "input_tokens": 10**6}
    return [
        events.WorkflowCreated(**given, workflow_name="w"),
        events.WorkflowStarted(**given),
        events.TokensUpdated(**million, model_call_id="1", model="gpt-4o"),
        events.TokensUpdated(**million, model_call_id="2", model="in-house", provider="acme"),
        events.WorkflowCompleted(**given),
    ]


def set_input(ledger: Ledger, model: str, rate: str, valid_from: datetime = ALWAYS, provider: str = "acme") -> None:
    rates = {"input": Decimal(rate)}
    set_prices(ledger.connection, Variant(provider, model), rates, valid_from=valid_from, now=datetime.now(UTC), **WHO)


def applied(ledger: Ledger, **chosen: Any) -> Repriced:
    return ledger.reprice(datetime.now(UTC), apply=True, **WHO, **chosen)


def differences(found: Repriced) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for line in found.lines:
        sums[line.model] = sums.get(line.model, Decimal(0)) + line.difference_usd
    return sums


def shown(ledger: Ledger, query: str = CORRECTED) -> list[tuple[Any, ...]]:
    ledger.build_marts(datetime.now(UTC))
    with ledger.marts() as marts:
        assert marts.execute("SELECT bool_and(ok) FROM marts.reconciliation").fetchall() == [(True,)]
        return marts.execute(query).fetchall()


def test_what_is_priced_as_known_now_has_nothing_to_correct(ledger: Ledger) -> None:
    found = applied(ledger)
    assert found.execution_id is None
    assert differences(found) == {"gpt-4o": 0, "in-house": 0}
    assert [(line.month, line.calls, line.unpriced) for line in found.lines if line.model == "in-house"] == [
        (f"{at:%Y-%m}", 1, 1) for at in (OLD, RECENT)
    ]


def test_it_shows_before_after_and_difference_and_stores_nothing_until_it_is_applied(ledger: Ledger) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    set_input(ledger, "in-house", "0.8")
    found = ledger.reprice(NOW)
    house, line = (next(line for line in found.lines if line.model == name) for name in ("in-house", "gpt-4o"))
    assert (line.before_usd, line.after_usd, line.difference_usd) == (Decimal("2.5"), 2, Decimal("-0.5"))
    assert (house.before_usd, house.after_usd, house.newly_priced) == (None, Decimal("0.8"), 1)
    assert found.execution_id is None
    assert ledger.connection.execute("SELECT FROM workflow_events WHERE event_type = 'CostRecalculated'").rowcount == 0


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["hot", "cold", "pruned"])
def test_it_works_hot_cold_and_pruned_and_the_marts_show_original_corrections_and_current(
    ledger: Ledger, tier: str
) -> None:
    if tier != "hot":
        ledger.roll(NOW, keep_days=90)
    if tier == "pruned":
        ledger.build_marts(NOW)
        assert ledger.prune(NOW, 90).executions == 1
    set_input(ledger, "gpt-4o", "2", provider="openai")
    set_input(ledger, "in-house", "0.8")
    found = applied(ledger)
    assert differences(found) == {"gpt-4o": -1, "in-house": Decimal("1.6")}
    assert (
        shown(ledger)
        == [
            ("gpt-4o", Decimal("2.5"), 1, Decimal("-0.5"), 2),
            ("in-house", None, 1, Decimal("0.8"), Decimal("0.8")),
        ]
        * 2
    )
    sums = "sum(cost_usd), sum(corrections_usd), sum(corrected_cost_usd)"
    for mart in ("cost_daily", "cost_by_execution", "cost_by_mode"):
        assert shown(ledger, f"SELECT {sums} FROM marts.{mart}") == [(5, Decimal("0.6"), Decimal("5.6"))]
    adjusted = "SELECT record_type, sum(corrections), sum(cost_usd) FROM marts.billing_records GROUP BY 1 ORDER BY 1"
    assert shown(ledger, adjusted) == [("adjustment", 4, Decimal("0.6")), ("usage", 0, 5)]
    listed = "SELECT DISTINCT run_id, old_cost_usd, new_cost_usd FROM marts.cost_corrections ORDER BY 3"
    assert shown(ledger, listed) == [
        (found.execution_id, None, Decimal("0.8")),
        (found.execution_id, Decimal("2.5"), 2),
    ]
    assert shown(ledger, "SELECT sum(calls), sum(repriced_calls) FROM marts.unpriced_usage") == [(2, 2)]
    assert ledger.verify().ok


@pytest.mark.slow
def test_a_correction_takes_the_place_of_an_estimate_wherever_what_is_known_now_is_shown(ledger: Ledger) -> None:
    def estimates(mart: str) -> list[tuple[Any, ...]]:
        return shown(ledger, f"SELECT sum(estimated_cost_usd), sum(corrected_estimate_usd) FROM marts.{mart}")

    everywhere = ("model_usage", "cost_daily", "cost_by_execution", "cost_by_mode")
    assert [estimates(mart) for mart in everywhere] == [[(20_000, 20_000)]] * 4
    set_input(ledger, "in-house", "0.8", RECENT)
    applied(ledger)
    assert [estimates(mart) for mart in everywhere] == [[(20_000, 10_000)]] * 4
    with ledger.marts() as marts:
        line = total(cost_report(marts, ["model"]))
    assert (line.estimated_cost_usd, line.unpriced_calls, line.corrections_usd) == (10_000, 1, Decimal("0.8"))


def test_a_run_is_an_execution_that_names_call_prices_and_difference(ledger: Ledger) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    found = applied(ledger, start=RECENT)
    assert found.execution_id is not None
    created, _, correction, completed = ledger.events(found.execution_id)
    assert created["execution_kind"] == "repricing"
    assert created["operator_id"] == "ada"
    assert completed["event_type"] == "WorkflowCompleted"
    told = events.CostRecalculated.from_row(correction)
    (target,) = [row for row in ledger.events(told.target_execution_id) if row["event_id"] == told.target_event_id]
    assert (target["model"], told.old_cost_usd, told.new_cost_usd) == ("gpt-4o", Decimal("2.5"), 2)
    assert (told.difference_usd, told.reason) == (Decimal("-0.5"), "our contract")
    price_ids = [entry["price_id"] for entry in (*told.old_prices, *told.new_prices)]
    sources = ledger.connection.execute(
        "SELECT source FROM unnest(%s::uuid[]) WITH ORDINALITY AS u (id, nth) JOIN model_pricing USING (id)"
        " ORDER BY nth",
        [price_ids],
    ).fetchall()
    assert [row["source"] for row in sources] == ["genai-prices", "admin"]


def test_it_is_applied_once_and_a_later_price_builds_on_it(ledger: Ledger) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    assert applied(ledger).execution_id is not None
    again = applied(ledger)
    assert again.execution_id is None
    assert {(line.before_usd, line.after_usd) for line in again.lines if line.model == "gpt-4o"} == {(2, 2)}
    set_input(ledger, "gpt-4o", "4", provider="openai")
    assert differences(applied(ledger))["gpt-4o"] == 4
    assert shown(ledger)[0] == ("gpt-4o", Decimal("2.5"), 2, Decimal("1.5"), 4)


def test_a_run_that_broke_off_is_aborted_and_completed_by_the_next(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    whole = Run.corrections

    def half(self: Run, findings: Findings) -> Iterator[events.Event]:
        yield from list(whole(self, findings))[:1]

    with monkeypatch.context() as patched:
        patched.setattr(Run, "corrections", half)
        broken_off = applied(ledger).execution_id
    assert broken_off
    assert ledger.replay(broken_off).status == "running"
    assert ledger.reprice(NOW).execution_id is None
    assert ledger.replay(broken_off).status == "running"
    next_run = applied(ledger)
    assert differences(next_run)["gpt-4o"] == Decimal("-0.5")
    assert next_run.execution_id
    assert [ledger.replay(run).status for run in (broken_off, next_run.execution_id)] == ["aborted", "completed"]
    # Of a process that is not as dead as it seemed, nothing is taken any more.
    *_, correction, aborted = ledger.events(broken_off)
    assert aborted["operator_id"] == "ada"
    late = events.CostRecalculated.from_row(correction).model_copy(update={"event_id": None, "sequence": None})
    with pytest.raises(InvalidTransition):
        ledger.append(broken_off, [late])
    assert applied(ledger).execution_id is None


def test_a_run_that_lacked_its_end_alone_is_ended_by_one_that_finds_nothing(ledger: Ledger) -> None:
    run = Run(uuid.uuid4(), Selection(), reason="why", operator="ada", now=datetime.now(UTC))
    ledger.append(run.execution_id, run.beginning())
    assert applied(ledger).execution_id is None
    assert ledger.replay(run.execution_id).status == "aborted"


def test_many_calls_are_compared_a_part_at_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    set_input(ledger, "in-house", "0.8")
    whole = ledger.reprice(NOW).lines
    monkeypatch.setattr(repricing, "_CALLS_AT_A_TIME", 1)
    monkeypatch.setattr(repricing, "_CORRECTIONS_AT_A_TIME", 1)
    assert ledger.reprice(NOW).lines == whole
    assert applied(ledger).lines == whole
    assert sum(line.corrected for line in ledger.reprice(NOW).lines) == 0


def test_only_the_calls_of_the_time_and_the_models_are_corrected(ledger: Ledger) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    set_input(ledger, "in-house", "0.8")
    assert differences(ledger.reprice(NOW, RECENT)) == {"gpt-4o": Decimal("-0.5"), "in-house": Decimal("0.8")}
    assert differences(ledger.reprice(NOW, OLD, RECENT))["gpt-4o"] == Decimal("-0.5")
    assert differences(ledger.reprice(NOW, OLD + timedelta(microseconds=1), RECENT)) == {}
    for name in ("gpt-4o", "openai/gpt-4o", "gpt-4o-2024-08-06", "GPT-4o"):
        assert differences(ledger.reprice(NOW, models=[name])) == {"gpt-4o": -1}, name
    assert differences(ledger.reprice(NOW, models=["acme/in-house"])) == {"in-house": Decimal("1.6")}
    assert differences(ledger.reprice(NOW, models=["nothing-of-the-kind"])) == {}


def test_a_cost_is_corrected_to_another_one_never_to_none(ledger: Ledger) -> None:
    set_input(ledger, "in-house", "0.8")
    applied(ledger)
    withdraw_prices(ledger.connection, Variant("acme", "in-house"), (), valid_from=ALWAYS, now=datetime.now(UTC), **WHO)
    found = applied(ledger, models=["in-house"])
    assert [(line.kept, line.difference_usd) for line in found.lines] == [(1, 0), (1, 0)]
    assert found.execution_id is None


def known(ledger: Ledger, model: str, at: datetime, known_at: datetime | None) -> Decimal | UnpricedReason | None:
    usage = Usage(None, model, at, usage_tokens(input=10**6))
    found = cost(load_book(ledger.connection, known_at), usage)
    return found.reason or found.total_usd


@pytest.mark.slow
@pytest.mark.parametrize("case", ["learnt late", "withdrawn", "corrected backwards", "in conflict"])
def test_cost_as_known_then_and_as_known_now_before_and_after_a_run(ledger: Ledger, case: str) -> None:
    variant = Variant("openai", "gpt-4o")
    if case in ("withdrawn", "corrected backwards"):
        set_input(ledger, "gpt-4o", "7", OLD - timedelta(days=1), "openai")
        applied(ledger)
    recorded = {"gpt-4o": Decimal("2.5")}
    then = datetime.now(UTC)
    before = known(ledger, "gpt-4o", OLD, then)
    match case:
        case "learnt late":
            set_input(ledger, "gpt-4o", "3", OLD - timedelta(days=1), "openai")
            now = Decimal(3)
        case "withdrawn":
            withdraw_prices(
                ledger.connection, variant, (), valid_from=OLD - timedelta(days=1), now=datetime.now(UTC), **WHO
            )
            now = Decimal("2.5")
        case "corrected backwards":
            set_input(ledger, "gpt-4o", "6", OLD - timedelta(days=1), "openai")
            now = Decimal(6)
        case _:
            # Another source says otherwise: the better ranked one's price holds, before and after.
            now = Decimal("2.5")
            ledger.connection.execute(
                "INSERT INTO model_pricing"
                " (provider, model, usage_kind, usd_per_million, valid_from, known_from, source)"
                " VALUES ('openai', 'gpt-4o', 'input', 99, %s, now(), 'another')",
                [ALWAYS],
            )
    for _ in ("before the run", "after it"):
        assert known(ledger, "gpt-4o", OLD, then) == before
        assert known(ledger, "gpt-4o", OLD, None) == now
        applied(ledger)
    rows = [row for row in shown(ledger) if row[0] == "gpt-4o"]
    assert [(row[1], row[4]) for row in rows] == [(recorded["gpt-4o"], now)] * 2


def test_one_run_is_applied_at_a_time(ledger: Ledger, ledger_url: str) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    with connect(ledger_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, REPRICING_LOCK))
        with pytest.raises(Held, match="re-pricing is being applied by session"):
            applied(ledger)
        assert ledger.reprice(NOW).lines


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start": datetime(2026, 1, 1)}, "from: .* has no time zone"),
        ({"end": datetime(2026, 1, 1)}, "to: .* has no time zone"),
        ({"start": NOW, "end": NOW}, "is not after from"),
        ({"apply": True, "operator": "ada"}, "reason"),
        ({"apply": True, "reason": "why"}, "operator"),
    ],
)
def test_what_makes_no_run_is_refused(ledger: Ledger, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ledger.reprice(NOW, **wrong)


@pytest.mark.slow
def test_the_calls_of_a_real_log_cost_in_a_run_what_they_cost_when_they_were_imported(
    ledger: Ledger, test_data: Path, tmp_path: Path
) -> None:
    log = test_data / "aider" / "aider-analytics-union.jsonl.gz"
    import_aider(ledger.connection, ledger.book, log, tmp_path / "rejects")
    lines = ledger.reprice(NOW).lines
    assert sum(line.calls for line in lines) == 5_563 + 4
    assert sum(line.corrected + line.kept for line in lines) == 0


def test_the_marts_tell_what_could_be_corrected(ledger: Ledger) -> None:
    set_input(ledger, "gpt-4o", "2", provider="openai")
    ledger.build_marts(NOW)
    assert to_correct(correctable(ledger)) == to_correct(ledger.reprice(NOW).lines) != {}
    applied(ledger)
    ledger.build_marts(datetime.now(UTC))
    assert to_correct(correctable(ledger)) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "looked_at"),
    [
        ("nothing changed", 0),
        ("a price was learnt", 1),
        ("an unknown model has a price", 2),
        ("a price was withdrawn", 1),
        ("the order of the sources changed", 4),
        ("somebody else priced it", 1),
    ],
)
def test_only_calls_whose_price_may_have_changed_are_looked_at_and_none_is_missed(
    ledger: Ledger, case: str, looked_at: int
) -> None:
    at_first = all_changed_at(ledger.connection)
    from_then: dict[str, Any] = {"valid_from": RECENT - timedelta(days=1), "now": datetime.now(UTC), **WHO}
    match case:
        case "a price was learnt":
            set_input(ledger, "gpt-4o", "2", RECENT - timedelta(days=1), "openai")
        case "an unknown model has a price":
            set_input(ledger, "in-house", "0.8")
        case "a price was withdrawn":
            set_input(ledger, "gpt-4o", "2", RECENT - timedelta(days=1), "openai")
            withdraw_prices(ledger.connection, Variant("openai", "gpt-4o"), (), **from_then)
        case "the order of the sources changed":
            ledger.connection.execute(
                "INSERT INTO price_sources (source, version, fetched_at, content_hash, rank, status)"
                " SELECT source, version, now(), content_hash, rank + 1, 'unchanged' FROM price_sources"
            )
        case "somebody else priced it":
            priced: dict[str, Any] = {"pricing_status": "priced", "cost_usd": "7", "prices": [{"price_id": "theirs"}]}
            ids: dict[str, Any] = {"occurred_at": RECENT, "execution_id": uuid.uuid4()}
            used = {"model_call_id": "9", "model": "gpt-4o", "provider": "openai", "input_tokens": 10**6}
            told = [events.WorkflowCreated(**ids, workflow_name="w"), events.WorkflowStarted(**ids)]
            ledger.append_many([*told, events.TokensUpdated(**ids, **used, **priced, priced_model="openai/gpt-4o")])
        case _:
            pass
    ledger.build_marts(datetime.now(UTC))
    everything = ledger.reprice(NOW).lines
    changed_at = all_changed_at(ledger.connection)
    assert changed_at
    assert at_first
    # As if the catalogue had been booked a month before the calls were recorded.
    month = timedelta(days=30)
    with duckdb.connect() as copy:
        copy.execute(f"ATTACH '{current(ledger.settings)}' AS built (READ_ONLY)")
        for schema, table in (("marts", "model_usage"), ("staging", "model_pricing")):
            copy.execute(f"CREATE SCHEMA {schema}")
            copy.execute(f"CREATE TABLE {schema}.{table} AS FROM built.{schema}.{table}")
        copy.execute("UPDATE staging.model_pricing SET recorded_at = recorded_at - ? WHERE source <> 'admin'", [month])
        changed_at = at_first - month if changed_at == at_first else changed_at
        found = lines_of_marts(load_book(ledger.connection), changed_at, copy)
    assert to_correct(found) == to_correct(everything)
    assert sum(line.calls for line in found) == looked_at


def to_correct(lines: Iterable[RepricedLine]) -> dict[tuple[str, str], tuple[int, Decimal]]:
    return {(line.month, line.model): (line.corrected, line.difference_usd) for line in lines if line.corrected}


def correctable(ledger: Ledger) -> tuple[RepricedLine, ...]:
    with ledger.marts() as marts:
        return lines_of_marts(load_book(ledger.connection), all_changed_at(ledger.connection), marts)
