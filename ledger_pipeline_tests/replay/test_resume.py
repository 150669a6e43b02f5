"""A verification that was broken off goes on, and trusts of what it had found only what can't have changed unseen."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ledger_pipeline.hot.database import connect
from ledger_pipeline.replay import cold_check
from ledger_pipeline.replay.hashers import Hashers
from ledger_pipeline.replay.kept_work import KeptWork
from ledger_pipeline.replay.note_check import KeptNotes
from ledger_pipeline.replay.sound_events import feed_file, segments_file
from ledger_pipeline.replay.verification import Report
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.conftest import ledgers
from ledger_pipeline_tests.replay.noted_ledger import NotedLedger, prepare

pytestmark = pytest.mark.mission("A3")


@pytest.fixture(scope="module")
def ledger(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotedLedger]:
    """Two cold weeks, hot events of two epochs, checkpoints and notes."""
    folder = tmp_path_factory.mktemp("resumed")
    settings = Settings(home=folder / "home", cold_url=str(folder / "cold"), notes_dir=folder / "notes")
    with ledgers(server_url, template_database) as make, connect(make(), autocommit=True) as connection:
        yield prepare(connection, settings)


@pytest.fixture(autouse=True)
def _week_by_week(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_check, "_GROUP_EVENTS", 1)


def run(ledger: NotedLedger, folder: Path, *, resume: bool) -> Report:
    """One verification with notes that keeps its work in a folder."""
    notes = KeptNotes.read(ledger.connection, ledger.settings, ledger.notes)
    return verify(ledger.connection, ledger.settings.cold_dir, notes=notes, kept=KeptWork(folder, resume=resume))


@pytest.fixture
def broken_off(ledger: NotedLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that ended when it had read one of the two cold weeks."""
    whole = Hashers.read_weeks
    asked: list[object] = []

    def read_one(self: Hashers, *question: Any) -> Future[bool]:
        asked.append(question)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return whole(self, *question)

    with monkeypatch.context() as patched:
        patched.setattr(Hashers, "read_weeks", read_one)
        with pytest.raises(KeyboardInterrupt):
            run(ledger, tmp_path / "kept", resume=False)
    return tmp_path / "kept"


def hashed_week(ledger: NotedLedger, folder: Path) -> tuple[Path, int]:
    """The file of the week that the broken run had read, and its events."""
    (name,) = (path.stem for path in folder.glob("cold-*.segments"))
    week = name.removeprefix("cold-")
    row = ledger.connection.execute("SELECT files, events FROM archive_manifest WHERE week = %s", (week,)).fetchone()
    assert row is not None
    return ledger.settings.cold_dir / row["files"][0]["name"], row["events"]


def test_what_was_hashed_is_not_hashed_again_and_the_report_is_that_of_a_whole_run(
    ledger: NotedLedger, broken_off: Path, tmp_path: Path
) -> None:
    _, events = hashed_week(ledger, broken_off)
    whole = run(ledger, tmp_path / "other", resume=False)
    resumed = run(ledger, broken_off, resume=True)
    assert (whole.ok, whole.resumed_events) == (True, 0)
    assert (resumed.ok, resumed.resumed_events) == (True, events)
    assert (resumed.events, resumed.executions, resumed.weeks) == (whole.events, whole.executions, whole.weeks)
    assert not broken_off.exists()


def test_a_run_that_is_not_to_go_on_begins_anew(ledger: NotedLedger, broken_off: Path) -> None:
    assert run(ledger, broken_off, resume=False).resumed_events == 0


def test_a_file_that_was_changed_in_between_is_found_even_with_its_time_put_back(
    ledger: NotedLedger, broken_off: Path
) -> None:
    path, _ = hashed_week(ledger, broken_off)
    with ledger.changed_files():
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        report = run(ledger, broken_off, resume=True)
    assert report.resumed_events == 0
    assert any("was altered" in problem.what for problem in report.problems)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE workflow_events SET mode = 'other' WHERE execution_id = %(id)s AND sequence = 3",
        "DELETE FROM workflow_events WHERE execution_id = %(id)s AND sequence = 9",
        "UPDATE execution_heads SET head_hash = sha256(head_hash) WHERE id = %(id)s",
        "UPDATE archive_manifest SET root = sha256(root)",
        "UPDATE checkpoints SET root = sha256(root) WHERE n = 1",
    ],
)
def test_rows_that_were_changed_in_between_are_found(ledger: NotedLedger, broken_off: Path, statement: str) -> None:
    event = ledger.event("epoch = 3")
    with ledger.changed(statement, id=event["execution_id"]):
        assert run(ledger, broken_off, resume=True).problems != []


@pytest.mark.parametrize("of", [segments_file, feed_file])
def test_what_was_kept_is_not_trusted_when_it_changed(ledger: NotedLedger, broken_off: Path, of: Any) -> None:
    (name,) = (path.with_suffix("") for path in broken_off.glob("cold-*.segments"))
    with pa.OSFile(str(of(name)), "ab") as file:
        file.write(b"x")
    report = run(ledger, broken_off, resume=True)
    assert (report.ok, report.resumed_events) == (True, 0)


def test_a_line_that_the_process_did_not_write_to_its_end_counts_for_nothing(
    ledger: NotedLedger, broken_off: Path
) -> None:
    state = broken_off / "hashed.jsonl"
    state.write_bytes(state.read_bytes()[:-20])
    report = run(ledger, broken_off, resume=True)
    assert (report.ok, report.resumed_events) == (True, 0)
