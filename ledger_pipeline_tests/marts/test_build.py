"""A build continued from the last one holds what a build from nothing holds."""

from datetime import datetime
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from ledger_pipeline.engines.duckdb.session import building
from ledger_pipeline.marts import staging
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.marts.checks import run_checks
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.refresh import Delta
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.differences import differences
from ledger_pipeline_tests.marts.in_memory import InMemorySource, Row


def cut(rows: list[Row], parts: int, seed: int) -> list[list[Row]]:
    """The rows in appends of random sizes and order, each execution's events in sequence."""
    random = Random(seed)
    executions: dict[object, list[Row]] = {}
    for row in rows:
        executions.setdefault(row["execution_id"], []).append(row)
    batches: list[list[Row]] = [[] for _ in range(parts)]
    for events in executions.values():
        ends = sorted(random.randrange(parts) for _ in events)
        for row, part in zip(events, ends, strict=True):
            batches[part].append(row)
    return batches


@pytest.mark.slow
@pytest.mark.mission("C1")
@pytest.mark.parametrize("seed", [1, 2])
def test_incremental_builds_equal_a_full_build(
    history_rows: list[Row], tmp_path: Path, now: datetime, seed: int
) -> None:
    source = InMemorySource()
    grown = Settings(home=tmp_path / "grown")
    builds = []
    for batch in cut(history_rows, parts=4, seed=seed):
        source.add(batch)
        builds.append(build_from(source, grown, now))
    assert [build.whole for build in builds] == [True, False, False, False]
    assert sum(build.new_events for build in builds) == len(history_rows)
    full = build_from(source, Settings(home=tmp_path / "full"), now)
    assert differences(builds[-1].path, full.path) == {}


def test_a_build_without_new_events_changes_nothing(history_rows: list[Row], settings: Settings, now: datetime) -> None:
    source = InMemorySource(history_rows)
    first = build_from(source, settings, now)
    second = build_from(source, settings, now)
    assert (second.whole, second.new_events) == (False, 0)
    assert differences(first.path, second.path) == {}


def test_a_continued_build_judges_what_it_touched_as_a_full_one_would(
    history_rows: list[Row], settings: Settings, now: datetime
) -> None:
    """An event that comes a second time, and two events in one place of a batch, break the same rules."""
    earlier, later = cut(history_rows, parts=2, seed=3)
    built = build_from(InMemorySource(earlier), settings, now)
    again = later[-1]
    twice = {**again, "event_id": uuid4(), "sequence": len(history_rows) + 1}
    batches = InMemorySource([*later, again, twice]).read(None).batches
    with building(built.path) as connection:
        before = staging.row_counts(connection)
        staging.add_events(connection, batches)
        connection.execute(
            "INSERT INTO staging.proof_positions SELECT execution_id, sequence, 1, 0, 0 FROM staging.events "
            "WHERE event_id IN (?, ?)",
            [again["event_id"], twice["event_id"]],
        )
        delta = Delta(connection, before)
        for mart in marts().values():
            delta.refresh(mart)
        touched, whole = list(run_checks(connection, delta)), list(run_checks(connection))
        delta.close()
    assert touched == whole
    broken = {check.rule for check in touched if check.mart == "audit_log" and not check.passed}
    assert broken >= {
        "One row for each execution_id, sequence.",
        "Each event of a closed batch has a place of its own in it.",
    }
