"""The events of many executions at once, hot and cold, as the fold reads them."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString, cast
from uuid import UUID

import duckdb
import pyarrow as pa
from psycopg import sql

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.columns import ColumnKind
from ledger_pipeline.events.fold import FOLD_COLUMNS
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import ColdStore

_SQL = Path(__file__).parent / "sql"
_ROWS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Ids as the cold files have them: text, which is what a state holds.
_AS_TEXT = {ColumnKind.UUID, ColumnKind.JSON}
_HOT = cast("LiteralString", (_SQL / "hot_events.sql").read_text())
_COLD = (_SQL / "cold_events.sql").read_text()


def _is_time(name: str) -> bool:
    return EVENT_COLUMNS[name] is ColumnKind.TIMESTAMP


def _hot_query(columns: Sequence[str]) -> LiteralString:
    selected = ", ".join(
        f"e.{name}::text AS {name}" if EVENT_COLUMNS[name] in _AS_TEXT else f"e.{name}" for name in columns
    )
    return cast("LiteralString", _HOT.replace("/*columns*/", selected))


def _cold_query(columns: Sequence[str]) -> str:
    selected = ", ".join(f"epoch_us(e.{name})" if _is_time(name) else f"e.{name}" for name in columns)
    return _COLD.replace("/*columns*/", selected)


@dataclass(frozen=True)
class Stretch:
    """The events of one execution after `start`, up to and with `due`; its weeks bound where they are."""

    execution_id: UUID
    start: int
    due: int
    first_week: date
    last_week: date


def _hot(connection: Connection, stretches: Sequence[Stretch], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    parameters = {
        "ids": [stretch.execution_id for stretch in stretches],
        "after": [stretch.start for stretch in stretches],
        "upto": [stretch.due for stretch in stretches],
    }
    query = sql.SQL(_hot_query(columns)).format(
        first_week=sql.Literal(min(stretch.first_week for stretch in stretches)),
        last_week=sql.Literal(max(stretch.last_week for stretch in stretches)),
    )
    with connection.cursor(name="stretches") as cursor:
        cursor.itersize = _ROWS
        yield from cursor.execute(query, parameters)


def _cold(
    connection: Connection, cold_dir: ColdStore, stretches: Sequence[Stretch], columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    first, last = min(s.first_week for s in stretches), max(s.last_week for s in stretches)
    # An execution that had events in a removed week is among no stretches; another one's weeks may enclose it.
    kept = [week for week in committed_weeks(connection, first, last) if week.removal is None]
    files = [str(check_file(cold_dir, file)) for week in kept for file in week.files]
    if not files:
        return
    wanted = pa.table(
        {
            "id": [str(stretch.execution_id) for stretch in stretches],
            "after": [stretch.start for stretch in stretches],
            "upto": [stretch.due for stretch in stretches],
        }
    )
    with duckdb.connect() as work:
        work.register("wanted", wanted)
        times = [name for name in columns if _is_time(name)]
        cursor = work.execute(_cold_query(columns), {"files": files})
        while rows := cursor.fetchmany(_ROWS):
            for values in rows:
                row = dict(zip(columns, values, strict=True))
                for name in times:
                    row[name] = None if row[name] is None else _EPOCH + timedelta(microseconds=row[name])
                yield row


def events_of(
    connection: Connection, cold_dir: ColdStore, stretches: Sequence[Stretch], columns: Sequence[str] = FOLD_COLUMNS
) -> Iterator[dict[str, Any]]:
    """The events of the stretches by execution and sequence, the columns named of each; ids are text.

    Inside a read of hot and cold (`cold.reader.open_read`) each event comes exactly once.
    """
    return heapq.merge(
        _cold(connection, cold_dir, stretches, columns),
        _hot(connection, stretches, columns),
        key=lambda row: (row["execution_id"], row["sequence"]),
    )
