"""The tamper matrix: as a superuser whom no trigger stops, with the files at hand; each tampering is found and located.

What `verify --notes` and `verify_ledger.py` can't find is at the end, and in docs/proof.md.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import verify_ledger
from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.notes import _write, sign_tree
from ledger_pipeline.cold.signed_note import Signer
from ledger_pipeline.cold.signing_key import signing_key
from ledger_pipeline.cold.tree import read_tree
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_COLUMNS, EVENT_TYPES, typed_columns, versions_of
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.hot.database import connect
from ledger_pipeline.replay import checkpoint_check, cold_check, hashers, hot_check
from ledger_pipeline.replay.note_check import KeptNotes
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import fill
from ledger_pipeline_tests.conftest import ledgers
from ledger_pipeline_tests.replay.noted_ledger import NotedLedger, prepare

pytestmark = pytest.mark.mission("A3")


@pytest.fixture(scope="module")
def ledger(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotedLedger]:
    """Shared by the tests: each puts back what it has changed."""
    folder = tmp_path_factory.mktemp("noted")
    settings = Settings(home=folder / "home", cold_url=str(folder / "cold"), notes_dir=folder / "notes")
    with ledgers(server_url, template_database) as make, connect(make(), autocommit=True) as connection:
        yield prepare(connection, settings)


def test_a_healthy_ledger_is_not_accused(ledger: NotedLedger) -> None:
    assert ledger.problems() == []
    assert ledger.auditors_problems() == []


def test_processes_that_hash_parts_find_the_same(ledger: NotedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(hot_check, "_PART_BYTES", 8_192)
    monkeypatch.setattr(cold_check, "_GROUP_EVENTS", 1)
    monkeypatch.setattr(checkpoint_check, "_SUBTREE", 4)
    assert ledger.problems() == []
    execution_id = str(ledger.event(IN_BATCH)["execution_id"])
    with ledger.changed(
        f"UPDATE workflow_events SET mode = 'x' WHERE {MINE} AND sequence = 3", execution_id=execution_id
    ):
        assert [f"execution {execution_id}, sequence 3: " in problem.what for problem in ledger.problems()] == [True]
    with ledger.changed_files():
        located = leave_an_event_out(ledger)
        assert any(problem.event_id == located for problem in ledger.problems())


def test_a_process_that_dies_ends_the_verification(ledger: NotedLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LedgerError, match="a process that hashes events ended with exit code 1: verify again"):
        ledger.problems()


# Columns --------------------------------------------------------------------------------------------------------------

CHANGES: dict[ColumnKind, str] = {
    ColumnKind.UUID: "gen_random_uuid()",
    ColumnKind.TEXT: "coalesce({0}, '') || 'x'",
    ColumnKind.INTEGER: "coalesce({0}, 0) + 1",
    ColumnKind.BIGINT: "coalesce({0}, 0) + 1",
    ColumnKind.BOOLEAN: "NOT coalesce({0}, false)",
    ColumnKind.TIMESTAMP: "coalesce({0}, now()) + interval '1 microsecond'",
    ColumnKind.USD: "coalesce({0}, 0) + 0.000000000001",
    ColumnKind.JSON: "(left({0}::text, -1) || ' }}')::json",
    ColumnKind.BYTES: "sha256({0})",
}
PLACING = {"event_type", "week", "execution_id", "sequence"}
"""Columns by which a hot row is found in its table: changed, the row is another's, as below."""


@pytest.mark.parametrize("column", [name for name in EVENT_COLUMNS if name not in PLACING])
def test_a_changed_column_of_a_hot_event_names_the_event(ledger: NotedLedger, column: str) -> None:
    event = ledger.event("event_type = 'TokensUpdated' AND epoch = 3")
    change = CHANGES[EVENT_COLUMNS[column]].format(column)
    where = "execution_id = %(execution_id)s AND sequence = %(sequence)s"
    with ledger.changed(f"UPDATE workflow_events SET {column} = {change} WHERE {where}", **event):
        now = ledger.event(f"execution_id = '{event['execution_id']}' AND sequence = {event['sequence']}")
        assert str(now["event_id"]) in [problem.event_id for problem in ledger.problems()]


