"""Readers see one whole build at any time, and a build that breaks a rule is never seen."""

import errno
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.errors import InvalidInput, ReconciliationFailed
from ledger_pipeline.marts import build
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.publish import connect_readonly, current
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.differences import differences
from ledger_pipeline_tests.marts.in_memory import InMemorySource, Row
from ledger_pipeline_tests.marts.test_build import cut


def test_events_that_never_reached_the_facts_stop_the_build(
    history_rows: list[Row], settings: Settings, now: datetime
) -> None:
    first, second = cut(history_rows, parts=2, seed=3)
    source = InMemorySource()
    source.add(first)
    good = build_from(source, settings, now)
    source.add(second)
    source.lost_in_counting = 1
    with pytest.raises(ReconciliationFailed, match=r"first, of reconciliation: .*week=.*event_type=.*difference="):
        build_from(source, settings, now)
    assert current(settings) == good.path
    assert sorted(path.name for path in settings.marts_dir.iterdir()) == ["current.duckdb", good.path.name]
    source.lost_in_counting = 0
    assert build_from(source, settings, now).new_events == len(second)


def test_an_empty_ledger_has_every_mart_empty_and_typed(settings: Settings, now: datetime) -> None:
    empty = build_from(InMemorySource(), settings, now)
    assert empty.rows == dict.fromkeys(marts(), 0)
    with connect_readonly(settings) as connection:
        for mart in marts().values():
            described = connection.execute(f"DESCRIBE {mart.table}").fetchall()
            assert {row[0]: row[1] for row in described} == mart.types
            comments = connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'marts' AND table_name = ?",
                [mart.name],
            ).fetchall()
            assert dict(comments) == {column.name: column.description for column in mart.columns}


def test_a_ledger_that_was_empty_grows(
    history_rows: list[Row], settings: Settings, now: datetime, tmp_path: Path
) -> None:
    source = InMemorySource()
    build_from(source, settings, now)
    source.add(history_rows)
    grown = build_from(source, settings, now)
    full = build_from(source, Settings(home=tmp_path / "full"), now)
    assert not grown.whole
    assert differences(grown.path, full.path) == {}


def test_the_last_builds_are_kept(settings: Settings, now: datetime) -> None:
    builds = [build_from(InMemorySource(), settings, now).path for _ in range(5)]
    kept = {path.name for path in settings.marts_dir.iterdir()}
    assert kept == {"current.duckdb", *(path.name for path in builds[-settings.marts_keep_builds :])}
    assert current(settings) == builds[-1]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_as_many_are_kept_in_a_home_behind_a_symbolic_link(tmp_path: Path, now: datetime, keep: int) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    settings = Settings(home=tmp_path / "link", marts_keep_builds=keep)
    for nth in range(4):
        built = build_from(InMemorySource(), settings, now)
        assert current(settings) == built.path.resolve()
        assert built.whole == (nth == 0)
        assert len(list(settings.marts_dir.glob("ledger-*"))) == min(keep, nth + 1)


