"""The Merkle tree hash of RFC 6962, section 2.1, streamed."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice

_SUBTREE = 4096
"""Leaves that are folded at once; a power of two, so that what is folded is a node of the whole tree."""

EMPTY_ROOT = sha256(b"").digest()


class MerkleTree:
    """Takes leaves in order and gives the root of those seen so far; holds O(log n) nodes and at most 4,096 leaves."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._subtrees: list[tuple[int, bytes]] = []
        self._size = 0

    @property
    def size(self) -> int:
        """How many leaves were added."""
        return self._size

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Adds leaves: the data, not their hashes."""
        rest = iter(leaves)
        while chunk := list(islice(rest, _SUBTREE - len(self._pending))):
            self._size += len(chunk)
            self._pending.extend([sha256(b"\x00" + leaf).digest() for leaf in chunk])
            if len(self._pending) == _SUBTREE:
                self._close_subtree()

    def root(self) -> bytes:
        """The Merkle tree hash; of no leaves, the hash of nothing."""
        nodes = [node for _, node in self._subtrees]
        if self._pending:
            nodes.append(_fold(self._pending))
        if not nodes:
            return EMPTY_ROOT
        root = nodes.pop()
        while nodes:
            root = sha256(b"\x01" + nodes.pop() + root).digest()
        return root

    def _close_subtree(self) -> None:
        size, node = _SUBTREE, _fold(self._pending)
        self._pending = []
        while self._subtrees and self._subtrees[-1][0] == size:
            node = sha256(b"\x01" + self._subtrees.pop()[1] + node).digest()
            size *= 2
        self._subtrees.append((size, node))


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The RFC 6962 Merkle tree hash of leaf data."""
    tree = MerkleTree()
    tree.extend(leaves)
    return tree.root()


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Joins pairs level by level; an odd last node rises unchanged, which is the split of the RFC."""
    level = list(hashes)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        # strict=False: the odd last one has no partner.
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]
