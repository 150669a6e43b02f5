"""Retention: a removed week says so ever after; nothing else is lost, and what is held stays."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

import verify_ledger
from ledger_pipeline.cli.cost_report import cost_report
from ledger_pipeline.cold import retention
from ledger_pipeline.cold.feed import read_feed
from ledger_pipeline.cold.holds import Scope, holds, lift_hold, place_hold
from ledger_pipeline.cold.manifest import committed_weeks, week_row
from ledger_pipeline.cold.reader import execution_events, scan_events
from ledger_pipeline.cold.restore import restore_week
from ledger_pipeline.cold.retention import RemovedWeek, files_left, removable_weeks, removed_weeks
from ledger_pipeline.cold.roll import orphans, roll
from ledger_pipeline.errors import EventsRemoved, InvalidInput, NotFound, PermissionDenied
from ledger_pipeline.events.catalogue import Event
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.snapshots import take_snapshots
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, execution, fill
from ledger_pipeline_tests.hot.security.logins import Logins, logins_of

DAYS = 100
ALL, LATER = [MONDAY + timedelta(weeks=nth) for nth in range(3)], MONDAY + timedelta(weeks=8)
SAID = r"removed under retention on \d{4}-\d\d-\d\d by ann: records schedule, 4"


def remove(ledger: Ledger, now: datetime = NOW, days: int = DAYS) -> list[RemovedWeek]:
    return ledger.remove_weeks(now, days, operator="ann", reason="records schedule, 4")


def of_a_later_week(seed: int = 9) -> list[Event]:
    """An execution of one week, which is not past retention."""
    import random

    events = list(execution(UUID(int=seed, version=4), 0, 1, random.Random(seed)))
    return [event.model_copy(update={"occurred_at": event.occurred_at + timedelta(weeks=8)}) for event in events]


@pytest.fixture
def ledger(connection: Connection, ledger_url: str, settings: Settings) -> Iterator[Ledger]:
    """Twenty executions of three weeks and one of a later week: rolled, in the marts, pruned."""
    fill(connection)
    append_many(connection, of_a_later_week(), history=True)
    roll(connection, settings, NOW, keep_days=1)
    with Ledger(settings, ledger_url, ExitStack()) as opened:
        opened.build_marts(NOW)
        opened.prune(NOW, 1)
        yield opened


def ids(connection: Connection) -> list[UUID]:
    return [row["id"] for row in connection.execute("SELECT id FROM execution_heads ORDER BY last_week, id").fetchall()]


def spent(ledger: Ledger) -> object:
    with ledger.marts() as marts:
        return cost_report(marts, ["month", "model"])


@pytest.mark.mission("C5")
def test_a_removed_week_says_so_and_everything_else_goes_on(
    ledger: Ledger, connection: Connection, settings: Settings
) -> None:
    before, notes = spent(ledger), settings.notes_folder
    removed, kept = ids(connection)[0], ids(connection)[-1]
    rows = list(execution_events(connection, settings.cold_dir, kept))
    manifest = connection.execute("SELECT * FROM archive_manifest ORDER BY week").fetchall()
    assert [week.week for week in remove(ledger)] == ALL
    assert connection.execute("SELECT * FROM archive_manifest ORDER BY week").fetchall() == manifest
    assert [path.parent.name for path in sorted(settings.cold_dir.rglob("*.parquet"))] == [f"week={LATER}"]
    assert list(execution_events(connection, settings.cold_dir, kept)) == rows
    assert replay(connection, settings.cold_dir, kept).last_sequence == 9
    with pytest.raises(EventsRemoved, match=rf"^events 1 to \d of execution {removed} were {SAID}$"):
        list(execution_events(connection, settings.cold_dir, removed))
    with pytest.raises(EventsRemoved, match=SAID):
        replay(connection, settings.cold_dir, removed)
    ledger.checkpoint()
    report = ledger.verify(notes=notes)
    assert report.problems == []
    assert [text.partition(":")[0] for text in report.removed] == [f"week {week}" for week in ALL]
    (key,) = notes.rglob("*.vkey")
    audited = verify_ledger.audit(settings.cold_dir, notes, [verify_ledger.parse_key(key.read_text())])
    assert audited.problems == []
    assert [text.partition(":")[0] for text in audited.removed] == [f"week {week}" for week in ALL]
    assert audited.events == 9
    assert check_projections(connection, settings.cold_dir).ok
    take_snapshots(connection, settings.cold_dir, 3, NOW)
    assert spent(ledger) == before
    build = ledger.build_marts(NOW)
    assert build.whole
    assert (build.rows["audit_log"], build.new_events) == (9, 9)
    assert spent(ledger) == before
    assert orphans(connection, settings) == []
    assert remove(ledger) == []


def test_a_read_of_all_refuses_or_is_told_to_leave_out(
    ledger: Ledger, connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    remove(ledger)
    with pytest.raises(EventsRemoved, match=f"week {MONDAY} were {SAID}"):
        next(scan_events(connection, settings.cold_dir))
    assert sum(batch.num_rows for batch in scan_events(connection, settings.cold_dir, but_removed=True)) == 9
    assert sum(batch.num_rows for batch in scan_events(connection, settings.cold_dir, from_week=LATER)) == 9
    with pytest.raises(EventsRemoved, match=SAID):
        list(read_feed(connection, settings.cold_dir).batches)
    with pytest.raises(EventsRemoved, match=SAID):
        restore_week(connection, settings.cold_dir, MONDAY)
    with pytest.raises(EventsRemoved, match=SAID):
        list(ledger.queries.audit(page_size=500).items)
    assert len(ledger.queries.audit(page_size=8).items) == 8
    with pytest.raises(NotFound, match="or was removed under retention"):
        ledger.prove(uuid4())
    with (tmp_path / "out").open("wb") as out:
        assert ledger.export_jsonl(out, but_removed=True) == 9


def test_nothing_goes_that_is_not_past_retention_or_not_pruned(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    fill(connection)
    roll(connection, settings, NOW, keep_days=1)
    with Ledger(settings, ledger_url, ExitStack()) as ledger:
        with pytest.raises(NotFound):
            remove(ledger)
        ledger.build_marts(NOW)
        assert remove(ledger) == []
        (first, *_) = removable_weeks(connection, settings.cold_dir, NOW, DAYS)
        assert "20 executions with events in it" in first.obstacles[0]
        assert "are not pruned" in first.obstacles[0]
        ledger.prune(NOW, 1)
        ends = datetime(2025, 1, 27, tzinfo=UTC)
        # An execution goes whole: none of its weeks before the last of them.
        assert remove(ledger, ends + timedelta(days=DAYS) - timedelta(microseconds=1)) == []
        assert [week.week for week in remove(ledger, ends + timedelta(days=DAYS))] == ALL


@pytest.mark.parametrize("scope", [Scope.LEDGER, Scope.EXECUTION])
def test_a_hold_stops_a_removal_until_it_is_lifted(
    ledger: Ledger, connection: Connection, settings: Settings, scope: Scope
) -> None:
    subject = None if scope is Scope.LEDGER else ids(connection)[4]
    hold = place_hold(connection, scope, subject, operator="carol", reason="case 17")
    assert remove(ledger) == []
    (first, *_) = removable_weeks(connection, settings.cold_dir, NOW, DAYS)
    assert f"a legal hold on the {'whole ledger' if subject is None else f'execution {subject}'}" in first.obstacles[0]
    assert "placed by carol" in first.obstacles[0]
    lifted = lift_hold(connection, hold.id, operator="dave", reason="case closed")
    assert (lifted.lifted_by, lifted.lift_reason) == ("dave", "case closed")
    assert holds(connection) == []
    assert holds(connection, lifted=True) == [lifted]
    assert len(remove(ledger)) == 3
    lines = connection.execute("SELECT action, reason FROM admin_log ORDER BY at").fetchall()
    told = [(line["action"], line["reason"]) for line in lines if line["action"] in ("hold", "lift", "remove")]
    assert told == [("hold", "case 17"), ("lift", "case closed"), *[("remove", "records schedule, 4")] * 3]


def test_a_hold_on_a_customer_or_a_drive_keeps_the_weeks_with_its_events(
    connection: Connection, ledger_url: str, settings: Settings
) -> None:
    customer, drive = uuid4(), uuid4()
    connection.execute("INSERT INTO customers (id, name) VALUES (%s, 'customer')", (customer,))
    connection.execute("INSERT INTO drives (id, name) VALUES (%s, 'drive')", (drive,))
    events = of_a_later_week()
    first = events[0].model_copy(update={"customer_id": customer, "drive_id": drive})
    fill(connection)
    append_many(connection, [first, *events[1:]], history=True)
    roll(connection, settings, NOW, keep_days=1)
    with Ledger(settings, ledger_url, ExitStack()) as ledger:
        ledger.build_marts(NOW)
        ledger.prune(NOW, 1)
        placed = [
            place_hold(connection, scope, subject, operator="carol", reason="case 18")
            for scope, subject in ((Scope.CUSTOMER, customer), (Scope.DRIVE, drive))
        ]
        assert [week.week for week in remove(ledger, days=1)] == ALL
        ledger.build_marts(NOW)
        for hold in placed:
            assert remove(ledger, days=1) == []
            lift_hold(connection, hold.id, operator="carol", reason="over")
        assert [week.week for week in remove(ledger, days=1)] == [LATER]


def test_what_a_hold_needs(connection: Connection) -> None:
    with pytest.raises(InvalidInput, match="reason: is missing"):
        place_hold(connection, Scope.LEDGER, None, operator="carol", reason=" ")
    with pytest.raises(InvalidInput, match="operator: is missing"):
        place_hold(connection, Scope.LEDGER, None, operator="", reason="case")
    with pytest.raises(InvalidInput, match="does not exist, so it can not be held"):
        place_hold(connection, Scope.EXECUTION, uuid4(), operator="carol", reason="case")
    with pytest.raises(InvalidInput, match="is no hold that stands"):
        lift_hold(connection, uuid4(), operator="carol", reason="case")
    hold = place_hold(connection, Scope.LEDGER, None, operator="carol", reason="case")
    for change in ("DELETE FROM legal_holds", "UPDATE legal_holds SET reason = 'other'", "TRUNCATE legal_holds"):
        with pytest.raises(psycopg.Error, match=r"hold|refused"):
            connection.execute(change)
    assert holds(connection) == [hold]


@pytest.fixture
def logins(server_url: str) -> Iterator[Logins]:
    with logins_of(server_url) as made:
        yield made


@pytest.mark.mission("E6")
def test_who_removes_lifts_no_hold_and_nobody_else_removes(
    ledger: Ledger, connection: Connection, ledger_url: str, logins: Logins
) -> None:
    hold = place_hold(connection, Scope.LEDGER, None, operator="carol", reason="case")
    removal = "SELECT remove_week('2025-01-06', 1, now(), 'x', 'y', '[]', '{}', '{}', '[]')"
    for kind in ("reader", "application", "archiver"):
        with logins.connect(ledger_url, logins.make(kind)) as other:
            with pytest.raises(PermissionDenied):
                place_hold(other, Scope.LEDGER, None, operator="x", reason="y")
            with pytest.raises(PermissionDenied):
                lift_hold(other, hold.id, operator="x", reason="y")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                other.execute("INSERT INTO removed_weeks (week) VALUES ('2025-01-06')")
            if kind != "archiver":
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    other.execute(removal)
    with logins.connect(ledger_url, logins.make("service")) as service:
        lift_hold(service, hold.id, operator="x", reason="y")
        with pytest.raises(psycopg.Error, match="week 2025-01-06 has"):
            service.execute(removal)


def test_nothing_is_removed_before_its_time_by_a_clock_of_ones_own(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match="ahead of the server's clock"):
        remove(ledger, datetime.now(UTC) + timedelta(days=2))


def test_a_removal_that_was_interrupted_is_finished_by_the_next(
    ledger: Ledger, connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(retention, "_remove_files", interrupt)
        with pytest.raises(Interrupted):
            remove(ledger)
    assert len(files_left(connection, settings.cold_dir)) == 3
    with pytest.raises(EventsRemoved):
        list(execution_events(connection, settings.cold_dir, ids(connection)[0]))
    assert ledger.verify().ok
    ledger.build_marts(NOW)
    assert remove(ledger) == []
    assert files_left(connection, settings.cold_dir) == []
    assert [week.week for week in removed_weeks(connection)] == ALL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE removed_segments SET last_hash = sha256('x')", "what was kept of its executions"),
        ("UPDATE removed_weeks SET reason = 'other'", "removal 2025-01-06 was changed"),
        (
            "DELETE FROM removed_segments WHERE week = '2025-01-06';"
            " DELETE FROM removed_weeks WHERE week = '2025-01-06'",
            "removal 2025-01-06 is a leaf of the tree, and its row is gone",
        ),
        (
            "DELETE FROM tree_leaves WHERE kind = 'removal' AND place = (SELECT max(place) FROM tree_leaves)",
            "is no leaf of the tree",
        ),
    ],
)
def test_a_removal_can_not_be_made_up_or_altered(
    ledger: Ledger, connection: Connection, settings: Settings, change: str, said: str
) -> None:
    remove(ledger)
    connection.execute("SET session_replication_role = replica")
    for table in ("removed_segments", "removed_weeks", "tree_leaves"):
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(sql.Identifier(table)))
    connection.execute(change)
    assert any(said in problem.what for problem in ledger.verify().problems)


def test_a_week_that_is_only_missing_is_damage(ledger: Ledger, connection: Connection, settings: Settings) -> None:
    remove(ledger)
    row = week_row(connection, LATER)
    assert row is not None
    (settings.cold_dir / row.files[0].name).unlink()
    assert any("is missing" in problem.what for problem in ledger.verify().problems)


def test_the_daily_report_of_what_is_past_retention_changes_nothing(
    ledger: Ledger, connection: Connection, settings: Settings
) -> None:
    assert [week.week for week in ledger.removable_weeks(NOW, DAYS)] == ALL
    assert all(not week.obstacles for week in ledger.removable_weeks(NOW, DAYS))
    assert all(week.removal is None for week in committed_weeks(connection))
    with pytest.raises(InvalidInput, match="retention is off"):
        ledger.removable_weeks(NOW)
