"""Holds the ledger against notes that were kept, and names what it has lost since they were signed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ledger_pipeline.cold.notes import Note, NotedHead, Record, note_files, origin_of, read_note, read_record
from ledger_pipeline.cold.signed_note import NoteInvalid, VerifierKey
from ledger_pipeline.cold.signing_key import known_signing_key
from ledger_pipeline.cold.tree import Batch, TreeLeaf, roots_at
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verification import Problem
from ledger_pipeline.settings import Settings


@dataclass(frozen=True)
class KeptNotes:
    """A folder of notes as it was before the ledger was read, smallest tree first, and what is wrong with it alone."""

    folder: Path
    origin: str
    notes: list[Note]
    problems: list[Problem]

    @classmethod
    def read(
        cls, connection: Connection, settings: Settings, folder: Path, keys: Sequence[VerifierKey] | None = None
    ) -> Self:
        """Reads every note below a folder; `keys` are the known ones, by default the one that signs here."""
        row = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
        assert row is not None
        origin = origin_of(row["instance_id"])
        paths = note_files(folder)
        known = list(keys) if keys is not None else _own_key(settings, origin)
        notes: list[Note] = []
        problems: list[Problem] = []
        for path in paths:
            try:
                note = read_note(path, known)
            except NoteInvalid as error:
                problems.append(Problem(f"note {path.name} {error}", file=str(path)))
                continue
            if note.checkpoint.origin != origin:
                what = f"note {path.name} is of another ledger: {note.checkpoint.origin}, not {origin}"
                problems.append(Problem(what, file=str(path)))
            else:
                notes.append(note)
        if not paths:
            problems.append(Problem(f"{folder} holds no note: nothing bears witness to the ledger's past"))
        return cls(folder, origin, sorted(notes, key=lambda note: note.checkpoint.size), problems)

    def records(self) -> Iterator[tuple[Note, Record | NoteInvalid]]:
        """The notes' records, one in memory at a time."""
        for note in self.notes:
            try:
                yield note, read_record(note)
            except NoteInvalid as error:
                yield note, error


def _own_key(settings: Settings, origin: str) -> list[VerifierKey]:
    key = known_signing_key(settings)
    if key is None:
        raise InvalidInput(
            f"key: {settings.signing_key} is not there, so no key is known; name a verifier key with --key"
        )
    return [VerifierKey(origin, key.public_key().public_bytes_raw())]


@dataclass(frozen=True)
class NoteFindings:
    """What notes and their records say against the ledger; `heads` are those of batches that are in doubt."""

    problems: list[Problem]
    heads: list[NotedHead]


def note_findings(notes: KeptNotes, tree: Sequence[TreeLeaf], doubtful: Collection[int]) -> NoteFindings:
    """Holds notes against the tree; `doubtful` are batches whose events are not those that were closed."""
    problems = list(notes.problems)
    roots = roots_at((leaf.leaf for leaf in tree), (note.checkpoint.size for note in notes.notes))
    heads: list[NotedHead] = []
    told: set[int] = set()
    for note, record in notes.records():
        name, size = f"note {note.path.name}", note.checkpoint.size
        if size > len(tree):
            what = f"{name} signs a tree of {size} leaves, and this one has {len(tree)}: the database was rolled back"
            problems.append(Problem(what, file=str(note.path)))
        elif roots[size] != note.checkpoint.root:
            what = f"{name} signs another root than the first {size} leaves have: the tree was rewritten since"
            problems.append(Problem(what, file=str(note.path)))
        if isinstance(record, NoteInvalid):
            problems.append(Problem(f"{name} {record}", file=str(note.path)))
            continue
        lost: set[int] = set()
        for place, text in enumerate(record.texts, start=record.first):
            batch = Batch.of(text)
            if place >= len(tree) or tree[place].canonical_text != text:
                if place not in told:
                    problems.append(Problem(_lost_leaf(name, place, text, tree), file=str(note.path)))
                    told.add(place)
                if batch:
                    lost.add(batch.n)
        heads += [noted for noted in record.heads if noted.batch in lost or noted.batch in doubtful]
    return NoteFindings(problems, heads)


def _lost_leaf(name: str, place: int, text: str, tree: Sequence[TreeLeaf]) -> str:
    kind, _, key = text.split("\x1f")[:3]
    now = "it is not there" if place >= len(tree) else f"there it is {tree[place].name} now, or has other columns"
    return f"{kind} {key}: {name} has it as leaf {place} of the tree, and {now}"
