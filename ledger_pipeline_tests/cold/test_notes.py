"""Signed notes: written after each checkpoint, durable, and never against one another."""

import json
import stat
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.merkle import merkle_root
from ledger_pipeline.cold.notes import Note, folder_of, origin_of, read_note, read_record, sign_tree, verifier_keys
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.cold.signed_note import NoteInvalid
from ledger_pipeline.cold.tree import read_tree
from ledger_pipeline.errors import InvalidInput, NotesContradicted
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import NOW, fill

pytestmark = pytest.mark.mission("A3")


def instance(connection: Connection) -> UUID:
    row = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
    assert row is not None
    return row["instance_id"]


def checkpoint(connection: Connection, settings: Settings, seed: int) -> Note:
    """A note of some new executions."""
    fill(connection, 2, seed=seed)
    close_checkpoint(connection)
    note = sign_tree(connection, settings)
    assert note is not None
    return note


def test_a_note_signs_size_and_root_of_the_tree(connection: Connection, settings: Settings) -> None:
    note = checkpoint(connection, settings, 1)
    tree = read_tree(connection)
    folder = folder_of(settings, instance(connection))
    assert note.path == folder / "000000000003.note"
    read = read_note(note.path, verifier_keys(folder))
    assert read == note
    assert read.checkpoint.origin == origin_of(instance(connection))
    assert (read.checkpoint.size, read.checkpoint.root) == (3, merkle_root(leaf.leaf for leaf in tree))


def test_the_record_holds_what_came_since_the_last_note(connection: Connection, settings: Settings) -> None:
    first, second = checkpoint(connection, settings, 1), checkpoint(connection, settings, 2)
    texts = [leaf.canonical_text for leaf in read_tree(connection)]
    assert (read_record(first).first, read_record(first).texts) == (0, texts[:3])
    record = read_record(second)
    assert (record.first, record.texts) == (3, texts[3:])
    heads = connection.execute(
        "SELECT id::text AS id, last_sequence, head_hash FROM execution_heads WHERE id IN"
        " (SELECT execution_id FROM workflow_events WHERE tx >= (SELECT first_tx FROM checkpoints WHERE n = 2))"
        " ORDER BY 1"
    ).fetchall()
    assert [(noted.batch, *noted.head) for noted in record.heads] == [
        (2, row["id"], row["last_sequence"], row["head_hash"]) for row in heads
    ]


def test_nothing_new_is_not_signed_again(connection: Connection, settings: Settings) -> None:
    note = checkpoint(connection, settings, 1)
    written = note.path.stat().st_mtime_ns
    assert sign_tree(connection, settings) is None
    assert note.path.stat().st_mtime_ns == written
    assert len(list(note.path.parent.iterdir())) == 3


def test_what_a_crash_left_out_is_in_the_next_note(connection: Connection, settings: Settings) -> None:
    first = checkpoint(connection, settings, 1)
    fill(connection, 2, seed=2)
    close_checkpoint(connection)  # and the process dies before it signs
    (first.path.parent / "000000000004.jsonl").write_text("half of a recor")
    second = checkpoint(connection, settings, 3)
    record = read_record(second)
    assert (second.checkpoint.size, record.first, len(record.texts)) == (5, 3, 2)
    assert {noted.batch for noted in record.heads} == {2, 3}
    assert sign_tree(connection, settings) is None


def test_heads_are_noted_of_events_that_are_cold_by_then(connection: Connection, settings: Settings) -> None:
    fill(connection, 3, weeks=2)
    heads = connection.execute("SELECT id::text AS id, last_sequence, head_hash FROM execution_heads").fetchall()
    roll(connection, settings, NOW)
    note = sign_tree(connection, settings)
    assert note is not None
    assert {tuple(noted.head) for noted in read_record(note).heads} == {
        (row["id"], row["last_sequence"], row["head_hash"]) for row in heads
    }