def changed_value(column: str, row: dict[str, object]) -> object:
    """Another value of the column's kind."""
    query = {
        ColumnKind.UUID: "uuid()::VARCHAR",
        ColumnKind.TEXT: "coalesce($value::VARCHAR, '') || 'x'",
        ColumnKind.JSON: "$value::VARCHAR || ' '",
        ColumnKind.INTEGER: "coalesce($value::BIGINT, 0) + 1",
        ColumnKind.BIGINT: "coalesce($value::BIGINT, 0) + 1",
        ColumnKind.BOOLEAN: "NOT coalesce($value::BOOLEAN, false)",
        ColumnKind.TIMESTAMP: "coalesce($value::TIMESTAMPTZ, now()) + INTERVAL 1 MICROSECOND",
        ColumnKind.DATE: "$value::DATE + 7",
        ColumnKind.USD: "coalesce($value::DECIMAL(38, 12), 0) + 0.000000000001",
        ColumnKind.BYTES: "unhex(sha256($value::BLOB))",
    }[EVENT_COLUMNS[column]]
    if EVENT_COLUMNS[column] is ColumnKind.UUID:
        return duckdb.sql(f"SELECT {query}").fetchall()[0][0]
    return duckdb.execute(f"SELECT {query}", {"value": row[column]}).fetchall()[0][0]


@pytest.mark.parametrize("column", EVENT_COLUMNS)
def test_a_changed_column_of_a_cold_event_names_the_event(ledger: NotedLedger, column: str) -> None:
    path = ledger.cold_file()
    with ledger.changed_files():
        table = pq.read_table(path)
        place = pc.index(table.column("event_type"), "TokensUpdated").as_py()
        rows = table.to_pylist()
        rows[place][column] = changed_value(column, rows[place])
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
        found = ledger.auditors_problems()
    assert "was altered" in found[0]
    assert any(rows[place]["event_id"] in problem for problem in found[1:]), found


def test_both_verifiers_find_a_changed_cold_event(ledger: NotedLedger) -> None:
    path = ledger.cold_file(1)
    with ledger.changed_files():
        table = pq.read_table(path)
        rows = table.to_pylist()
        rows[2]["mode"] = "other"
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
        problems, auditors = ledger.problems(), ledger.auditors_problems()
    assert rows[2]["event_id"] in [problem.event_id for problem in problems]
    assert path.name in str([problem.file for problem in problems])
    assert rows[2]["event_id"] in str(auditors)


# Rows of the hot store ------------------------------------------------------------------------------------------------

IN_BATCH = "epoch = 3 AND tx < (SELECT end_tx FROM checkpoints WHERE n = 2)"
REHASH = (
    "UPDATE workflow_events e SET leaf = leaf(e) WHERE execution_id = %(execution_id)s",
    # The whole chain anew, the head with it: as one who knows how the ledger works would do.
    """
    WITH RECURSIVE chain AS (
        SELECT sequence, sha256(decode(repeat('00', 32), 'hex') || leaf) AS hash FROM workflow_events
        WHERE execution_id = %(execution_id)s AND sequence = 1
        UNION ALL
        SELECT e.sequence, sha256(c.hash || e.leaf) FROM chain c
        JOIN workflow_events e ON e.execution_id = %(execution_id)s AND e.sequence = c.sequence + 1
    )
    UPDATE workflow_events e SET hash = c.hash FROM chain c
    WHERE e.execution_id = %(execution_id)s AND e.sequence = c.sequence
    """,
    """
    UPDATE execution_heads h SET last_sequence = e.sequence, head_hash = e.hash FROM workflow_events e
    WHERE h.id = %(execution_id)s AND e.execution_id = h.id
        AND e.sequence = (SELECT max(sequence) FROM workflow_events WHERE execution_id = %(execution_id)s)
    """,
)
RECLOSE = (
    """
    UPDATE checkpoints c SET events = m.events, root = m.root
    FROM merkle_root('SELECT leaf, row_number() OVER (ORDER BY tx, execution_id, sequence) - 1 AS place
        FROM ledger.workflow_events WHERE epoch = 3 AND tx < (SELECT end_tx FROM ledger.checkpoints WHERE n = 2)') m
    WHERE c.n = 2
    """,
    """
    UPDATE tree_leaves t SET canonical_text = tree_text(c), leaf = sha256(convert_to(tree_text(c), 'UTF8'))
    FROM checkpoints c WHERE c.n = 2 AND t.kind = 'checkpoint' AND t.key = '2'
    """,
)
"""What makes checkpoint and tree fit a rewritten batch: forged, up to the signature."""

