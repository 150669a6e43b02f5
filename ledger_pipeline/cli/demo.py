"""The demonstration: fills a ledger, runs the daily job, and shows what came of it."""

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic
from uuid import UUID

import click

from ledger_pipeline.cli.cost_report import CostLine, cost_report, total, usd
from ledger_pipeline.cli.dagster_home import make_dagster_home
from ledger_pipeline.cli.output import echo_renderable, echo_table, say
from ledger_pipeline.cli.progress import counting, telling
from ledger_pipeline.defs.in_process import run_daily
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.ledger import Ledger, set_up
from ledger_pipeline.settings import Settings

EXECUTIONS = 4_000
"""At 26.5 events an execution, 106,000 events."""
DAYS = 400
SEED = 1

MODELS_SHOWN = 6
WEEKS_SHOWN = 5

_RECORDED = "SELECT coalesce(sum(last_sequence), 0)::bigint AS events, count(*) AS executions FROM execution_heads"

_ROLLED = """
SELECT week, events, bytes, jsonb_array_length(files) AS files
FROM archive_manifest
WHERE state = 'committed'
ORDER BY week
"""

# The longest ended execution whose last event is in a rolled week: no event of it is left in Postgres.
_WHOLLY_COLD = """
SELECT head.id
FROM execution_heads AS head
WHERE head.ended
    AND head.execution_kind = 'workflow'
    AND head.last_week <= (SELECT max(week) FROM archive_manifest WHERE state = 'committed')
ORDER BY head.last_sequence DESC, head.id
LIMIT 1
"""


def run(log: Path | None, now: datetime) -> bool:
    """Runs it on the ledger of the environment, from `log` or simulated; whether the verification found all well."""
    started = monotonic()
    settings = Settings.read()
    # A database of the user's own is empty until somebody migrates it.
    with running_server(settings) as url:
        set_up(url, now)
    with Ledger.open(settings) as ledger:
        _fill(ledger, log, now)
        with _part("Running the daily job"), telling() as progress:
            run_daily(now, progress, make_dagster_home(settings))
        _show_costs(ledger)
        _show_cold_store(ledger)
        _show_replay(ledger)
        ok = _show_verification(ledger)
    _show_next(settings, monotonic() - started)
    return ok


@contextmanager
def _part(title: str) -> Generator[None]:
    say(f"\n{title} …")
    started = monotonic()
    yield
    say(f"done in {monotonic() - started:.1f} s")


def _fill(ledger: Ledger, log: Path | None, now: datetime) -> None:
    recorded = _recorded(ledger)
    if log is not None:
        with _part(f"Importing {log}"), counting("importing", "lines") as progress:
            result = ledger.import_aider(log, progress=progress)
        say(f"{result.lines:,} lines are {result.events:,} events, {result.new_events:,} of them new")
        if result.rejects:
            say(f"{result.rejects:,} lines could not be read: they are in {result.rejects_file}")
        return
    began = _began(ledger.settings, now, empty=not recorded[0])
    if began is None:
        say(f"{ledger.settings.home} holds {recorded[0]:,} events of {recorded[1]:,} executions already: none added")
        return
    # The same time gives the same events: one that was interrupted goes on, a complete one gains nothing.
    with _part(f"Simulating {DAYS} days of agent traffic"), counting("simulating", "events") as progress:
        simulated = ledger.simulate(EXECUTIONS, DAYS, SEED, began, progress=progress)
    say(f"{simulated.events:,} events of {simulated.executions:,} executions, {simulated.new_events:,} new events")


def _began(settings: Settings, now: datetime, *, empty: bool) -> datetime | None:
    """When the demonstration first ran on this ledger, noted in its home; None: the ledger's events are others."""
    note = settings.home / "demo.json"
    if empty:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"now": now.isoformat()}), encoding="utf-8")
        return now
    return datetime.fromisoformat(json.loads(note.read_text(encoding="utf-8"))["now"]) if note.is_file() else None


def _recorded(ledger: Ledger) -> tuple[int, int]:
    row = ledger.connection.execute(_RECORDED).fetchone()
    assert row is not None
    return row["events"], row["executions"]


