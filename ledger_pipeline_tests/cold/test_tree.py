"""The tree: a leaf for each checkpoint, committed week and epoch, added with its row, in one order."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ledger_pipeline.cold.checkpoints import close_checkpoint
from ledger_pipeline.cold.merkle import merkle_root
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.cold.tree import LeafKind, leaf_of, read_tree, roots_at, rows_of_the_tree, tree_text
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.migrate import migrate
from ledger_pipeline.replay.tree_check import tree_problems
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import NOW, fill

pytestmark = pytest.mark.mission("A3")


def kinds(connection: Connection) -> list[tuple[str, str]]:
    return [(leaf.kind, leaf.key) for leaf in read_tree(connection)]


def test_the_tree_grows_with_what_is_recorded(connection: Connection, settings: Settings) -> None:
    before = kinds(connection)
    assert before == [("epoch", "1"), ("epoch", "2")]
    fill(connection, 3, weeks=2)
    close_checkpoint(connection)
    roll(connection, settings, NOW)
    connection.execute("SELECT adopt('a reason: with\nlines')")
    assert kinds(connection)[2:] == [
        ("checkpoint", "1"),
        ("week", "2025-01-06"),
        ("week", "2025-01-13"),
        ("epoch", "3"),
    ]
    assert tree_problems(connection, read_tree(connection)) == []


def test_python_and_the_database_write_the_same_texts(connection: Connection, settings: Settings) -> None:
    fill(connection, 3, weeks=2)
    roll(connection, settings, NOW)
    connection.execute("SELECT adopt('with \x1f a separator')")
    written = {(leaf.kind, leaf.key): leaf for leaf in read_tree(connection)}
    rows = rows_of_the_tree(connection)
    # Removals are in test_retention.py: a verification compares their texts, too.
    assert {kind for kind, _, _ in rows} == set(LeafKind) - {LeafKind.REMOVAL}
    for kind, key, row in rows:
        leaf = written.pop((kind.value, key))
        assert tree_text(kind, row) == leaf.canonical_text
        assert leaf.is_whole
        assert leaf_of(leaf.canonical_text) == leaf.leaf
    assert written == {}


def test_the_root_at_a_size_is_that_of_the_first_leaves() -> None:
    leaves = [bytes([nth]) for nth in range(9)]
    roots = roots_at(leaves, [0, 3, 9, 10])
    assert roots == {size: merkle_root(leaves[:size]) for size in (0, 3, 9)}


def test_what_is_rolled_back_leaves_no_place_empty(connection: Connection) -> None:
    fill(connection, 2)
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT close_checkpoint()")
    assert close_checkpoint(connection) is not None
    assert [leaf.place for leaf in read_tree(connection)] == [0, 1, 2]


def test_places_are_gapless_when_many_write_at_once(connection: Connection, ledger_url: str) -> None:
    def adopt_some(_: int) -> None:
        with connect(ledger_url, autocommit=True) as own:
            for _ in range(10):
                own.execute("SELECT adopt('again')")

    fill(connection, 1)
    with ThreadPoolExecutor(5) as threads:
        adopting = threads.map(adopt_some, range(4))
        threads.submit(close_checkpoint, connection).result()
        list(adopting)
    tree = read_tree(connection)
    assert [leaf.place for leaf in tree] == list(range(2 + 1 + 40))
    assert tree_problems(connection, tree) == []


@pytest.mark.parametrize("change", ["UPDATE tree_leaves SET place = place + 10", "DELETE FROM tree_leaves"])
def test_even_a_superuser_changes_no_leaf(connection: Connection, change: str) -> None:
    with pytest.raises(psycopg.Error, match="append-only"):
        connection.execute(change)  # type: ignore[arg-type]
    with pytest.raises(psycopg.Error, match="TRUNCATE is refused"):
        connection.execute("TRUNCATE tree_leaves")


@pytest.mark.mission("B6")
def test_an_older_ledger_gets_the_tree_of_what_it_has(
    ledger_url: str, connection: Connection, settings: Settings
) -> None:
    fill(connection, 3, weeks=2)
    roll(connection, settings, NOW)
    fill(connection, 2, seed=2)
    connection.execute("SELECT adopt('x')")
    close_checkpoint(connection)
    before = read_tree(connection)
    assert len(before) == 7
    assert migrate(ledger_url, NOW, "0004") == "0004"
    migrate(ledger_url, NOW)
    assert read_tree(connection) == before


@pytest.mark.mission("B6")
def test_a_tree_that_would_not_be_the_same_again_stays(ledger_url: str, connection: Connection) -> None:
    fill(connection, 2)
    close_checkpoint(connection)
    connection.execute("ALTER TABLE checkpoints DISABLE TRIGGER USER")
    connection.execute("UPDATE checkpoints SET closed_at = '2000-01-01Z'")
    with pytest.raises(Exception, match="would lose the order"):
        migrate(ledger_url, NOW, "0004")
    assert len(read_tree(connection)) == 3