MINE = "execution_id = %(execution_id)s"
TAMPERINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "an event is deleted": (
        (f"DELETE FROM workflow_events WHERE {MINE} AND sequence = 4",),
        "the event before it is missing",
    ),
    "the first event is deleted": (
        (f"DELETE FROM workflow_events WHERE {MINE} AND sequence = 1",),
        "follows sequence 0",
    ),
    "a tail is cut off": ((f"DELETE FROM workflow_events WHERE {MINE} AND sequence > 6",), "the head says sequence 9"),
    "a tail is cut off with its head": (
        (f"DELETE FROM workflow_events WHERE {MINE} AND sequence > 6", *REHASH),
        "ends at sequence 6: when batch 2 was closed it had events up to sequence 9",
    ),
    "an execution is deleted": ((f"DELETE FROM workflow_events WHERE {MINE}",), "and there is none"),
    "an execution is deleted with its head": (
        (f"DELETE FROM workflow_events WHERE {MINE}", "DELETE FROM execution_heads WHERE id = %(execution_id)s"),
        "is gone: when batch 2 was closed it had 9 events",
    ),
    "an event is inserted at the end": (
        (
            f"INSERT INTO workflow_events SELECT (jsonb_populate_record(e, jsonb_build_object('event_id',"
            f" gen_random_uuid(), 'sequence', 10))).* FROM workflow_events e WHERE {MINE} AND sequence = 9",
            *REHASH,
        ),
        "has events up to sequence 10 in batch 2, which had its events up to sequence 9",
    ),
    "an event is stored twice": (
        (
            f"INSERT INTO workflow_events SELECT (jsonb_populate_record(e, jsonb_build_object('event_type',"
            f" 'WorkflowStarted'))).* FROM workflow_events e WHERE {MINE} AND sequence = 9",
        ),
        "",
    ),
    "two events are swapped": (
        (f"UPDATE workflow_events SET sequence = 11 - sequence WHERE {MINE} AND sequence IN (5, 6)",),
        "its columns do not give its leaf",
    ),
    "a history is rewritten with hashes and head": (
        (f"UPDATE workflow_events SET mode = 'other' WHERE {MINE} AND sequence = 3", *REHASH),
        "its hash is another than when batch 2 was closed",
    ),
    "an event moves to another execution": (
        (
            "UPDATE workflow_events SET sequence = 10,"
            " execution_id = (SELECT min(id::text)::uuid FROM execution_heads)"
            f" WHERE {MINE} AND sequence = 9",
        ),
        "",
    ),
    "an event moves to another type": (
        (f"UPDATE workflow_events SET event_type = 'WorkflowStarted' WHERE {MINE} AND sequence = 9",),
        "its columns do not give its leaf",
    ),
}


