"""Disaster: a working ledger made from a cold folder alone, in an empty database.

Events, heads and everything that is derived from events come back. It is a new ledger, with an instance id of its own,
whose past lies in the files of the old one: notes that were signed for those stay true of them.
"""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from uuid import UUID

import duckdb
from psycopg import sql
from psycopg.types.json import Jsonb

from ledger_pipeline.cold.files import path_of
from ledger_pipeline.cold.folder import FolderWeek, ledgers_in, weeks_in
from ledger_pipeline.cold.merkle import MerkleTree
from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.cold.sessions import own_transactions
from ledger_pipeline.cold.verify import verify_files
from ledger_pipeline.errors import ColdStoreDamaged, InvalidInput
from ledger_pipeline.events.schema import SCHEMA_VERSION
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.replay.projection_tables import TABLES, rows_as_json
from ledger_pipeline.replay.rebuild_projections import rebuild_projections
from ledger_pipeline.replay.replayed_rows import Head, replay_page
from ledger_pipeline.settings import ColdStore

LOST = (
    "events that were still hot",
    "prices that administrators set, and their history (what each call cost is in its event)",
    "templates and their versions (the plan of each execution is in its events)",
    "names and contacts of drives, customers, users and agents, and who is a member (placeholders have their ids)",
    "budgets, legal holds and the record of what administrators did",
    "idempotency keys of appends, and which executions were pruned",
    "checkpoints and their tree (notes that were signed before are still true of the files)",
)
"""What only the database had."""

_END = 2**63 - 1
_PAGE_EVENTS = 20_000
_FROM = "read_parquet($files, hive_partitioning = false)"
_HOLES = f"""
    SELECT execution_id, min(sequence), max(sequence), count(*) FROM {_FROM}
    GROUP BY execution_id HAVING min(sequence) <> 1 OR count(*) <> max(sequence) ORDER BY 1 LIMIT 1
"""  # noqa: S608  of constants
_BOUNDS = f"""
    SELECT min(epoch), arg_min(tx, ROW(epoch, tx)), max(epoch), arg_max(tx, ROW(epoch, tx)) FROM {_FROM}
"""  # noqa: S608
_LEAVES = f"SELECT leaf FROM {_FROM} WHERE epoch = $epoch ORDER BY tx, execution_id, sequence"  # noqa: S608
_HEADS = f"""
    SELECT execution_id, max(sequence), min(week), max(week) FROM {_FROM} GROUP BY execution_id ORDER BY max(week), 1
"""  # noqa: S608
_PLACEHOLDERS = {
    "drives": f"SELECT DISTINCT drive_id, NULL FROM {_FROM} WHERE drive_id IS NOT NULL",  # noqa: S608
    "customers": f"SELECT DISTINCT customer_id, NULL FROM {_FROM} WHERE customer_id IS NOT NULL",  # noqa: S608
    "users": f"SELECT DISTINCT user_id, NULL FROM {_FROM} WHERE user_id IS NOT NULL",  # noqa: S608
    "agents": f"SELECT agent_id, max(agent_name) FROM {_FROM} WHERE agent_id IS NOT NULL GROUP BY agent_id",  # noqa: S608
}


@dataclass(frozen=True)
class Recovered:
    """What came back, from which ledger's files, and what is lost."""

    instance_id: UUID
    from_instance: UUID
    weeks: int
    events: int
    executions: int
    placeholders: dict[str, int]
    lost: tuple[str, ...] = LOST


@dataclass(frozen=True)
class _Week:
    """A week that was read to its end and found whole."""

    found: FolderWeek
    events: int
    root: bytes
    first: tuple[int, int]
    last: tuple[int, int]


Progress = Callable[[str], None]


def recover(
    connection: Connection, cold_dir: ColdStore, instance_id: UUID | None = None, progress: Progress | None = None
) -> Recovered:
    """Rebuilds a ledger from a folder's files; needs the schema owner's rights and a connection outside a transaction.

    Nothing is written before every file was read and every event hashed anew. Raises InvalidInput for a ledger that
    holds something, or a folder of several ledgers of which none is named; ColdStoreDamaged for a file that isn't what
    was rolled, and for events that no file holds.
    """
    say = progress or _silent
    with own_transactions(connection), translated():
        _refuse_unless_empty(connection)
        source = _chosen(cold_dir, instance_id)
        with duckdb.connect() as work:
            weeks = [_read(work, cold_dir, week, say) for week in weeks_in(cold_dir, source)]
            files = {"files": _paths(cold_dir, [week.found for week in weeks])}
            _refuse_holes(work, files)
            with connection.transaction():
                _put_weeks(connection, work, files, source, weeks)
                placeholders = {name: _put_placeholders(connection, work, files, name) for name in _PLACEHOLDERS}
            heads = [Head(UUID(row[0]), *row[1:]) for row in work.execute(_HEADS, files).fetchall()]
        done = 0
        for page in _pages(heads):
            _put_executions(connection, cold_dir, page)
            done += len(page)
            say(f"{done:,} of {len(heads):,} executions")
        state = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
    assert state is not None
    events = sum(week.events for week in weeks)
    return Recovered(state["instance_id"], source, len(weeks), events, len(heads), placeholders)


def _silent(message: str) -> None:
    """Nobody wants to know."""