def test_a_key_is_made_for_its_owner_alone_and_kept(connection: Connection, settings: Settings) -> None:
    checkpoint(connection, settings, 1)
    path = settings.home / "keys" / "notes.pem"
    key = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    checkpoint(connection, settings, 2)
    assert path.read_bytes() == key
    beside = "".join(file.read_text() for file in folder_of(settings, instance(connection)).iterdir())
    assert "PRIVATE" not in beside


def test_the_key_of_the_setting_signs(connection: Connection, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = Settings(home=tmp_path / "home", signing_key_file=path, notes_dir=tmp_path / "notes")
    note = checkpoint(connection, settings, 1)
    assert note.path.is_relative_to(tmp_path / "notes")
    (known,) = verifier_keys(note.path.parent)
    assert known.key == key.public_key().public_bytes_raw()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "content", [None, b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_file_without_a_key_is_refused(connection: Connection, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    settings = Settings(home=tmp_path / "home", signing_key_file=path)
    fill(connection, 1)
    close_checkpoint(connection)
    with pytest.raises(InvalidInput, match="LEDGER_SIGNING_KEY_FILE: "):
        sign_tree(connection, settings)
    assert not (tmp_path / "home").exists()


def test_another_key_goes_on_where_the_first_one_ended(connection: Connection, settings: Settings) -> None:
    checkpoint(connection, settings, 1)
    (settings.home / "keys" / "notes.pem").unlink()
    note = checkpoint(connection, settings, 2)
    assert len(verifier_keys(note.path.parent)) == 2
    assert read_record(note).first == 3


def test_a_ledger_that_was_rolled_back_is_not_signed(connection: Connection, settings: Settings) -> None:
    note = checkpoint(connection, settings, 1)
    connection.execute("ALTER TABLE tree_leaves DISABLE TRIGGER USER")
    connection.execute("DELETE FROM tree_leaves WHERE place = 2")
    with pytest.raises(NotesContradicted, match=r"3\.note signs a tree of 3 leaves, and the ledger's has 2"):
        sign_tree(connection, settings)
    connection.execute("SELECT adopt('restored')")
    with pytest.raises(NotesContradicted, match="signs another root"):
        sign_tree(connection, settings)
    assert sorted(path.name for path in note.path.parent.glob("*.note")) == [note.path.name]


def test_a_changed_note_or_record_is_refused(connection: Connection, settings: Settings) -> None:
    note = checkpoint(connection, settings, 1)
    known = verifier_keys(note.path.parent)
    lines = note.record_path.read_text().splitlines(keepends=True)
    note.record_path.write_text("".join(lines[:-1]))
    with pytest.raises(NoteInvalid, match="changed after it was signed"):
        read_record(read_note(note.path, known))
    note.record_path.unlink()
    with pytest.raises(NoteInvalid, match="lacks its record"):
        read_record(read_note(note.path, known))
    note.path.write_text(note.text.replace("\n3\n", "\n4\n"))
    with pytest.raises(NoteInvalid, match="false signature"):
        read_note(note.path, known)
    with pytest.raises(NotesContradicted, match="false signature"):
        sign_tree(connection, settings)


def test_a_copied_ledger_has_notes_of_its_own(connection: Connection, settings: Settings) -> None:
    original = checkpoint(connection, settings, 1)
    connection.execute("SELECT adopt('a copy', true)")
    clone = checkpoint(connection, settings, 2)
    assert clone.path.parent != original.path.parent
    assert clone.checkpoint.origin != original.checkpoint.origin
    assert read_record(clone).first == 0


def test_the_record_is_lines_of_json(connection: Connection, settings: Settings) -> None:
    note = checkpoint(connection, settings, 1)
    content = note.record_path.read_bytes()
    header, *lines = map(json.loads, content.splitlines())
    assert header == {"format": "ledger-note-record-1", "origin": note.checkpoint.origin, "first": 0, "size": 3}
    assert [line["leaf"] for line in lines if "leaf" in line] == [0, 1, 2]
    assert note.checkpoint.extensions == (f"record {sha256(content).hexdigest()}",)
