"""Checks hot events, week by week: the server holds each leaf against its columns, and the chains are hashed here."""

# pyarrow has no type stubs.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import date
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, LiteralString, NamedTuple, cast

import pyarrow as pa
from psycopg import sql

from ledger_pipeline.cold.foreign_columns import foreign_expression
from ledger_pipeline.events.catalogue import EVENT_TYPES, table_name
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.hashers import Hashers
from ledger_pipeline.replay.sound_events import FEED, HOT_ROW_BYTES, HOT_ROW_EXECUTION, SEGMENTS, hot_row
from ledger_pipeline.replay.work import Work

_SQL = Path(__file__).parent / "sql"
_ROWS = 50_000
_PART_BYTES = 64 << 20
"""Of a week's tables, what one process sorts and hashes in memory at once; an event takes about 500 bytes of them."""

# The tables that rows of the hot store are copied into; their columns are those of segments.sql.
_SCHEMAS: dict[str, Any] = {
    "segments": pa.schema(
        [*SEGMENTS, ("bad_sequence", pa.int64()), ("bad_event", pa.string()), ("fault", pa.string())]
    ),
    "heads": pa.schema([("execution_id", pa.string()), ("last_sequence", pa.int64()), ("head_hash", pa.binary())]),
    "feed": FEED,
}


_EVENT_TYPES = {table_name(event_type): event_type for event_type in EVENT_TYPES}


def _sql(text: str) -> sql.SQL:
    return sql.SQL(cast("LiteralString", text.replace("/*foreign*/", foreign_expression())))


_COPY = sql.SQL(
    """
    COPY (SELECT {row} FROM workflow_events WHERE week = {week} AND event_type = {event_type})
    TO STDOUT (FORMAT binary)
    """
)
_HEADER_BYTES = 19
"""What binary COPY sends before the first row."""
_TRAILER = b"\xff\xff"
"""What it sends after the last."""
_SEGMENTS = _sql((_SQL / "segments_hot.sql").read_text())
_FEED = sql.SQL(
    r"""
    SELECT epoch, tx, execution_id::text, sequence, sha256('\x00'::bytea || coalesce(leaf, '')) AS node
    FROM workflow_events WHERE week = {week}
    """
)
_HEADS = sql.SQL("SELECT id::text AS execution_id, last_sequence, head_hash FROM execution_heads")


class AskedWeek(NamedTuple):
    """A week that is being hashed in parts, and under which names what is found is written; a bad one has none."""

    week: date
    parts: list[tuple[Path, Future[bool]]]


def ask_hot(connection: Connection, work: Work, hashers: Hashers) -> list[AskedWeek]:
    """Copies the hot weeks' rows out of the database and has them hashed."""
    tables = connection.execute(cast("LiteralString", (_SQL / "hot_tables.sql").read_text())).fetchall()
    # The planner takes hashing an event for as cheap as any other expression, and sending the hash for expensive.
    connection.execute("SELECT set_config('parallel_tuple_cost', '0', true)")
    by_week = {
        week: {_EVENT_TYPES[row["table_name"]]: row["bytes"] for row in of_week}
        for week, of_week in groupby(tables, itemgetter("week"))
    }
    asked: list[AskedWeek] = []
    # The largest first: what is left to hash when the last one is copied is little.
    for week, sizes in sorted(by_week.items(), key=lambda sized: -sum(sized[1].values())):
        names = [work.folder / f"hot-{week}-{nth}" for nth in range(1 + sum(sizes.values()) // _PART_BYTES)]
        sound = _copy_out(connection, week, sizes, names)
        parts = [(name, hashers.read_hot_rows(_rows_file(name), week, name)) for name in names if sound]
        asked.append(AskedWeek(week, parts))
    return asked


def collect_hot(connection: Connection, work: Work, asked: Iterable[AskedWeek]) -> None:
    """Adds the weeks' segments and events to `work`; a fault stands in its segment."""
    for week, parts in asked:
        if parts and all(sound.result() for _, sound in parts):
            for name, _ in parts:
                work.add(name)
        else:
            _locate(connection, work, week)
        work.tell()


def _rows_file(name: Path) -> Path:
    return name.with_suffix(".rows")


def _copy_out(connection: Connection, week: date, event_types: Iterable[str], names: Sequence[Path]) -> bool:
    """Writes a week's rows to files, an execution's to one of them; False when any isn't of a sound row's size."""
    with ExitStack() as files:
        parts = [files.enter_context(_rows_file(name).open("wb")) for name in names]
        return all(
            _share_out(rows, parts) for event_type in event_types for rows in _rows(connection, week, event_type)
        )


def _rows(connection: Connection, week: date, event_type: str) -> Iterator[list[bytes]]:
    """Rows of one type as binary COPY gives them, many at a time."""
    query = _COPY.format(
        row=sql.SQL(cast("LiteralString", hot_row(event_type))),
        week=sql.Literal(week),
        event_type=sql.Literal(event_type),
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        rows = map(bytes, copy)
        yield [row for row in (next(rows)[_HEADER_BYTES:],) if row and row != _TRAILER]
        while batch := list(islice(rows, _ROWS)):
            yield batch[:-1] if batch[-1] == _TRAILER else batch


def _share_out(rows: list[bytes], parts: Sequence[BinaryIO]) -> bool:
    if not {len(row) for row in rows} <= {HOT_ROW_BYTES}:
        return False
    if len(parts) == 1:
        parts[0].write(b"".join(rows))
        return True
    shares: list[list[bytes]] = [[] for _ in parts]
    for row in rows:
        shares[row[HOT_ROW_EXECUTION.stop - 1] % len(parts)].append(row)
    for part, share in zip(parts, shares, strict=True):
        part.write(b"".join(share))
    return True


def _locate(connection: Connection, work: Work, week: date) -> None:
    """The same of a week in which something is wrong: its faults come to stand in the segments."""
    _copy(connection, work, _SEGMENTS.format(week=sql.Literal(week)), "segments", {"week": week})
    if work.for_checkpoints:
        _copy(connection, work, _FEED.format(week=sql.Literal(week)), "feed")


def read_heads(connection: Connection, work: Work) -> None:
    """Adds the executions' heads to `work`."""
    _copy(connection, work, _HEADS, "heads")


def _copy(
    connection: Connection,
    work: Work,
    query: sql.SQL | sql.Composed,
    table: str,
    constants: dict[str, Any] | None = None,
) -> None:
    """Adds a query's rows to a table of `work`, in bounded memory; `constants` are columns that the rows lack."""
    # A stream, because a cursor's plan is never parallel.
    with connection.cursor(binary=True) as cursor:
        rows = cursor.stream(query, binary=True, size=1_000)
        while batch := list(islice(rows, _ROWS)):
            full = [constants | row for row in batch] if constants else batch
            work.database.register("batch", pa.Table.from_pylist(full, schema=_SCHEMAS[table]))
            work.database.execute(f"INSERT INTO {table} SELECT * FROM batch")  # noqa: S608  a table of ours
            work.database.unregister("batch")
