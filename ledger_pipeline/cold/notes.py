"""The notes folder: signed notes of the tree, each with a record of the leaves and heads that came since the last one.

A note is written after the transaction whose leaves it signs; what a crash leaves out, the next one makes up for. Notes
are never changed or removed here. Their formats are in docs/proof.md.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from ledger_pipeline.cold.batches import BatchReader, Head
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.sessions import own_transactions, sole
from ledger_pipeline.cold.signed_note import LogCheckpoint, NoteInvalid, Signer, VerifierKey, open_note
from ledger_pipeline.cold.signing_key import signing_key
from ledger_pipeline.cold.tree import Batch, TreeLeaf, read_tree, roots_at
from ledger_pipeline.durable import durable_file
from ledger_pipeline.errors import InvalidInput, NotesContradicted
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import Settings

NOTES_LOCK = 2008
_RECORD = "ledger-note-record-1"
_EXTENSION = "record "


@dataclass(frozen=True)
class Note:
    """A note that a known key has signed."""

    path: Path
    text: str
    checkpoint: LogCheckpoint

    @property
    def record_path(self) -> Path:
        """The file of its record."""
        return self.path.with_suffix(".jsonl")

    @property
    def record_hash(self) -> str | None:
        """SHA-256 of its record, hex, as it was signed."""
        signed = [line for line in self.checkpoint.extensions if line.startswith(_EXTENSION)]
        return signed[0].removeprefix(_EXTENSION) if signed else None


@dataclass(frozen=True)
class NotedHead:
    """The last event that an execution had in a batch."""

    batch: int
    head: Head


@dataclass(frozen=True)
class Record:
    """What came between two notes: the texts of the leaves from a place on, and the heads of their batches."""

    first: int
    texts: list[str]
    heads: list[NotedHead]


def origin_of(instance_id: UUID) -> str:
    """The first line of a ledger's notes, which is its signer's name as well."""
    return f"ledger-pipeline/{instance_id}"


def folder_of(settings: Settings, instance_id: UUID) -> Path:
    """Where a ledger's notes are: a copied ledger has another instance id."""
    return settings.notes_folder / str(instance_id)


def note_files(folder: Path) -> list[Path]:
    """The notes below a folder, by name; raises InvalidInput when it isn't there."""
    if not folder.is_dir():
        raise InvalidInput(f"notes: {folder} is not a folder; name the one that holds the ledger's notes")
    return sorted(folder.rglob("*.note"))


def read_note(path: Path, known: Sequence[VerifierKey]) -> Note:
    """A note; raises NoteInvalid for a file that is none, or that no known key has signed."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NoteInvalid("is no signed note: it isn't UTF-8") from None
    return Note(path, text, LogCheckpoint.parse(open_note(text, known)))


def read_record(note: Note) -> Record:
    """A note's record; raises NoteInvalid for one that is missing or that was changed since."""
    try:
        content = note.record_path.read_bytes()
    except FileNotFoundError:
        raise NoteInvalid(f"lacks its record {note.record_path.name}") from None
    if sha256(content).hexdigest() != note.record_hash:
        raise NoteInvalid(f"has a record, {note.record_path.name}, that was changed after it was signed")
    header, *lines = (json.loads(line) for line in content.splitlines())
    if header["format"] != _RECORD:
        raise NoteInvalid(f"has a record of the format {header['format']!r}; this version reads {_RECORD}")
    texts = [line["text"] for line in lines if "leaf" in line]
    heads = [
        NotedHead(line["batch"], Head(line["execution_id"], line["last_sequence"], bytes.fromhex(line["head_hash"])))
        for line in lines
        if "batch" in line
    ]
    return Record(header["first"], texts, heads)


def verifier_keys(folder: Path) -> list[VerifierKey]:
    """The public keys that lie beside notes."""
    return [key for path in sorted(folder.rglob("*.vkey")) for key in read_keys(path)]