@pytest.mark.parametrize(("statements", "what"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampering_with_rows_names_the_execution(ledger: NotedLedger, statements: tuple[str, ...], what: str) -> None:
    execution_id = str(ledger.event(IN_BATCH)["execution_id"])
    with ledger.changed(*statements, execution_id=execution_id):
        problems = [problem.what for problem in ledger.problems()]
    assert any(execution_id in problem and what in problem for problem in problems), problems


FORGED = [name for name in TAMPERINGS if "head" in name]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_checkpoint_is_found_by_the_notes_and_the_execution_named(ledger: NotedLedger, name: str) -> None:
    execution_id = str(ledger.event(IN_BATCH)["execution_id"])
    statements, what = TAMPERINGS[name]
    with ledger.changed(*statements, *RECLOSE, execution_id=execution_id):
        without = verify(ledger.connection, ledger.settings.cold_dir).problems
        problems = [problem.what for problem in ledger.problems()]
    assert without == []  # all of the database fits together: only the signature doesn't
    assert any("signs another root" in problem for problem in problems), problems
    assert any("checkpoint 2" in problem and "has other columns" in problem for problem in problems)
    assert any(execution_id in problem and what in problem for problem in problems), problems


# Checkpoints, manifest, epochs and the tree ---------------------------------------------------------------------------

RECORDS: dict[str, tuple[str, str]] = {
    "a checkpoint's root": ("UPDATE checkpoints SET root = sha256(root) WHERE n = 1", "checkpoint 1 was changed"),
    "a checkpoint's time": ("UPDATE checkpoints SET closed_at = now() WHERE n = 1", "checkpoint 1 was changed"),
    "a checkpoint's bounds": ("UPDATE checkpoints SET end_tx = end_tx - 1 WHERE n = 1", "checkpoint 1 was changed"),
    "a checkpoint is deleted": (
        "DELETE FROM checkpoints WHERE n = 2",
        "checkpoint 2 is a leaf of the tree, and its row",
    ),
    "an epoch's reason": ("UPDATE ledger_epochs SET reason = 'x' WHERE epoch = 2", "epoch 2 was changed"),
    "an epoch is added": (
        "INSERT INTO ledger_epochs SELECT 9, system_identifier, timeline, database_oid, instance_id, opened_at, 'x'"
        " FROM ledger_epochs WHERE epoch = 1; DELETE FROM tree_leaves WHERE kind = 'epoch' AND key = '9'",
        "epoch 9 is no leaf",
    ),
    "a week's bytes": ("UPDATE archive_manifest SET bytes = bytes + 1", "week 2025-01-06 was changed"),
    "a week's file": (
        "UPDATE archive_manifest SET files = jsonb_set(files, '{0,sha256}', to_jsonb(repeat('0', 64)))",
        "was altered",
    ),
    "a week's root": ("UPDATE archive_manifest SET root = sha256(root)", "its events have another root"),
    "the manifest is rolled back": (
        "UPDATE archive_manifest SET state = 'verified' WHERE week = '2025-01-13'",
        "week 2025-01-13 is a leaf of the tree, and its row is gone",
    ),
    "a week of the manifest is deleted": (
        "DELETE FROM archive_manifest WHERE week = '2025-01-13'",
        "week 2025-01-13 is a leaf of the tree, and its row is gone",
    ),
    "two weeks' files are swapped in the manifest": (
        "UPDATE archive_manifest m SET files = o.files FROM archive_manifest o WHERE o.week <> m.week",
        "week 2025-01-06 was changed",
    ),
    "a leaf of the tree": ("UPDATE tree_leaves SET canonical_text = 'x' WHERE place = 3", "leaf 3 of the tree"),
    "a leaf is deleted": ("DELETE FROM tree_leaves WHERE place = 3", "leaf 3 of the tree is missing"),
    "the last leaf is deleted": (
        "DELETE FROM tree_leaves WHERE place = (SELECT max(place) FROM tree_leaves)",
        "the database was rolled back",
    ),
    "leaves are re-ordered": (
        "UPDATE tree_leaves SET place = 100 WHERE place = 1; UPDATE tree_leaves SET place = 1 WHERE place = 2;"
        "UPDATE tree_leaves SET place = 2 WHERE place = 100",
        "signs another root",
    ),
}


@pytest.mark.parametrize(("statements", "what"), RECORDS.values(), ids=RECORDS)
def test_tampering_with_records_is_found(ledger: NotedLedger, statements: str, what: str) -> None:
    with ledger.changed(*statements.split(";")):
        problems = [problem.what for problem in ledger.problems()]
    assert any(what in problem for problem in problems), problems


def test_an_older_dump_is_found_and_what_it_lacks_is_named(ledger: NotedLedger) -> None:
    lost = str(ledger.event(IN_BATCH)["execution_id"])
    # As a dump from before the second batch has it: nothing of it is there, and all fits together.
    with ledger.changed(
        "DELETE FROM workflow_events WHERE epoch = 3",
        "DELETE FROM execution_heads h WHERE NOT EXISTS (SELECT FROM workflow_events e WHERE e.execution_id = h.id)",
        "DELETE FROM checkpoints WHERE n >= 2",
        "DELETE FROM tree_leaves WHERE kind = 'checkpoint' AND key::integer >= 2",
    ):
        assert verify(ledger.connection, ledger.settings.cold_dir).problems == []
        problems = [problem.what for problem in ledger.problems()]
    assert any("the database was rolled back" in problem for problem in problems)
    assert any(f"execution {lost} is gone" in problem for problem in problems), problems


# Files ----------------------------------------------------------------------------------------------------------------


def flip_a_byte(ledger: NotedLedger) -> str:
    path = ledger.cold_file()
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    return path.name


def swap_two_files(ledger: NotedLedger) -> str:
    first, second = ledger.cold_file(0), ledger.cold_file(1)
    first_content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_content)
    return first.name


def delete_a_file(ledger: NotedLedger) -> str:
    path = ledger.cold_file(1)
    path.unlink()
    return path.name


def leave_an_event_out(ledger: NotedLedger) -> str:
    path = ledger.cold_file()
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table[:2], table[3:]]), path)
    return str(table.column("event_id")[3])


