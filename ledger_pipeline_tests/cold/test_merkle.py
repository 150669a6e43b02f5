"""The Merkle tree hash: published vectors, and the database's own implementation against this one."""

import hashlib
import random

import pytest

from ledger_pipeline.cold.merkle import (
    EMPTY_ROOT,
    MerkleTree,
    consistency_path,
    inclusion_path,
    is_consistent,
    merkle_root,
    root_of_inclusion,
)
from ledger_pipeline.hot.database import Connection

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""Of the Certificate Transparency reference implementation (merkletree tests), as the roots below."""

ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(1, 9))
def test_root_is_the_published_one(size: int) -> None:
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert merkle_root([]) == EMPTY_ROOT == hashlib.sha256().digest()


def definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + definition(leaves[:split]) + definition(leaves[split:])).digest()


@pytest.mark.parametrize("size", [9, 100, 4095, 4096, 4097, 12_289])
def test_streamed_root_is_the_recursive_definition(size: int) -> None:
    leaves = [random.Random(size).randbytes(32) for _ in range(size)]
    tree = MerkleTree()
    for start in range(0, size, 777):
        tree.extend(leaves[start : start + 777])
    assert tree.size == size
    assert tree.root() == definition(leaves)


def test_the_database_computes_the_same_root(connection: Connection) -> None:
    leaves = [random.Random(7).randbytes(32) for _ in range(65_537)]
    for size in (0, 1, 2, 3, 7, 1000, 65_536, 65_537):
        connection.execute("CREATE TEMP TABLE leaves (place bigint, leaf bytea)")
        with connection.cursor() as cursor, cursor.copy("COPY leaves FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int8", "bytea"])
            for row in enumerate(leaves[:size]):
                copy.write_row(row)
        row = connection.execute("SELECT * FROM merkle_root('SELECT place, leaf FROM pg_temp.leaves')").fetchone()
        connection.execute("DROP TABLE leaves")
        assert row == {"events": size, "root": merkle_root(leaves[:size])}


INCLUSION = [
    (0, 1, ""),
    (0, 8, "96a296d2… 5f083f0a… 6b47aaf2…"),
    (5, 8, "bc1a0643… ca854ea1… d37ee418…"),
    (2, 3, "fac54203…"),
    (1, 5, "6e340b9c… 5f083f0a… bc1a0643…"),
]
CONSISTENCY = [
    (1, 1, ""),
    (1, 8, "96a296d2… 5f083f0a… 6b47aaf2…"),
    (6, 8, "0ebc5d34… ca854ea1… d37ee418…"),
    (2, 5, "5f083f0a… bc1a0643…"),
]
"""Proofs of the same reference implementation: leaf (or earlier size), size, and the nodes of the path."""

NODES = {
    name[:8]: bytes.fromhex(name)
    for name in (
        *ROOTS,
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    )
}


def nodes(names: str) -> list[bytes]:
    return [NODES[name.rstrip("…")] for name in names.split()]


@pytest.mark.mission("A3")
@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_an_inclusion_path_is_the_published_one(index: int, size: int, path: str) -> None:
    assert inclusion_path(LEAVES[:size], index) == nodes(path)
    assert root_of_inclusion(LEAVES[index], index, size, nodes(path)) == bytes.fromhex(ROOTS[size - 1])


@pytest.mark.mission("A3")
@pytest.mark.parametrize(("earlier", "size", "path"), CONSISTENCY)
def test_a_consistency_path_is_the_published_one(earlier: int, size: int, path: str) -> None:
    roots = [bytes.fromhex(root) for root in ROOTS]
    assert consistency_path(LEAVES[:size], earlier) == nodes(path)
    assert is_consistent(earlier, size, roots[earlier - 1], roots[size - 1], nodes(path))


def test_every_path_of_every_small_tree_leads_to_its_root_and_no_other_does() -> None:
    leaves = [bytes([nth]) for nth in range(17)]
    for size in range(1, 18):
        root = merkle_root(leaves[:size])
        for index in range(size):
            path = inclusion_path(leaves[:size], index)
            assert root_of_inclusion(leaves[index], index, size, path) == root
            wrong = [(leaves[index], other, size, path) for other in range(size + 1) if other != index] + [
                (b"other", index, size, path),
                (leaves[index], index, size, [*path, root]),
                (leaves[index], index, size, [root, *path]),
                *((leaves[index], index, size, [*path[:nth], root, *path[nth + 1 :]]) for nth in range(len(path))),
                *((leaves[index], index, size, path[:nth]) for nth in range(len(path))),
            ]
            assert all(root_of_inclusion(*given) != root for given in wrong)


def test_every_tree_is_the_beginning_of_the_larger_ones_and_no_other_is() -> None:
    leaves = [bytes([nth]) for nth in range(17)]
    roots = {size: merkle_root(leaves[:size]) for size in range(1, 18)}
    for later in range(1, 18):
        for earlier in range(1, later + 1):
            path = consistency_path(leaves[:later], earlier)
            assert is_consistent(earlier, later, roots[earlier], roots[later], path)
            assert not is_consistent(earlier, later, EMPTY_ROOT, roots[later], path)
            assert not is_consistent(earlier, later, roots[earlier], EMPTY_ROOT, path)
            assert not is_consistent(earlier, later, roots[earlier], roots[later], [*path, EMPTY_ROOT])
            for nth in range(len(path)):
                replaced = [*path[:nth], EMPTY_ROOT, *path[nth + 1 :]]
                assert not is_consistent(earlier, later, roots[earlier], roots[later], replaced)
                assert not is_consistent(earlier, later, roots[earlier], roots[later], path[:nth])
