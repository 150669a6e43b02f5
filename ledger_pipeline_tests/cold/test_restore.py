"""Rolled weeks come back for inspection as they were, or not at all."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from psycopg import errors, sql

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.reader import scan_events
from ledger_pipeline.cold.restore import drop_restored_week, restore_week, restored_weeks
from ledger_pipeline.cold.roll import roll, roll_week
from ledger_pipeline.errors import ColdStoreDamaged, InvalidInput, PermissionDenied
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill
from ledger_pipeline_tests.hot.security.logins import Logins, logins_of

_COLUMNS = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in EVENT_COLUMNS)


ONE_EVENT = "INSERT INTO ledger_quarantine.events_2025_01_06 SELECT * FROM workflow_events ORDER BY event_id LIMIT 1"


@pytest.fixture
def logins(server_url: str) -> Iterator[Logins]:
    with logins_of(server_url) as made:
        yield made


def rows_of(connection: Connection, table: str) -> list[dict[str, object]]:
    return connection.execute(
        sql.SQL("SELECT {} FROM {} WHERE week = %s ORDER BY execution_id, sequence").format(
            _COLUMNS, sql.Identifier(*table.split("."))
        ),
        (MONDAY,),
    ).fetchall()


def everything(connection: Connection, settings: Settings) -> list[dict[str, object]]:
    return [row for batch in scan_events(connection, settings.cold_dir) for row in batch.to_pylist()]


@pytest.mark.mission("A5")
def test_a_restored_week_is_what_was_hot_and_no_reader_sees_it(connection: Connection, settings: Settings) -> None:
    fill(connection)
    hot = rows_of(connection, "ledger.workflow_events")
    roll(connection, settings, NOW)
    before = everything(connection, settings)
    heard: list[int] = []
    restored = restore_week(connection, settings.cold_dir, MONDAY, heard.append)
    assert restored.table == "ledger_quarantine.events_2025_01_06"
    assert restored.events == len(hot) == heard[-1]
    assert rows_of(connection, restored.table) == hot
    assert restored_weeks(connection) == [MONDAY]
    assert everything(connection, settings) == before
    assert drop_restored_week(connection, MONDAY)
    assert not drop_restored_week(connection, MONDAY)
    assert restored_weeks(connection) == []


def test_a_week_is_restored_once(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    restore_week(connection, settings.cold_dir, MONDAY)
    with pytest.raises(InvalidInput, match=r"week: 2025-01-06 is restored already, as ledger_quarantine\.events_2025"):
        restore_week(connection, settings.cold_dir, MONDAY)


@pytest.mark.parametrize(
    ("week", "said"),
    [
        (MONDAY + timedelta(weeks=1), "week: 2025-01-13 is not in the cold store"),
        (date(1999, 1, 4), "week: 1999-01-04 is not in the cold store"),
        (MONDAY + timedelta(days=2), "week: 2025-01-08 is not a Monday; its week's is 2025-01-06"),
    ],
)
def test_other_weeks_are_refused(connection: Connection, settings: Settings, week: date, said: str) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    with pytest.raises(InvalidInput, match=said):
        restore_week(connection, settings.cold_dir, week)
    assert restored_weeks(connection) == []


def test_a_damaged_file_restores_nothing(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    (file,) = committed_weeks(connection)[0].files
    path = settings.cold_dir / file.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ColdStoreDamaged, match=file.name):
        restore_week(connection, settings.cold_dir, MONDAY)
    assert restored_weeks(connection) == []


@pytest.mark.parametrize("tampered", ["root = sha256('forged'), hot_root = sha256('forged')", "events = events + 1"])
def test_an_altered_manifest_restores_nothing(connection: Connection, settings: Settings, tampered: str) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    connection.execute("SET session_replication_role = replica")
    connection.execute(f"UPDATE archive_manifest SET {tampered} WHERE week = '{MONDAY}'")
    connection.execute("RESET session_replication_role")
    with pytest.raises(ColdStoreDamaged, match="week 2025-01-06: 80 events with the root"):
        restore_week(connection, settings.cold_dir, MONDAY)
    assert restored_weeks(connection) == []


def test_a_copy_that_was_changed_on_its_way_is_refused(connection: Connection, settings: Settings) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT open_quarantine(%s)", (MONDAY,))
        connection.execute(ONE_EVENT)
        row = connection.execute("SELECT first_bad FROM close_quarantine(%s)", (MONDAY,)).fetchone()
        assert row == {"first_bad": None}
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT open_quarantine(%s)", (MONDAY,))
        connection.execute(ONE_EVENT)
        connection.execute("UPDATE ledger_quarantine.events_2025_01_06 SET message = 'other', source_line = 7")
        changed = connection.execute("SELECT event_id FROM ledger_quarantine.events_2025_01_06").fetchone()
        row = connection.execute("SELECT first_bad AS event_id FROM close_quarantine(%s)", (MONDAY,)).fetchone()
        assert row == changed


@pytest.mark.mission("E6")
def test_only_who_reads_every_drive_restores_and_reads(
    connection: Connection, settings: Settings, ledger_url: str, logins: Logins
) -> None:
    fill(connection)
    roll_week(connection, settings, MONDAY, NOW)
    with logins.connect(ledger_url, logins.make("archiver")) as archiver:
        restored = restore_week(archiver, settings.cold_dir, MONDAY)
    for kind in ("reader", "application"):
        with logins.connect(ledger_url, logins.make(kind)) as other:
            with pytest.raises(PermissionDenied):
                restore_week(other, settings.cold_dir, MONDAY)
            with pytest.raises(PermissionDenied):
                drop_restored_week(other, MONDAY)
            with pytest.raises(errors.InsufficientPrivilege):
                other.execute(f"SELECT count(*) FROM {restored.table}")
    with logins.connect(ledger_url, logins.make("archiver")) as archiver:
        assert archiver.execute(f"SELECT count(*) AS n FROM {restored.table}").fetchone() == {"n": restored.events}
        with pytest.raises(errors.InsufficientPrivilege):
            archiver.execute(f"DELETE FROM {restored.table}")
