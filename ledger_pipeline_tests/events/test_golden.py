"""Golden histories, kept for ever: events as they were once stored mean today what they meant then.

Each file of `golden/` holds stored events, leaf and hash included, and is never changed. Beside it are the texts of
the states that they fold to, by reducer version: a changed fold raises `REDUCER_VERSION` and adds a file of its own, so
that what a change means for old events is there to be read.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline.events.catalogue import EVENT_COLUMNS, EVENT_TYPES
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.fold import REDUCER_VERSION, fold_all, initial
from ledger_pipeline.events.schema import GENESIS_HASH, chain, leaf_of
from ledger_pipeline.events.state_text import state_text

GOLDEN = Path(__file__).parent / "golden"
HISTORIES = {"2026-11": "dc5d233f5cbc1720b1dac3b0e1c1ee23c45266ca4e6f28569730705d0f5590a4"}
"""The files, each with the SHA-256 of its bytes: a new one is added, none is changed."""
_READ: dict[ColumnKind, Any] = {
    ColumnKind.UUID: UUID,
    ColumnKind.TIMESTAMP: datetime.fromisoformat,
    ColumnKind.DATE: date.fromisoformat,
    ColumnKind.USD: Decimal,
    ColumnKind.BYTES: bytes.fromhex,
}

pytestmark = [pytest.mark.mission("A15"), pytest.mark.parametrize("name", HISTORIES)]


def histories(name: str) -> Iterator[list[dict[str, Any]]]:
    """The event rows of each execution of a file."""
    given = map(json.loads, (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    rows = (
        dict.fromkeys(EVENT_COLUMNS) | {name: _READ.get(EVENT_COLUMNS[name], _same)(row[name]) for name in row}
        for row in given
    )
    for _, group in groupby(rows, key=lambda row: row["execution_id"]):
        yield list(group)


def _same(value: Any) -> Any:
    return value


def test_a_history_is_the_one_that_was_committed_and_has_every_type(name: str) -> None:
    assert hashlib.sha256((GOLDEN / f"{name}.jsonl").read_bytes()).hexdigest() == HISTORIES[name]
    assert {row["event_type"] for history in histories(name) for row in history} <= EVENT_TYPES.keys()


def test_its_states_have_the_same_bytes_for_ever(name: str) -> None:
    states = [fold_all(initial(), history) for history in histories(name)]
    assert [state.problems for state in states] == [()] * len(states)
    expected = (GOLDEN / f"{name}.states.{REDUCER_VERSION}.jsonl").read_text(encoding="ascii")
    assert [state_text(state) for state in states] == expected.splitlines()


def test_its_hashes_are_those_that_were_stored(name: str) -> None:
    for history in histories(name):
        previous = GENESIS_HASH
        for row in history:
            assert leaf_of(row) == row["leaf"]
            previous = chain(previous, row["leaf"])
            assert previous == row["hash"]
