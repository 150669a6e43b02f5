"""A build continued from the last one holds what a build from nothing holds."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from uuid import UUID

import pyarrow as pa
import pytest

from ledger_pipeline.engines.duckdb.session import building
from ledger_pipeline.marts import staging
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.marts.checks import run_checks
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.publish import connect_readonly
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


def test_a_price_book_that_changed_reaches_a_continued_build(
    history_rows: list[Row], settings: Settings, now: datetime
) -> None:
    price = dict.fromkeys(staging.PRICE_SCHEMA.names) | {
        "price_id": str(UUID(int=1)), "provider": "p", "model": "m", "service_tier": "standard", "usage_kind": "input",
        "usd_per_million": Decimal(1), "valid_from": now, "known_from": now, "withdrawn": False, "recorded_at": now,
    }  # fmt: skip
    source = InMemorySource(history_rows)
    listed: list[list[UUID]] = []
    for prices in ([], [price], [price], [price | {"price_id": str(UUID(int=2))}]):
        source.prices_table = pa.Table.from_pylist(prices, staging.PRICE_SCHEMA)
        build_from(source, settings, now)
        with connect_readonly(settings) as marts_now:
            listed.append(
                [row[0] for row in marts_now.execute("SELECT price_id FROM marts.pricing_history").fetchall()]
            )
    assert listed == [[], [UUID(int=1)], [UUID(int=1)], [UUID(int=2)]]


def test_a_continued_build_judges_by_key_what_it_touched(
    history_rows: list[Row], settings: Settings, now: datetime
) -> None:
    """An event that comes a second time is found where it comes; one that was there twice before was found then."""
    old = history_rows[0]
    ended = [row for row in history_rows if row["execution_id"] == old["execution_id"]]
    earlier, later = cut([row for row in history_rows if row not in ended], parts=2, seed=3)
    built = build_from(InMemorySource([*ended, *earlier]), settings, now)
    again = later[-1]
    with building(built.path) as connection:
        connection.execute("INSERT INTO staging.events FROM staging.events WHERE event_id = ?", [old["event_id"]])
        before = staging.row_counts(connection)
        staging.add_events(connection, InMemorySource([*later, again]).read(None).batches)
        connection.execute(
            "INSERT INTO staging.proof_positions SELECT execution_id, sequence, 1, 0, 0 FROM staging.events "
            "WHERE execution_id = ?",
            [again["execution_id"]],
        )
        delta = Delta(connection, before, replaced=())
        for mart in marts().values():
            delta.refresh(mart)
        by_key, whole = (
            {check.rule: check.broken_by for check in checks if check.mart == "audit_log"}
            for checks in (list(run_checks(connection, delta)), list(run_checks(connection)))
        )
        delta.close()
    grain, gapless, places = by_key
    assert (by_key[grain], whole[grain]) == (1, 2)
    assert (by_key[gapless], whole[gapless]) == (1, 2)
    assert (by_key[places], whole[places]) == (1, 1)