def _refuse_unless_empty(connection: Connection) -> None:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM execution_heads) OR EXISTS (SELECT FROM archive_manifest)"
        " OR EXISTS (SELECT FROM checkpoints) AS used"
    ).fetchone()
    if row and row["used"]:
        raise InvalidInput("a ledger is recovered into an empty database; this one holds executions or weeks already")


def _chosen(cold_dir: ColdStore, instance_id: UUID | None) -> UUID:
    found = ledgers_in(cold_dir)
    if not found:
        raise InvalidInput(f"{cold_dir} holds no ledger's files")
    if instance_id is None and len(found) > 1:
        raise InvalidInput(f"{cold_dir} holds files of several ledgers; name one of {', '.join(map(str, found))}")
    if instance_id is not None and instance_id not in found:
        raise InvalidInput(f"{cold_dir} holds no files of {instance_id}, but of {', '.join(map(str, found))}")
    return instance_id or found[0]


def _paths(cold_dir: ColdStore, weeks: Sequence[FolderWeek]) -> list[str]:
    return [str(path_of(cold_dir, file.name)) for week in weeks for file in week.files]


def _read(work: duckdb.DuckDBPyConnection, cold_dir: ColdStore, week: FolderWeek, say: Progress) -> _Week:
    events, root = verify_files(cold_dir, week.week, week.files)
    (bounds,) = work.execute(_BOUNDS, {"files": _paths(cold_dir, [week])}).fetchall()
    say(f"week {week.week}: {events:,} events are whole")
    return _Week(week, events, root, bounds[:2], bounds[2:])


def _refuse_holes(work: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> None:
    for execution_id, first, last, events in work.execute(_HOLES, files).fetchall():
        raise ColdStoreDamaged(
            f"execution {execution_id}: of its events up to {last} the folder holds {events}, from {first} on: a week"
            " is missing from the folder; restore it from a copy"
        )


def _put_weeks(
    connection: Connection,
    work: duckdb.DuckDBPyConnection,
    files: dict[str, list[str]],
    source: UUID,
    weeks: Sequence[_Week],
) -> None:
    """Checkpoints, one an epoch, then the manifest, then a new epoch of a new ledger."""
    checkpoints: dict[int, int] = {}
    for epoch in sorted({epoch for week in weeks for epoch in range(week.first[0], week.last[0] + 1)}):
        tree = MerkleTree()
        cursor = work.execute(_LEAVES, {**files, "epoch": epoch})
        while rows := cursor.fetchmany(10_000):
            tree.extend(row[0] for row in rows)
        if tree.size:
            checkpoints[epoch] = len(checkpoints) + 1
            connection.execute(
                "INSERT INTO checkpoints (n, epoch, first_tx, end_tx, events, root) VALUES (%s, %s, 0, %s, %s, %s)",
                (checkpoints[epoch], epoch, _END, tree.size, tree.root()),
            )
    for week in weeks:
        connection.execute(
            """
            INSERT INTO archive_manifest (week, state, fencing_token, instance_id, events, first_epoch, first_tx,
                last_epoch, last_tx, checkpoint, hot_root, root, bytes, files, schema_version, written_at, verified_at)
            VALUES (%s, 'verified', 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now(), now())
            """,
            (
                *(week.found.week, source, week.events, *week.first, *week.last, checkpoints[week.last[0]]),
                *(week.root, week.root, sum(file.bytes for file in week.found.files)),
                *(Jsonb([asdict(file) for file in week.found.files]), SCHEMA_VERSION),
            ),
        )
        # Its leaf of the tree is made by this step, as in a roll.
        connection.execute(
            "UPDATE archive_manifest SET state = 'committed', committed_at = clock_timestamp() WHERE week = %s",
            (week.found.week,),
        )
    first_open: date = weeks[-1].found.week + timedelta(weeks=1)
    connection.execute(
        "UPDATE ledger_state SET first_open_week = %s, current_epoch = %s",
        (first_open, max(week.last[0] for week in weeks)),
    )
    connection.execute("SELECT adopt(%s, true)", (f"recovered from the cold files of {source}",))


def _put_placeholders(
    connection: Connection, work: duckdb.DuckDBPyConnection, files: dict[str, list[str]], table: str
) -> int:
    """Whom executions refer to, by the ids that events have; an agent's name is in them, too."""
    rows = work.execute(_PLACEHOLDERS[table], files).fetchall()
    statement = sql.SQL("INSERT INTO {} (id, name) VALUES (%s, %s)").format(sql.Identifier(table))
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(identity, name or f"recovered {identity}") for identity, name in rows])
    return len(rows)


def _pages(heads: Sequence[Head]) -> list[list[Head]]:
    pages: list[list[Head]] = []
    events = _PAGE_EVENTS
    for head in heads:
        if events >= _PAGE_EVENTS:
            pages.append([])
            events = 0
        pages[-1].append(head)
        events += head.last_sequence
    return pages


def _put_executions(connection: Connection, cold_dir: ColdStore, page: Sequence[Head]) -> None:
    with open_read(connection):
        replayed = replay_page(connection, cold_dir, page)
    rows = replayed.rows[TABLES[0].name]
    names = sql.SQL(", ").join(map(sql.Identifier, rows[0]))
    connection.execute(
        sql.SQL(
            "INSERT INTO execution_heads ({0}) SELECT {0} FROM json_populate_recordset(NULL::execution_heads, %s::json)"
        ).format(names),
        (rows_as_json(rows),),
    )
    rebuild_projections(connection, cold_dir, [head.id for head in page])