def test_builds_stay_while_none_is_current(settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone may want to link one of them back."""
    made = [build_from(InMemorySource(), settings, now).path for _ in range(3)]
    (settings.marts_dir / "current.duckdb").unlink()

    def disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(build, "_note", disk_full)
    with pytest.raises(OSError, match="No space left"):
        build_from(InMemorySource(), settings, now)
    assert {*settings.marts_dir.iterdir()} == {*made}


def test_a_copy_that_does_not_reach_the_disk_is_not_published(
    settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of a failed flush once, so a second one proves nothing."""
    first = build_from(InMemorySource(), settings, now)

    def failing(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(build, "sync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        build_from(InMemorySource(), settings, now)
    assert current(settings) == first.path


def test_a_broken_rule_is_what_is_told_while_rows_are_still_counted(
    history_rows: list[Row], settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
        with connection.cursor() as other:
            time.sleep(1)
            return {"audit_log": other.execute("SELECT count(*) FROM range(1000000)").fetchall()[0][0]}

    monkeypatch.setattr(build, "_rows", slowly)
    source = InMemorySource(history_rows, lost_in_counting=1)
    with pytest.raises(ReconciliationFailed):
        build_from(source, settings, now)


def test_another_ledger_or_a_damaged_build_is_built_from_all_events(
    history_rows: list[Row], settings: Settings, now: datetime
) -> None:
    build_from(InMemorySource(history_rows), settings, now)
    other = build_from(InMemorySource(history_rows, instance="another"), settings, now)
    assert other.whole
    other.path.write_bytes(b"damaged" * 1000)
    assert build_from(InMemorySource(history_rows, instance="another"), settings, now).whole


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "marts").write_text("a file where a folder should be")
    with pytest.raises(InvalidInput, match="marts can't be written there"):
        build_from(InMemorySource(), Settings(home=tmp_path), now)


def test_the_file_has_the_format_that_every_1_x_reads(settings: Settings, now: datetime) -> None:
    path = build_from(InMemorySource(), settings, now).path
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS build (READ_ONLY)")
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'build'").fetchall()
    assert tags[0][0]["storage_version"].startswith("v1.0.0")
    # Bytes 12 to 20 of a DuckDB file are its storage version; 64 is that of 0.10 to 1.1 and read by all that followed.
    assert int.from_bytes(path.read_bytes()[12:20], "little") == 64


QUESTIONS = {
    "calls": "SELECT count(*) || ' ' || coalesce(sum(cost_usd), 0) FROM marts.model_usage",
    "days": "SELECT sum(calls) || ' ' || coalesce(sum(cost_usd), 0) FROM marts.cost_daily",
    "versions": "SELECT sum(calls) || ' ' || coalesce(sum(cost_usd), 0) FROM marts.cost_by_template_version",
}
"""The same answer three ways: from a fact, an aggregate and a view over another one."""
AT_ONCE = f"SELECT ({QUESTIONS['calls']}), ({QUESTIONS['days']}), ({QUESTIONS['versions']})"

READER = """
import subprocess, sys
from pathlib import Path

import duckdb

from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.settings import Settings

way, home, stop, at_once, *questions = sys.argv[1:]
settings, seen = Settings(home=Path(home)), []


def answers():
    if way == "sql":
        command = [sys.executable, "-m", "ledger_pipeline", "sql", at_once, "--format", "csv"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[1].split(",")
    opened = duckdb.connect(Path(home, "marts", "current.duckdb"), read_only=True) if way == "file" else None
    with opened or connect_readonly(settings) as marts:
        return [marts.execute(question).fetchall()[0][0] for question in questions]


while not Path(stop).exists():
    calls, *others = answers()
    assert {calls} == set(others), (calls, others)
    seen.append(calls)
print(*seen, sep="\\n")
"""
WAYS = ("session", "session", "session", "session", "file", "file", "file", "sql", "sql", "sql")
BUILDS, SECONDS = 5, 12.0


@pytest.mark.slow
@pytest.mark.mission("C1")
def test_ten_readers_see_whole_builds_only_while_builds_go_on(
    history_rows: list[Row], settings: Settings, now: datetime, tmp_path: Path
) -> None:
    """In processes of their own: sessions of the package, DuckDB on the published file, and the command `sql`."""
    batches = cut(history_rows, parts=BUILDS + 1, seed=5)
    source = InMemorySource()
    published: list[str] = []

    def publish(batch: list[Row]) -> None:
        source.add(batch)
        with reading(build_from(source, settings, now).path) as marts:
            published.extend(row[0] for row in marts.execute(QUESTIONS["calls"]).fetchall())

    publish(batches[0])
    stop = tmp_path / "stop"
    environment = os.environ | {"LEDGER_HOME": str(settings.home)}
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, way, str(settings.home), str(stop), AT_ONCE, *QUESTIONS.values()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for way in WAYS
    ]
    try:
        began = time.monotonic()
        while batches[1:] or time.monotonic() < began + SECONDS:
            publish(batches.pop(1) if batches[1:] else [])
            time.sleep(SECONDS / BUILDS / 2)
    finally:
        stop.touch()
        answers = [reader.communicate(timeout=120) for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * len(WAYS), [error for _, error in answers]
    seen = [out.splitlines() for out, _ in answers]
    assert all(seen)
    # Whole builds, and in the order in which they were published.
    for answered in seen:
        assert [published.index(answer) for answer in answered] == sorted(map(published.index, answered))
    assert len({answer for answered in seen for answer in answered}) > 2