def _show_costs(ledger: Ledger) -> None:
    with ledger.marts() as marts:
        lines = cost_report(marts, ("month", "model"))
    values = {line.values for line in lines}
    months = sorted({month for month, _ in values}, key=str)
    cost_of = {model: _sum(lines, lambda line, model=model: line.values[1] == model) for _, model in values}
    models = sorted((str(model) for model in cost_of), key=lambda model: (-cost_of[model], model))
    shown, others = models[:MODELS_SHOWN], set(models[MODELS_SHOWN:])
    rest = (f"{len(others)} others",) if others else ()

    def row(title: object, of_row: list[CostLine]) -> list[object]:
        amounts = [_sum(of_row, lambda line, model=model: line.values[1] == model) for model in shown]
        amounts += [_sum(of_row, lambda line: line.values[1] in others)] * bool(others)
        return [title, *map(usd, (*amounts, _sum(of_row)))]

    click.echo()
    echo_table(
        ("month", *shown, *rest, "all"),
        [*(row(month, [line for line in lines if line.values[0] == month]) for month in months), row("all", lines)],
        right=(*shown, *rest, "all"),
        title="Cost by month and model, USD",
    )
    whole = total(lines)
    if whole.unpriced_calls:
        click.echo(
            f"{whole.unpriced_calls:,} of {whole.calls:,} calls have no price, so no cost; "
            f"a cautious estimate of theirs: {usd(whole.estimated_cost_usd)} USD"
        )


def _sum(lines: Iterable[CostLine], belongs: Callable[[CostLine], bool] = lambda _: True) -> Decimal:
    return sum((line.cost_usd or Decimal(0) for line in lines if belongs(line)), Decimal(0))


def _show_cold_store(ledger: Ledger) -> None:
    weeks = ledger.connection.execute(_ROLLED).fetchall()
    hot = ledger.connection.execute("SELECT count(*) AS events FROM workflow_events").fetchone()
    assert hot is not None
    click.echo()
    if not weeks:
        click.echo(f"Cold storage: nothing is {ledger.settings.hot_days} days old yet")
        return
    echo_table(
        ("week", "events", "bytes", "files"),
        ((row["week"], f"{row['events']:,}", f"{row['bytes']:,}", row["files"]) for row in weeks[-WEEKS_SHOWN:]),
        right=("events", "bytes", "files"),
        title=f"Cold storage in {ledger.settings.cold_dir}: the last of {len(weeks)} weeks",
    )
    cold = sum(row["events"] for row in weeks)
    click.echo(
        f"{cold:,} events in Parquet and {hot['events']:,} in Postgres, of {_recorded(ledger)[0]:,} that were recorded"
    )


def _show_replay(ledger: Ledger) -> None:
    from ledger_pipeline.replay.render import render_state

    row = ledger.connection.execute(_WHOLLY_COLD).fetchone()
    if row is None:
        return
    execution_id: UUID = row["id"]
    click.echo("\nOne execution replayed from cold storage:")
    echo_renderable(render_state(ledger.replay(execution_id)))


def _show_verification(ledger: Ledger) -> bool:
    with _part("Verifying every event"), counting("verifying", "events") as progress:
        report = ledger.verify(progress=progress)
    for problem in report.problems:
        click.echo(f"{problem.event_id or problem.file or 'ledger'}: {problem.what}")
    click.echo(f"Verified: {report.events:,} events re-hashed, {len(report.problems):,} problems")
    return report.ok


NEXT = """
make ui                                            the Dagster UI: assets, runs, schedules
make notebook                                      what it cost, with plots; NAME=audit: who did what
.venv/bin/ledger-pipeline sql "SELECT * FROM marts.cost_anomalies LIMIT 5"
.venv/bin/ledger-pipeline report --by workflow     and by agent, customer, mode, day
.venv/bin/ledger-pipeline --help                   everything else
"""


def _show_next(settings: Settings, seconds: float) -> None:
    click.echo(f"\nAll of it is in {settings.home} and took {seconds:.0f} s. What to open next:\n{NEXT}", nl=False)
