"""The ledger's one RFC 6962 tree: checkpoints, weeks committed and removed, and epochs; see docs/proof.md.

The database writes the canonical texts (`tree_text`); here they are written a second time, so that one can be held
against the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, LiteralString, Self

from ledger_pipeline.cold.merkle import MerkleTree
from ledger_pipeline.events.columns import CANONICAL, UNIT_SEPARATOR, ColumnKind
from ledger_pipeline.hot.database import Connection


class LeafKind(StrEnum):
    """What a leaf of the tree stands for."""

    CHECKPOINT = "checkpoint"
    WEEK = "week"
    EPOCH = "epoch"
    REMOVAL = "removal"


_COLUMNS = {
    LeafKind.CHECKPOINT: ("n", "epoch", "first_tx", "end_tx", "events", "root", "closed_at"),
    LeafKind.WEEK: (
        *("week", "fencing_token", "instance_id", "events", "first_epoch", "first_tx", "last_epoch", "last_tx"),
        *("checkpoint", "hot_root", "root", "bytes", "schema_version"),
        *("sealed_at", "written_at", "verified_at", "committed_at"),
    ),
    LeafKind.EPOCH: (
        *("epoch", "system_identifier", "timeline", "database_oid", "instance_id", "opened_at", "reason"),
    ),
    LeafKind.REMOVAL: (
        *("week", "events", "root", "executions", "segments_hash", "costs_hash", "retention_days"),
        *("removed_at", "removed_by", "removed_login", "reason"),
    ),
}
_FILE = ("name", "sha256", "bytes", "events", "first_execution_id", "last_execution_id")
_VERSION = "1"


@dataclass(frozen=True)
class TreeLeaf:
    """A leaf as it is stored: its place from 0, and the canonical text of the row that it stands for."""

    place: int
    kind: str
    key: str
    canonical_text: str
    leaf: bytes

    @property
    def name(self) -> str:
        """What the leaf stands for, in words."""
        return f"{self.kind} {self.key}"

    @property
    def is_whole(self) -> bool:
        """Whether leaf, kind and key follow from the text."""
        fields = self.canonical_text.split(UNIT_SEPARATOR, 3)
        return (self.kind, self.key) == (fields[0], *fields[2:3]) and self.leaf == leaf_of(self.canonical_text)


def leaf_of(canonical_text: str) -> bytes:
    """The data of an RFC 6962 leaf: SHA-256 of the canonical text, as of an event."""
    return sha256(canonical_text.encode()).digest()


def tree_text(kind: LeafKind, row: Mapping[str, Any]) -> str:
    """The canonical text of a row of `checkpoints`, `archive_manifest`, `ledger_epochs` or `removed_weeks`."""
    values = [kind.value, _VERSION, *(_text(row[name]) for name in _COLUMNS[kind])]
    if kind is LeafKind.WEEK:
        values += [_text(file.get(name)) for file in row["files"] or () for name in _FILE]
    return UNIT_SEPARATOR.join(values)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bytes():
            return value.hex()
        case datetime():
            return CANONICAL[ColumnKind.TIMESTAMP](value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


@dataclass(frozen=True)
class Batch:
    """What the leaf of a checkpoint says of its batch."""

    n: int
    epoch: int
    first_tx: int
    end_tx: int
    events: int
    root: bytes

    @classmethod
    def of(cls, canonical_text: str) -> Self | None:
        """The batch of a checkpoint's text; None for a leaf of another kind."""
        fields = canonical_text.split(UNIT_SEPARATOR)
        if fields[:2] != [LeafKind.CHECKPOINT, _VERSION]:
            return None
        n, epoch, first_tx, end_tx, events = map(int, fields[2:7])
        return cls(n, epoch, first_tx, end_tx, events, bytes.fromhex(fields[7]))


def read_tree(connection: Connection) -> list[TreeLeaf]:
    """The leaves in their order."""
    rows = connection.execute(
        "SELECT place, kind, key, canonical_text, leaf FROM tree_leaves ORDER BY place"
    ).fetchall()
    return [TreeLeaf(**row) for row in rows]


def rows_of_the_tree(connection: Connection) -> list[tuple[LeafKind, str, dict[str, Any]]]:
    """The rows that leaves stand for, each with its kind and key."""
    queries: tuple[tuple[LeafKind, str, LiteralString], ...] = (
        (LeafKind.EPOCH, "epoch", "SELECT * FROM ledger_epochs ORDER BY epoch"),
        (LeafKind.CHECKPOINT, "n", "SELECT * FROM checkpoints ORDER BY n"),
        (LeafKind.WEEK, "week", "SELECT * FROM archive_manifest WHERE state = 'committed' ORDER BY week"),
        (LeafKind.REMOVAL, "week", "SELECT * FROM removed_weeks ORDER BY week"),
    )
    return [(kind, str(row[key]), row) for kind, key, query in queries for row in connection.execute(query).fetchall()]


def roots_at(leaves: Iterable[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The root of the tree at each of these sizes that it has."""
    wanted = set(sizes)
    tree = MerkleTree()
    roots = {0: tree.root()} if 0 in wanted else {}
    for leaf in leaves:
        tree.extend((leaf,))
        if tree.size in wanted:
            roots[tree.size] = tree.root()
    return roots
