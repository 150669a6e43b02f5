"""The Merkle tree of RFC 6962, section 2.1: its hash, streamed, and its proofs, of which RFC 9162 says how to check."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        self.extend_hashed(sha256(b"\x00" + leaf).digest() for leaf in leaves)

    def extend_hashed(self, hashes: Iterable[bytes]) -> None:
        """Adds leaves by their hashes, as of `leaf_hashes`."""
        rest = iter(hashes)
        while chunk := list(islice(rest, _SUBTREE - len(self._pending))):
            self._size += len(chunk)
            self._pending.extend(chunk)
            if len(self._pending) == _SUBTREE:
                self._close_subtree()

    def root(self) -> bytes:
        """The Merkle tree hash; of no leaves, the hash of nothing."""
        nodes = [node for _, node in self._subtrees]
        if self._pending:
            nodes.append(fold(self._pending))
        if not nodes:
            return EMPTY_ROOT
        root = nodes.pop()
        while nodes:
            root = sha256(b"\x01" + nodes.pop() + root).digest()
        return root

    def _close_subtree(self) -> None:
        size, node = _SUBTREE, fold(self._pending)
        self._pending = []
        while self._subtrees and self._subtrees[-1][0] == size:
            node = sha256(b"\x01" + self._subtrees.pop()[1] + node).digest()
            size *= 2
        self._subtrees.append((size, node))


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """The hashes of leaf data, the lowest nodes of a tree."""
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The RFC 6962 Merkle tree hash of leaf data."""
    tree = MerkleTree()
    tree.extend(leaves)
    return tree.root()


def inclusion_path(leaves: Iterable[bytes], index: int) -> list[bytes]:
    """PATH(index, leaves): the hashes that, with the leaf at `index`, give the root.

    Holds 4,096 leaves at a time, and a node for as many.
    """
    return inclusion(leaves, index).path


@dataclass(frozen=True)
class Inclusion:
    """The place of a leaf in a tree, and the hashes that lead from it to the root."""

    index: int
    size: int
    path: list[bytes]
    root: bytes


def inclusion(leaves: Iterable[bytes], index: int) -> Inclusion:
    """The path of a leaf with the tree's size and root."""
    rest, size = iter(leaves), 0
    subtrees: list[bytes] = []
    beside: list[bytes] = []
    while hashes := leaf_hashes(islice(rest, _SUBTREE)):
        if 0 <= index - size < len(hashes):
            beside = hashes
        subtrees.append(fold(hashes))
        size += len(hashes)
    if not beside:
        raise IndexError(f"there is no leaf {index} in a tree of {size}")
    path = _path(beside, index % _SUBTREE) + _path(subtrees, index // _SUBTREE)
    return Inclusion(index, size, path, fold(subtrees))


def _path(level: Sequence[bytes], index: int) -> list[bytes]:
    path: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):  # an odd last node rises unchanged
            path.append(level[sibling])
        level, index = _level_above(level), index // 2
    return path


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to (RFC 9162, section 2.1.3.2); None when no such tree has such a path."""
    if not 0 <= index < size:
        return None
    node, last, rest = sha256(b"\x00" + leaf).digest(), size - 1, list(path)
    while last > 0:
        if index % 2 or index < last:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = sha256(b"\x01" + (sibling + node if index % 2 else node + sibling)).digest()
        index, last = index // 2, last // 2
    return None if rest else node


def consistency_path(leaves: Sequence[bytes], earlier: int) -> list[bytes]:
    """PROOF(earlier, leaves): what shows that the tree of the first `earlier` leaves is the beginning of this one."""
    if not 0 < earlier <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves has no earlier one of {earlier}")
    return _subproof(leaves, earlier, whole=True)


def is_consistent(earlier: int, later: int, earlier_root: bytes, later_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path shows that one tree is the beginning of the other (RFC 9162, section 2.1.4.2)."""
    if earlier == later:
        return earlier_root == later_root and not path
    if not 0 < earlier < later or not path:
        return False
    nodes = [earlier_root, *path] if earlier & (earlier - 1) == 0 else list(path)
    place, last = earlier - 1, later - 1
    while place % 2:
        place, last = place // 2, last // 2
    first, second = nodes[0], nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            first, second = sha256(b"\x01" + node + first).digest(), sha256(b"\x01" + node + second).digest()
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            second = sha256(b"\x01" + second + node).digest()
        place, last = place // 2, last // 2
    return last == 0 and (first, second) == (earlier_root, later_root)


def _subproof(leaves: Sequence[bytes], earlier: int, *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962; `whole`: the verifier knows the root of the earlier tree already."""
    if earlier == len(leaves):
        return [] if whole else [merkle_root(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if earlier <= split:
        return [*_subproof(leaves[:split], earlier, whole=whole), merkle_root(leaves[split:])]
    return [*_subproof(leaves[split:], earlier - split, whole=False), merkle_root(leaves[:split])]


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over leaves by their hashes, at least one: joins pairs level by level.

    An odd last node rises unchanged, which is the split of the RFC.
    """
    level = list(hashes)
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    odd = level[-1:] if len(level) % 2 else ()
    # strict=False: the odd last one has no partner.
    pairs = zip(level[::2], level[1::2], strict=False)
    return [*(sha256(b"\x01" + left + right).digest() for left, right in pairs), *odd]