def re_order_events(ledger: NotedLedger) -> str:
    path = ledger.cold_file()
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table[1:2], table[:1], table[2:]]), path)
    return str(table.column("event_id")[1])


def cut_a_tail_off(ledger: NotedLedger) -> str:
    path = ledger.cold_file()
    table = pq.read_table(path)
    last = table.column("execution_id")[-1].as_py()
    pq.write_table(table[:-1], path)
    return last


ON_FILES: list[Callable[[NotedLedger], str]] = [
    flip_a_byte, swap_two_files, delete_a_file, leave_an_event_out, re_order_events, cut_a_tail_off,
]  # fmt: skip


@pytest.mark.parametrize("tamper", ON_FILES, ids=lambda tamper: tamper.__name__)
def test_tampering_with_files_is_found_by_both(ledger: NotedLedger, tamper: Callable[[NotedLedger], str]) -> None:
    with ledger.changed_files():
        located = tamper(ledger)
        problems = [f"{problem.event_id} {problem.file} {problem.what}" for problem in ledger.problems()]
        auditors = ledger.auditors_problems()
    if tamper is not re_order_events:  # which the altered file tells; its events are all there
        assert any(located in problem for problem in problems), problems
    assert any(located in problem for problem in auditors), auditors
    assert problems


def drop_a_note(ledger: NotedLedger) -> str:
    path = sorted(ledger.notes.glob("*.note"))[1]
    path.unlink()
    return ""


def change_a_note(ledger: NotedLedger) -> str:
    path = sorted(ledger.notes.glob("*.note"))[1]
    path.write_text(path.read_text().replace("ledger-pipeline/", "ledger-pipelin/", 1))
    return path.name


def change_a_record(ledger: NotedLedger) -> str:
    path = sorted(ledger.notes.glob("*.jsonl"))[0]
    path.write_text(path.read_text().replace('"last_sequence": 9', '"last_sequence": 8', 1))
    return path.name


@pytest.mark.parametrize("tamper", [change_a_note, change_a_record], ids=lambda tamper: tamper.__name__)
def test_tampering_with_notes_is_found_by_both(ledger: NotedLedger, tamper: Callable[[NotedLedger], str]) -> None:
    with ledger.changed_files():
        located = tamper(ledger)
        problems, auditors = ledger.problems(), ledger.auditors_problems()
    assert any(located in problem.what for problem in problems), problems
    assert any(located in problem for problem in auditors), auditors


def test_a_missing_note_is_found_by_the_auditor_who_needs_its_record(ledger: NotedLedger) -> None:
    with ledger.changed_files():
        drop_a_note(ledger)
        assert ledger.problems() == []  # the others bear witness to as much
        assert any("one is missing" in problem for problem in ledger.auditors_problems())


