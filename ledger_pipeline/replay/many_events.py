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

_SQL = Path(__file__).parent / "sql"
_ROWS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Ids as the cold files have them: text, which is what a state holds.
_AS_TEXT = {ColumnKind.UUID, ColumnKind.JSON}
_HOT_COLUMNS = ", ".join(
    f"e.{name}::text AS {name}" if EVENT_COLUMNS[name] in _AS_TEXT else f"e.{name}" for name in FOLD_COLUMNS
)
_HOT = cast("LiteralString", (_SQL / "hot_events.sql").read_text().replace("/*columns*/", _HOT_COLUMNS))
_COLD = (
    (_SQL / "cold_events.sql")
    .read_text()
    .replace(
        "/*columns*/",
        ", ".join("epoch_us(e.occurred_at)" if name == "occurred_at" else f"e.{name}" for name in FOLD_COLUMNS),
    )
)
_OCCURRED_AT = FOLD_COLUMNS.index("occurred_at")


@dataclass(frozen=True)
class Stretch:
    """The events of one execution after `start`, up to and with `due`; its weeks bound where they are."""

    execution_id: UUID
    start: int
    due: int
    first_week: date
    last_week: date


def _hot(connection: Connection, stretches: Sequence[Stretch]) -> Iterator[dict[str, Any]]:
    parameters = {
        "ids": [stretch.execution_id for stretch in stretches],
        "after": [stretch.start for stretch in stretches],
        "upto": [stretch.due for stretch in stretches],
    }
    query = sql.SQL(_HOT).format(
        first_week=sql.Literal(min(stretch.first_week for stretch in stretches)),
        last_week=sql.Literal(max(stretch.last_week for stretch in stretches)),
    )
    with connection.cursor(name="stretches") as cursor:
        cursor.itersize = _ROWS
        yield from cursor.execute(query, parameters)


def _cold(connection: Connection, cold_dir: Path, stretches: Sequence[Stretch]) -> Iterator[dict[str, Any]]:
    first, last = min(s.first_week for s in stretches), max(s.last_week for s in stretches)
    files = [
        str(check_file(cold_dir, file)) for week in committed_weeks(connection, first, last) for file in week.files
    ]
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
        cursor = work.execute(_COLD, {"files": files})
        while rows := cursor.fetchmany(_ROWS):
            for values in rows:
                row = dict(zip(FOLD_COLUMNS, values, strict=True))
                row["occurred_at"] = _EPOCH + timedelta(microseconds=values[_OCCURRED_AT])
                yield row


def events_of(connection: Connection, cold_dir: Path, stretches: Sequence[Stretch]) -> Iterator[dict[str, Any]]:
    """The events of the stretches by execution and sequence, `FOLD_COLUMNS` of each.

    Inside a read of hot and cold (`cold.reader.open_read`) each event comes exactly once.
    """
    return heapq.merge(
        _cold(connection, cold_dir, stretches),
        _hot(connection, stretches),
        key=lambda row: (row["execution_id"], row["sequence"]),
    )