def read_keys(path: Path) -> list[VerifierKey]:
    """The public keys of a file, one a line; raises InvalidInput."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InvalidInput(
            f"key: {path} is not there; expected a file with a verifier key, as beside the notes"
        ) from None
    return [VerifierKey.parse(line) for line in lines if line.strip()]


def sign_tree(connection: Connection, settings: Settings) -> Note | None:
    """Signs the tree as it stands and keeps the note; None when the newest one says that already.

    Raises NotesContradicted, and signs nothing, when the newest kept note says something else than the tree.
    """
    with own_transactions(connection), translated(), sole(connection, NOTES_LOCK, "a note is being written by"):
        instance_id = _instance_id(connection)
        folder = folder_of(settings, instance_id)
        signer = Signer(origin_of(instance_id), signing_key(settings))
        newest = _newest(folder, signer.verifier_key)
        with open_read(connection):
            tree = read_tree(connection)
            batches = BatchReader(connection, settings.cold_dir)
            first = 0 if newest is None else newest.checkpoint.size
            new = [batch for leaf in tree[first:] if (batch := Batch.of(leaf.canonical_text))]
            hot = [batches.hot_heads(batch) for batch in new]
        _refuse_contradiction(newest, tree)
        if len(tree) == first:
            return None
        heads = (
            NotedHead(batch.n, head)
            for batch, hot_part in zip(new, hot, strict=True)
            for head in batches.heads(batch, hot_part)
        )
        return _write(folder, signer, first, tree, heads)


def newest_note_over(settings: Settings, instance_id: UUID, tree: Sequence[TreeLeaf], place: int) -> Note | None:
    """The newest kept note of a tree as large as, or smaller than this one, that covers a place; None without one."""
    folder = folder_of(settings, instance_id)
    known = verifier_keys(folder) if folder.is_dir() else []
    paths = sorted(folder.glob("*.note"), reverse=True)
    notes = (read_note(path, known) for path in paths if path.stem.isdigit() and place < int(path.stem) <= len(tree))
    return next(notes, None)


def _newest(folder: Path, own: VerifierKey) -> Note | None:
    paths = sorted(folder.glob("*.note"))
    if not paths:
        return None
    try:
        return read_note(paths[-1], [own, *verifier_keys(folder)])
    except NoteInvalid as error:
        raise NotesContradicted(
            f"note {paths[-1]}: {error}: no other is signed beside it; restore it from a copy"
        ) from None


def _refuse_contradiction(newest: Note | None, tree: Sequence[TreeLeaf]) -> None:
    if newest is None:
        return
    noted = newest.checkpoint
    root = roots_at((leaf.leaf for leaf in tree), [noted.size]).get(noted.size)
    if root != noted.root:
        what = (
            f"signs a tree of {noted.size} leaves, and the ledger's has {len(tree)}"
            if root is None
            else f"signs another root than the ledger's first {noted.size} leaves have"
        )
        raise NotesContradicted(
            f"note {newest.path} {what}: the database was rolled back or rewritten since; nothing is signed. Run "
            f"`ledger-pipeline verify --notes {newest.path.parent}`"
        )


def _write(folder: Path, signer: Signer, first: int, tree: Sequence[TreeLeaf], heads: Iterator[NotedHead]) -> Note:
    """Key, record, then note, each durable before the next: where there is a note, there is what it needs."""
    folder.mkdir(parents=True, exist_ok=True)
    key_path = folder / f"{signer.verifier_key.hash.hex()}.vkey"
    if not key_path.exists():
        with durable_file(key_path) as file:
            file.write(f"{signer.verifier_key}\n".encode())
    path = folder / f"{len(tree):012d}.note"
    digest = sha256()
    with durable_file(path.with_suffix(".jsonl")) as file:
        for line in _record_lines(signer.name, first, tree, heads):
            file.write(line)
            digest.update(line)
    root = roots_at((leaf.leaf for leaf in tree), [len(tree)])[len(tree)]
    checkpoint = LogCheckpoint(signer.name, len(tree), root, (f"{_EXTENSION}{digest.hexdigest()}",))
    text = signer.sign(str(checkpoint))
    with durable_file(path) as file:
        file.write(text.encode())
    return Note(path, text, checkpoint)


def _record_lines(origin: str, first: int, tree: Sequence[TreeLeaf], heads: Iterator[NotedHead]) -> Iterator[bytes]:
    yield _line({"format": _RECORD, "origin": origin, "first": first, "size": len(tree)})
    for leaf in tree[first:]:
        yield _line({"leaf": leaf.place, "text": leaf.canonical_text})
    for noted in heads:
        head = noted.head
        yield _line(
            {
                "batch": noted.batch,
                "execution_id": head.execution_id,
                "last_sequence": head.sequence,
                "head_hash": head.hash.hex(),
            }
        )


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _instance_id(connection: Connection) -> UUID:
    row = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
    assert row is not None
    return row["instance_id"]