def test_a_note_of_another_key_is_found(ledger: NotedLedger, tmp_path: Path) -> None:
    other = ledger.settings.model_copy(update={"home": tmp_path / "other", "notes_dir": tmp_path / "notes"})
    forged = sign_tree(ledger.connection, other)
    assert forged is not None
    kept = KeptNotes.read(ledger.connection, ledger.settings, tmp_path / "notes")
    (problem,) = verify(ledger.connection, ledger.settings.cold_dir, notes=kept).problems
    assert problem.what == f"note {forged.path.name} is not signed by a known key"
    key = next(ledger.notes.glob("*.vkey")).read_text()
    found = verify_ledger.audit(ledger.settings.cold_dir, tmp_path / "notes", [verify_ledger.parse_key(key)])
    assert found.problems == [problem.what]


# Under load, and what can't be found ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_ledger_that_is_being_written_to_is_not_accused(ledger: NotedLedger) -> None:
    done = threading.Event()

    def write() -> None:
        with connect(ledger.connection.info.dsn, autocommit=True) as own:
            for seed in range(100, 140):
                fill(own, 1, seed=seed)
                close_checkpoint(own)
                sign_tree(own, ledger.settings)
                if done.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [ledger.problems() for _ in range(4)]
    finally:
        done.set()
        writer.join()
    assert found == [[]] * 4
    assert ledger.problems() == []
    assert ledger.auditors_problems() == []


def test_what_no_batch_holds_yet_can_be_rewritten_unseen(ledger: NotedLedger) -> None:
    fill(ledger.connection, 1, seed=1000)
    newest = ledger.connection.execute("SELECT max(end_tx) AS end_tx FROM checkpoints").fetchone()
    assert newest is not None
    event = ledger.event(f"epoch = 3 AND tx >= {newest['end_tx']}")
    change = f"UPDATE workflow_events SET mode = 'other' WHERE {MINE} AND sequence = 3"
    with ledger.changed(change, *REHASH, execution_id=event["execution_id"]):
        assert ledger.problems() == []


def test_a_rollback_to_before_every_kept_note_is_unseen(ledger: NotedLedger, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    first = sorted(ledger.notes.glob("*.note"))[0]
    for path in (first, first.with_suffix(".jsonl")):
        (tmp_path / "kept" / path.name).write_bytes(path.read_bytes())
    execution_id = ledger.event(IN_BATCH)["execution_id"]
    statements, _ = TAMPERINGS["an execution is deleted with its head"]
    with ledger.changed(*statements, *RECLOSE, execution_id=execution_id):
        kept = KeptNotes.read(ledger.connection, ledger.settings, tmp_path / "kept")
        assert verify(ledger.connection, ledger.settings.cold_dir, notes=kept).problems == []


def test_whoever_has_the_key_can_sign_another_past(ledger: NotedLedger, tmp_path: Path) -> None:
    execution_id = ledger.event(IN_BATCH)["execution_id"]
    statements, _ = TAMPERINGS["an execution is deleted with its head"]
    with ledger.changed(*statements, *RECLOSE, execution_id=execution_id):
        tree = read_tree(ledger.connection)
        origin = f"ledger-pipeline/{ledger.notes.name}"
        forged = _write(tmp_path / "forged", Signer(origin, signing_key(ledger.settings)), 0, tree, iter(()))
        kept = KeptNotes.read(ledger.connection, ledger.settings, tmp_path / "forged")
        assert verify(ledger.connection, ledger.settings.cold_dir, notes=kept).problems == []
        # The notes that were kept elsewhere convict him.
        assert ledger.problems() != []
    assert forged.path.exists()


# The auditor's program knows the catalogue ----------------------------------------------------------------------------


def test_the_auditors_program_has_the_catalogues_columns() -> None:
    assert list(ENVELOPE) == verify_ledger.ENVELOPE
    catalogue = {
        name: {
            str(version): verify_ledger.Layout(str(kind.profile), [typed.name for typed in typed_columns(kind)])
            for version, kind in versions_of(name).items()
        }
        for name in EVENT_TYPES
    }
    assert catalogue == verify_ledger.LAYOUTS
    times = {name for name, kind in EVENT_COLUMNS.items() if kind is ColumnKind.TIMESTAMP}
    assert times == verify_ledger.TIMES
