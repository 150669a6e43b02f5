"""Disaster: a working ledger from the cold folder alone, or from a dump and the folder; and two that don't fit."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.conninfo import make_conninfo

from ledger_pipeline.cold.folder import ledgers_in, strays
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.notes import sign_tree
from ledger_pipeline.cold.reader import execution_events, scan_events
from ledger_pipeline.cold.roll import roll, roll_week
from ledger_pipeline.errors import ColdStoreDamaged, EpochMismatch, InvalidInput
from ledger_pipeline.events.catalogue import make_event
from ledger_pipeline.events.state_text import state_text
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.server import client_command
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.recover import recover
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill, history
from ledger_pipeline_tests.conftest import create_database, drop_database


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cold_url=str(tmp_path / "cold"))


def states(connection: Connection, cold_dir: Path) -> dict[UUID, str]:
    rows = connection.execute("SELECT id FROM execution_heads ORDER BY id").fetchall()
    return {row["id"]: state_text(replay(connection, cold_dir, row["id"])) for row in rows}


def everything(connection: Connection, cold_dir: Path) -> list[dict[str, Any]]:
    return [row for batch in scan_events(connection, cold_dir) for row in batch.to_pylist()]


def roots(connection: Connection) -> list[tuple[Any, ...]]:
    return [(week.week, week.events, week.root, week.named_files) for week in committed_weeks(connection)]


@pytest.mark.mission("A5")
def test_a_ledger_comes_back_from_its_cold_folder_alone(
    connection: Connection, make_ledger: Callable[[], str], settings: Settings
) -> None:
    names = ("drives", "customers", "users", "agents")
    made = {name: uuid4() for name in names}
    for name, identity in made.items():
        connection.execute(f"INSERT INTO {name} (id, name) VALUES (%s, 'somebody')", (identity,))  # type: ignore[arg-type]
    fill(connection)
    first, *rest = history(1, seed=3)
    owned = first.model_copy(update={f"{name.removesuffix('s')}_id": identity for name, identity in made.items()})
    assert first.execution_id is not None
    running = rest[:-1]
    append(connection, first.execution_id, [owned, *running], history=True)
    roll(connection, settings, NOW)
    before = (everything(connection, settings.cold_dir), states(connection, settings.cold_dir), roots(connection))
    with connect(make_ledger(), autocommit=True) as new:
        recovered = recover(new, settings.cold_dir)
        assert (recovered.weeks, recovered.events, recovered.executions) == (3, 188, 21)
        assert recovered.placeholders == dict.fromkeys(names, 1)
        assert any("prices" in what for what in recovered.lost)
        assert any("templates" in what for what in recovered.lost)
        after = (everything(new, settings.cold_dir), states(new, settings.cold_dir), roots(new))
        assert after == before
        assert recovered.instance_id != recovered.from_instance
        report = verify(new, settings.cold_dir)
        assert (report.problems, report.events) == ([], 188)
        assert check_projections(new, settings.cold_dir).ok
        # It works: what ran goes on, and rolls to files of its own.
        append(new, first.execution_id, rest[-1:], expected_sequence=8)
        append(new, uuid4(), [make_event("WorkflowCreated", {"occurred_at": NOW, "workflow_name": "new"})])
        sign_tree(new, settings)
        roll(new, settings, datetime.now(UTC) + timedelta(days=400))
        assert verify(new, settings.cold_dir).problems == []
        assert strays(new, settings.cold_dir) == []
        assert len(ledgers_in(settings.cold_dir)) == 2
    assert verify(connection, settings.cold_dir).problems == []


def test_a_folder_is_recovered_whole_or_not_at_all(
    connection: Connection, make_ledger: Callable[[], str], settings: Settings
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    first, second, third = (settings.cold_dir / week.files[0].name for week in committed_weeks(connection))
    kept = second.read_bytes()
    with connect(make_ledger(), autocommit=True) as new:
        second.unlink()
        with pytest.raises(ColdStoreDamaged, match="a week is missing from the folder"):
            recover(new, settings.cold_dir)
        second.write_bytes(kept[:-9] + b"x" + kept[-8:])
        with pytest.raises(ColdStoreDamaged, match=second.name):
            recover(new, settings.cold_dir)
        shutil.copyfile(third, second)
        with pytest.raises(ColdStoreDamaged, match=rf"{second.name}: its ledger.week is"):
            recover(new, settings.cold_dir)
        second.write_bytes(kept)
        orphan = first.with_name("0" * 16 + ".parquet")
        shutil.copyfile(first, orphan)
        with pytest.raises(ColdStoreDamaged, match=orphan.name):
            recover(new, settings.cold_dir)
        orphan.unlink()
        with pytest.raises(InvalidInput, match="holds no files of"):
            recover(new, settings.cold_dir, uuid4())
        assert new.execute("SELECT count(*) AS n FROM archive_manifest").fetchone() == {"n": 0}
        assert recover(new, settings.cold_dir).events == 180
        with pytest.raises(InvalidInput, match="into an empty database"):
            recover(new, settings.cold_dir)


def test_a_dump_and_the_folder_make_the_ledger_again(
    connection: Connection, server_url: str, ledger_url: str, settings: Settings, tmp_path: Path
) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    before = (everything(connection, settings.cold_dir), states(connection, settings.cold_dir))
    with restored_dump(server_url, ledger_url, tmp_path) as new:
        with pytest.raises(EpochMismatch, match="adopt"):
            append(new, uuid4(), [make_event("WorkflowCreated", {"occurred_at": NOW, "workflow_name": "new"})])
        new.execute("SELECT adopt('restored', false)")
        assert strays(new, settings.cold_dir) == []
        assert (everything(new, settings.cold_dir), states(new, settings.cold_dir)) == before
        assert verify(new, settings.cold_dir).problems == []
        assert check_projections(new, settings.cold_dir).ok
        append(new, uuid4(), [make_event("WorkflowCreated", {"occurred_at": NOW, "workflow_name": "new"})])
        assert [week.week for week in roll(new, settings, NOW)] == [MONDAY + timedelta(weeks=n) for n in (1, 2)]
        assert verify(new, settings.cold_dir).problems == []


def test_a_dump_that_is_older_than_the_folder_is_noticed(
    connection: Connection, server_url: str, ledger_url: str, settings: Settings, tmp_path: Path
) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    with restored_dump(server_url, ledger_url, tmp_path) as old:
        roll(connection, settings, NOW)
        assert strays(connection, settings.cold_dir) == []
        old.execute("SELECT adopt('restored', false)")
        (said,) = strays(old, settings.cold_dir)
        assert "the database is older than the cold folder" in said
        assert "the weeks 2025-01-13, 2025-01-20 that the database never rolled" in said
        assert said in [problem.what for problem in verify(old, settings.cold_dir).problems]
        # One that lives on beside the original has no business with what that rolls.
        old.execute("SELECT adopt('a copy', true)")
        assert strays(old, settings.cold_dir) == []


def test_a_folder_of_another_ledger_and_one_that_lacks_weeks_are_noticed(
    connection: Connection, make_ledger: Callable[[], str], settings: Settings, tmp_path: Path
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    other = Settings(home=tmp_path / "other", cold_url=str(tmp_path / "other-cold"))
    with connect(make_ledger(), autocommit=True) as stranger:
        fill(stranger, seed=2)
        roll(stranger, other, NOW)
    (said,) = strays(connection, other.cold_dir)
    assert "is not this ledger's" in said
    assert str(ledgers_in(other.cold_dir)[0]) in said
    assert said in [problem.what for problem in verify(connection, other.cold_dir).problems]
    (settings.cold_dir / committed_weeks(connection)[1].files[0].name).unlink()
    (said,) = strays(connection, settings.cold_dir)
    assert "lacks files of the week 2025-01-13" in said
    row = connection.execute("SELECT id FROM execution_heads LIMIT 1").fetchone()
    assert row is not None
    with pytest.raises(ColdStoreDamaged, match="is missing"):
        list(execution_events(connection, settings.cold_dir, row["id"]))


@contextmanager
def restored_dump(server_url: str, ledger_url: str, folder: Path) -> Iterator[Connection]:
    """A connection to a new database that a dump of another one was restored into."""
    name, dump = f"ledger_restored_{uuid4().hex[:12]}", folder / "dump.sql"
    new = make_conninfo(server_url, dbname=name)
    run("pg_dump", ledger_url, f"--file={dump}")
    # What a newer client sets and an older server doesn't know.
    text = dump.read_text().replace("SET transaction_timeout = 0;", "")
    dump.write_text(text)
    create_database(server_url, name)
    run("psql", new, "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}")
    try:
        with connect(new, autocommit=True) as connection:
            yield connection
    finally:
        drop_database(server_url, name)


def run(program: str, url: str, *arguments: str) -> None:
    """One of the server's client programs, on a database."""
    command, environment = client_command(program, url)
    done = subprocess.run(
        [*command, *arguments], env=os.environ | environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
