"""Proof that an event was recorded: its path in its batch, the batch's path in the tree, and a note that signs that."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import duckdb
from psycopg.rows import tuple_row

from ledger_pipeline.cold.batches import BatchReader, batch_leaves
from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.leaf_sql import canonical_text_expression
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.merkle import Inclusion, inclusion, root_of_inclusion
from ledger_pipeline.cold.notes import Note, folder_of, newest_note_over, verifier_keys
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.tree import Batch, TreeLeaf, leaf_of, read_tree
from ledger_pipeline.errors import InvalidInput, LedgerError, NotesContradicted, NotFound
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore, Settings

FORMAT = "ledger-proof-1"

_HOT = """
    SELECT execution_id::text, sequence, event_type, epoch, tx, leaf, canonical_text(e) FROM workflow_events e
    WHERE event_id = %s
"""
_COLD = f"""
    SELECT execution_id, sequence, event_type, epoch, tx, leaf, {canonical_text_expression()}
    FROM read_parquet($files, hive_partitioning = false) WHERE event_id = $event_id
"""  # noqa: S608  the expression comes from the catalogue


class NotProvenYet(LedgerError):
    """An event that no closed batch, or no signed note, covers so far."""

    code = "not_proven_yet"


@dataclass(frozen=True)
class Proof:
    """An event, and what leads from it to a signed note; it can be checked without the ledger."""

    event_id: UUID
    execution_id: str
    sequence: int
    event_type: str
    canonical_text: str
    batch: int
    in_batch: Inclusion
    checkpoint_text: str
    in_tree: Inclusion
    note: str
    verifier_keys: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The proof as `verify_ledger.py --proof` reads it; see docs/proof.md."""
        return {
            "format": FORMAT,
            "event": {
                "event_id": str(self.event_id),
                "execution_id": self.execution_id,
                "sequence": self.sequence,
                "event_type": self.event_type,
                "canonical_text": self.canonical_text,
                "leaf": leaf_of(self.canonical_text).hex(),
            },
            "batch": {"n": self.batch, **_json(self.in_batch)},
            "checkpoint": {"canonical_text": self.checkpoint_text},
            "tree": _json(self.in_tree),
            "note": self.note,
            "verifier_keys": list(self.verifier_keys),
        }


def _json(inclusion: Inclusion) -> dict[str, Any]:
    return {
        "index": inclusion.index,
        "size": inclusion.size,
        "path": [node.hex() for node in inclusion.path],
        "root": inclusion.root.hex(),
    }


@dataclass(frozen=True)
class _Found:
    execution_id: str
    sequence: int
    event_type: str
    epoch: int
    tx: int
    leaf: bytes
    canonical_text: str


def prove(connection: Connection, settings: Settings, event_id: UUID) -> Proof:
    """The proof of an event, hot or cold, up to the newest note that is kept.

    Raises NotFound for an event that isn't there, NotProvenYet for one that is too new, NotesContradicted when the
    ledger is not what was closed and signed.
    """
    with translated():
        event = _find(connection, settings.cold_dir, event_id)
        with batch_leaves() as leaves:
            with open_read(connection):
                tree = read_tree(connection)
                place, batch = _batch_of(tree, event)
                row = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
                assert row is not None
                note = newest_note_over(settings, row["instance_id"], tree, place)
                if note is None:
                    raise NotProvenYet(
                        f"event {event_id}: no note signs its batch {batch.n} yet; run `ledger-pipeline checkpoint`"
                    )
                batches = BatchReader(connection, settings.cold_dir)
                batches.copy_hot_leaves(batch, leaves)
            batches.copy_cold_leaves(batch, leaves)
            in_batch = inclusion(leaves, leaves.index_of(event.tx, event.execution_id, event.sequence))
    in_tree = inclusion((leaf.leaf for leaf in tree[: note.checkpoint.size]), place)
    _refuse_contradiction(event, batch, in_batch, tree[place], in_tree, note)
    return Proof(
        event_id,
        event.execution_id,
        event.sequence,
        event.event_type,
        event.canonical_text,
        batch.n,
        in_batch,
        tree[place].canonical_text,
        in_tree,
        note.text,
        tuple(map(str, verifier_keys(folder_of(settings, row["instance_id"])))),
    )


def _find(connection: Connection, cold_dir: ColdStore, event_id: UUID) -> _Found:
    with open_read(connection):
        with connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(_HOT, (event_id,)).fetchall()
        weeks = [] if rows else committed_weeks(connection)
    files = [str(check_file(cold_dir, file)) for week in weeks if week.removal is None for file in week.files]
    if files:
        with duckdb.connect() as database:
            rows = database.execute(_COLD, {"files": files, "event_id": str(event_id)}).fetchall()
    if not rows:
        removed = any(week.removal for week in weeks)
        raise NotFound(f"event {event_id} does not exist" + (", or was removed under retention" if removed else ""))
    if len(rows) > 1:
        raise InvalidInput(
            f"event_id: {len(rows)} events have the id {event_id}, of executions {rows[0][0]}, {rows[1][0]}"
        )
    return _Found(*rows[0])


def _batch_of(tree: list[TreeLeaf], event: _Found) -> tuple[int, Batch]:
    for leaf in tree:
        batch = Batch.of(leaf.canonical_text)
        if batch and batch.epoch == event.epoch and batch.first_tx <= event.tx < batch.end_tx:
            return leaf.place, batch
    raise NotProvenYet(
        f"event of execution {event.execution_id}, sequence {event.sequence}: no batch holds it yet; run "
        "`ledger-pipeline checkpoint`"
    )


def _root_from(event: _Found, place: Inclusion) -> bytes | None:
    return root_of_inclusion(event.leaf, place.index, place.size, place.path)


def _refuse_contradiction(
    event: _Found, batch: Batch, in_batch: Inclusion, leaf: TreeLeaf, in_tree: Inclusion, note: Note
) -> None:
    """Gives no proof that would not be one."""
    if leaf_of(event.canonical_text) != event.leaf:
        what = "its columns do not give its leaf"
    elif in_batch.size != batch.events or _root_from(event, in_batch) != batch.root:
        what = f"batch {batch.n} has other events than when it was closed"
    elif leaf_of(leaf.canonical_text) != leaf.leaf:
        what = f"leaf {leaf.place} of the tree was changed"
    elif (in_tree.size, in_tree.root) != (note.checkpoint.size, note.checkpoint.root):
        what = f"the tree is not the one that note {note.path.name} signs"
    else:
        return
    raise NotesContradicted(
        f"event of execution {event.execution_id}, sequence {event.sequence}: {what}; run `ledger-pipeline verify`"
    )
