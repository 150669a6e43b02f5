"""Proof that the tree of a kept note is the beginning of a later one's: nothing that it held was rewritten."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger_pipeline.cold.merkle import consistency_path, is_consistent
from ledger_pipeline.cold.notes import Note, folder_of, newest_note_over, read_note, verifier_keys
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.signed_note import NoteInvalid
from ledger_pipeline.cold.tree import read_tree
from ledger_pipeline.errors import InvalidInput, NotesContradicted
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import Settings

FORMAT = "ledger-consistency-1"


@dataclass(frozen=True)
class ConsistencyProof:
    """Two notes, and the hashes that show that the tree of one goes on from that of the other."""

    earlier: Note
    later: Note
    path: list[bytes]
    verifier_keys: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The proof as `verify_ledger.py --proof` reads it; see docs/proof.md."""
        return {
            "format": FORMAT,
            "earlier_note": self.earlier.text,
            "later_note": self.later.text,
            "path": [node.hex() for node in self.path],
            "verifier_keys": list(self.verifier_keys),
        }


def prove_consistency(connection: Connection, settings: Settings, earlier: Path) -> ConsistencyProof:
    """The proof from a note, kept anywhere, to the newest one that is kept here.

    Raises InvalidInput for a file that is no note of a key that is known here, NotesContradicted when the ledger's tree
    does not go on from the note's.
    """
    with translated(), open_read(connection):
        tree = read_tree(connection)
        row = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
    assert row is not None
    folder = folder_of(settings, row["instance_id"])
    keys = verifier_keys(folder) if folder.is_dir() else []
    try:
        note = read_note(earlier, keys)
    except OSError as error:
        raise InvalidInput(f"since: {earlier} cannot be read: {error.strerror}; name a note, <size>.note") from None
    except NoteInvalid as error:
        raise InvalidInput(f"since: {earlier} {error}") from None
    size = note.checkpoint.size
    later = newest_note_over(settings, row["instance_id"], tree, size - 1)
    if later is None:
        raise NotesContradicted(
            f"note {earlier} signs a tree of {size} leaves, and the ledger's has {len(tree)}, or no note of as many: "
            f"the database was rolled back since. Run `ledger-pipeline verify --notes {earlier.parent}`"
        )
    path = consistency_path([leaf.leaf for leaf in tree[: later.checkpoint.size]], size)
    if not is_consistent(size, later.checkpoint.size, note.checkpoint.root, later.checkpoint.root, path):
        raise NotesContradicted(
            f"note {later.path} does not go on from note {earlier}: the tree was rewritten since. Run "
            f"`ledger-pipeline verify --notes {earlier.parent}`"
        )
    return ConsistencyProof(note, later, path, tuple(map(str, keys)))
