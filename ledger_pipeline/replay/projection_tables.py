"""The tables that a replay gives the rows of, and the comparison of stored rows with replayed ones, in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
import simplejson
from psycopg import sql

from ledger_pipeline.hot.database import Connection, first_line

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of each table by its name; every row of a table has the same columns."""

_SHOWN = 200
MOST_NAMED = 20
"""Differing rows of a table that a comparison names; all are counted."""


@dataclass(frozen=True)
class ProjectionTable:
    """A table derived from events: what identifies a row, and the column of the execution that it belongs to."""

    name: str
    key: tuple[str, ...] = ("id",)
    owner: str = "execution_id"


TABLES = (
    ProjectionTable("execution_heads", owner="id"),
    ProjectionTable("workflow_executions", owner="id"),
    ProjectionTable("workflow_steps"),
    ProjectionTable("executions"),
    ProjectionTable("workflow_approvals"),
    ProjectionTable("workflow_artifacts"),
    ProjectionTable("execution_log", key=("execution_id", "sequence")),
    ProjectionTable("usage_keys", key=("execution_id", "model_call_id")),
)
"""In the order in which differences are reported; the head, the write side, is compared but never rebuilt."""

NOT_REPLAYED = frozenset({"created_at", "updated_at", "pruned_at", "pruned_drive_id"})
"""Columns that no event gives."""

NULLED_BY_DELETION = {
    "workflow_steps": frozenset({"agent_id", "template_step_id"}),
    "executions": frozenset({"agent_id"}),
}
"""The columns of each table that the deletion of what they refer to sets to NULL; events name it for ever."""


@dataclass(frozen=True)
class RowDifference:
    """A stored row that differs from its replay, in the columns named; none when only one of the two exists."""

    table: str
    key: str
    execution_id: UUID
    columns: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.what}"


def rows_as_json(rows: Rows | Sequence[Mapping[str, Any]]) -> str:
    """Rows, of one table or by table, as the JSON text that the database makes rows of again; numbers are exact."""
    return simplejson.dumps(rows, use_decimal=True, default=_plain)


def _plain(value: Any) -> str:
    match value:
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} is no type of a projection's column")


_COMPARISON = sql.SQL(
    """
    WITH replayed AS (
        SELECT * FROM json_populate_recordset(NULL::{table}, %(replayed)s::json)
    ),
    stored AS (
        SELECT * FROM {table} WHERE {owner} = ANY (%(ids)s)
    ),
    compared AS (
        SELECT
            coalesce(stored.{owner}, replayed.{owner}) AS execution_id,
            concat_ws(' ', {keys}) AS key,
            {stored_key} IS NULL AS missing,
            {replayed_key} IS NULL AS surplus,
            array_remove(ARRAY[{differing}]::text[], NULL) AS columns,
            to_jsonb(stored) AS stored,
            to_jsonb(replayed) AS replayed
        FROM stored
        FULL JOIN replayed ON {same_key}
    )
    SELECT
        execution_id, key, missing, surplus, columns, count(*) OVER () AS differing,
        -- As text: a damaged value may be nested more deeply than a client can read.
        ARRAY(SELECT (stored -> name)::text FROM unnest(columns) WITH ORDINALITY AS c (name, nth) ORDER BY nth)
            AS stored_values,
        ARRAY(SELECT (replayed -> name)::text FROM unnest(columns) WITH ORDINALITY AS c (name, nth) ORDER BY nth)
            AS replayed_values
    FROM compared
    WHERE missing OR surplus OR cardinality(columns) > 0
    ORDER BY execution_id, key
    LIMIT %(limit)s
    """
)


@cache
def _comparison(table: ProjectionTable, columns: tuple[str, ...]) -> sql.Composed:
    nullable = NULLED_BY_DELETION.get(table.name, frozenset())

    def of(side: str, column: str) -> sql.Composed:
        return sql.SQL("{}.{}").format(sql.Identifier(side), sql.Identifier(column))

    def differs(column: str) -> sql.Composed:
        condition = sql.SQL("{} IS DISTINCT FROM {}").format(of("stored", column), of("replayed", column))
        if column in nullable:
            forgotten = sql.SQL("{} IS NULL AND is_forgotten({})").format(of("stored", column), of("replayed", column))
            condition = sql.SQL("{} AND NOT ({})").format(condition, forgotten)
        return sql.SQL("CASE WHEN {} THEN {} END").format(condition, sql.Literal(column))

    own_key = [name for name in table.key if name != "execution_id"] or list(table.key)
    return _COMPARISON.format(
        table=sql.Identifier(table.name),
        owner=sql.Identifier(table.owner),
        keys=sql.SQL(", ").join(
            sql.SQL("coalesce({}, {})").format(of("stored", name), of("replayed", name)) for name in own_key
        ),
        stored_key=of("stored", table.key[0]),
        replayed_key=of("replayed", table.key[0]),
        differing=sql.SQL(", ").join(map(differs, columns)),
        same_key=sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(of("stored", name), of("replayed", name)) for name in table.key
        ),
    )


def compare_each(
    connection: Connection,
    table: ProjectionTable,
    execution_ids: Sequence[UUID],
    replayed: Sequence[Mapping[str, Any]],
) -> tuple[int, list[RowDifference]]:
    """As `compare`, also where a replay gives what the table's types can't hold: that execution differs."""
    try:
        with connection.transaction():
            return compare(connection, table, execution_ids, replayed)
    except psycopg.DataError as error:
        if len(execution_ids) == 1:
            what = f"its replay gives what the table can't hold: {first_line(error)}"
            return 1, [RowDifference(table.name, f"of {execution_ids[0]}", execution_ids[0], (), what)]
    count, named = 0, list[RowDifference]()
    for execution_id in execution_ids:
        own = [row for row in replayed if row[table.owner] == execution_id]
        differing, found = compare_each(connection, table, [execution_id], own)
        count += differing
        named += found
    return count, named[:MOST_NAMED]


def compare(
    connection: Connection,
    table: ProjectionTable,
    execution_ids: Sequence[UUID],
    replayed: Sequence[Mapping[str, Any]],
) -> tuple[int, list[RowDifference]]:
    """How many of the executions' rows of a table differ from the replayed ones, and the first of them.

    Values are compared as the column's type compares them, JSON as `jsonb`. A reference that a deletion has set to NULL
    agrees with what it was.
    """
    columns = tuple(replayed[0]) if replayed else ()
    rows = connection.execute(
        _comparison(table, columns),
        {"replayed": rows_as_json(replayed), "ids": list(execution_ids), "limit": MOST_NAMED},
    ).fetchall()
    named = [
        RowDifference(
            table.name,
            f"{row['execution_id']} {row['key']}" if len(table.key) > 1 else row["key"],
            row["execution_id"],
            () if row["missing"] or row["surplus"] else tuple(row["columns"]),
            _words(row),
        )
        for row in rows
    ]
    return (rows[0]["differing"] if rows else 0), named


def _words(row: Mapping[str, Any]) -> str:
    if row["missing"]:
        return "its events give the row, but it is not stored"
    if row["surplus"]:
        return "the row is stored, but no event gives it"
    differing = zip(row["columns"], row["stored_values"], row["replayed_values"], strict=True)
    return "; ".join(
        f"{name} is {_shown(stored)}, its replay gives {_shown(replayed)}" for name, stored, replayed in differing
    )


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
