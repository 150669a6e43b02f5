"""The Merkle tree hash: published vectors, and the database's own implementation against this one."""

import hashlib
import random

import pytest

from ledger_pipeline.cold.merkle import EMPTY_ROOT, MerkleTree, merkle_root
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
