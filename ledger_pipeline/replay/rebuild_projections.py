"""`rebuild_projections`: makes projection rows anew from events, hot or cold; events and heads stay as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.sessions import own_transactions
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.projection_tables import TABLES, rows_as_json
from ledger_pipeline.replay.replayed_rows import Head, Replayed, check_known, page_of_heads, replay_page
from ledger_pipeline.settings import ColdStore

_ATTEMPTS = 5


@dataclass(frozen=True)
class Rebuilt:
    """How many executions were rebuilt, and how many rows they have."""

    executions: int
    rows: int


def rebuild_projections(
    connection: Connection,
    cold_dir: ColdStore,
    execution_ids: Sequence[UUID] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rebuilt:
    """Replaces the rows of all executions, or of some, by those of their replays; idempotency keys stay.

    A batch is one transaction: an interrupted rebuild leaves rows that are wholly old or wholly new. Only the schema's
    owner may do it. The connection must not be in a transaction. Raises LedgerError for an execution whose events are
    not what its head says.
    """
    executions = rows = 0
    last: Head | None = None
    with own_transactions(connection), translated():
        check_known(connection, execution_ids)
        while page := page_of_heads(connection, last, execution_ids):
            done, stored = _rebuild(connection, cold_dir, [head.id for head in page])
            executions += done
            rows += stored
            last = page[-1]
            if progress is not None:
                progress(executions)
    return Rebuilt(executions, rows)


def _rebuild(connection: Connection, cold_dir: ColdStore, wanted: Sequence[UUID]) -> tuple[int, int]:
    """Rebuilds a batch; executions that an append has moved on meanwhile are read again, pruned ones left out."""
    done = rows = fruitless = 0
    left = set(wanted)
    while left:
        with open_read(connection):
            page = page_of_heads(connection, None, sorted(left))
            replayed = replay_page(connection, cold_dir, page)
        if not page:
            break
        _check_complete(page, replayed)
        rebuilt, stored = _replace(connection, page, replayed)
        done += len(rebuilt)
        rows += stored
        left -= rebuilt
        fruitless = 0 if rebuilt else fruitless + 1
        if fruitless == _ATTEMPTS:
            raise LedgerError(
                f"{len(left)} executions, such as {min(left)}, moved on each time while they were replayed: "
                "try again later"
            )
    return done, rows


def _replace(connection: Connection, page: Sequence[Head], replayed: Replayed) -> tuple[set[UUID], int]:
    answer = connection.execute(
        "SELECT rebuilt, stored FROM rebuild_projections(%s, %s, %s::json)",
        (
            [head.id for head in page],
            [head.last_sequence for head in page],
            rows_as_json({table.name: replayed.rows[table.name] for table in TABLES[1:]}),
        ),
    ).fetchone()
    assert answer is not None
    return set(answer["rebuilt"]), answer["stored"]


def _check_complete(page: Sequence[Head], replayed: Replayed) -> None:
    for head in page:
        state = replayed.states.get(head.id)
        if state is None or state.last_sequence != head.last_sequence or state.problems:
            found = "no event" if state is None else f"events up to {state.last_sequence}"
            problem = f"; {state.problems[0].what}" if state and state.problems else ""
            raise LedgerError(
                f"execution {head.id}: its head says {head.last_sequence} events, found are {found}{problem}: "
                "nothing of this batch was rebuilt; run `ledger-pipeline verify`"
            )
