"""Checks the tree: each leaf is what its row says, each row has its leaf, and no place is missing."""

from collections.abc import Sequence

from ledger_pipeline.cold.tree import TreeLeaf, rows_of_the_tree, tree_text
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.verification import Problem


def tree_problems(connection: Connection, tree: Sequence[TreeLeaf]) -> list[Problem]:
    """What is wrong with the tree, and with the rows that it holds."""
    rows = {(kind.value, key): tree_text(kind, row) for kind, key, row in rows_of_the_tree(connection)}
    problems: list[Problem] = []
    for place, leaf in enumerate(tree):
        if leaf.place != place:
            problems.append(Problem(f"leaf {place} of the tree is missing"))
            break
        text = rows.pop((leaf.kind, leaf.key), None)
        if not leaf.is_whole:
            problems.append(Problem(f"leaf {place} of the tree, {leaf.name}, was changed"))
        elif text is None:
            problems.append(Problem(f"{leaf.name} is a leaf of the tree, and its row is gone"))
        elif text != leaf.canonical_text:
            problems.append(Problem(f"{leaf.name} was changed: its row differs from its leaf of the tree"))
    else:
        problems += [Problem(f"{kind} {key} is no leaf of the tree") for kind, key in rows]
    return problems
