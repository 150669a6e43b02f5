"""The typed rows that every mart is derived from: schema `staging` of a build, filled from batches of events.

`staging.events` keeps each event's typed columns, so marts are rebuilt from the build alone; of the JSON payload only
what marts read is kept, parsed: plan entries, corrections and price versions. Everything else stays in the ledger.
"""

# pyarrow has no types.
# pyright: reportUnknownParameterType=false
# ruff: noqa: S608  names of tables and columns are our own; values are parameters

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ledger_pipeline.engines.duckdb.tables import columns_of, count, create_table, quoted
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.columns import ARROW_TYPES, ColumnKind
from ledger_pipeline.events.schema import ARROW_SCHEMA

CHUNK_ROWS = 262_144
"""Events parsed at a time: two of DuckDB's row groups, a few hundred megabytes of Arrow."""

_TYPED: dict[str, str] = {
    "day": "CAST(timezone('UTC', occurred_at) AS DATE)",
    "month": "strftime(timezone('UTC', occurred_at), '%Y-%m')",
    # Only an import of history puts an event into a week before the one in which it is recorded.
    "booked_on": (
        "CAST(timezone('UTC', CASE WHEN week < CAST(date_trunc('week', timezone('UTC', recorded_at)) AS DATE) "
        "THEN occurred_at ELSE recorded_at END) AS DATE)"
    ),
    "input_usd_per_million": (
        "CASE WHEN event_type = 'TokensUpdated' THEN TRY_CAST(list_extract("
        "json_extract_string(payload, '$.prices[*].usd_per_million'), "
        "list_position(json_extract_string(payload, '$.prices[*].usage_kind'), 'input')) AS DECIMAL(18, 12)) END"
    ),
    "price_versions": (
        "CASE WHEN event_type = 'TokensUpdated' THEN nullif(array_to_string(list_sort(list_distinct("
        "json_extract_string(payload, '$.prices[*].price_id'))), ','), '') END"
    ),
}
"""Columns of `staging.events` beyond the catalogue's: UTC day and month of the event, the UTC day on which it is booked
(when it was recorded; of an import of history, when it happened), the payload's price of uncached input below $10^6 per
million, ids of all its prices."""


@cache
def queries() -> dict[str, str]:
    """What fills each table that takes events from rows of ARROW_SCHEMA that are called `incoming`."""
    typed = [
        f"CAST({quoted(name)} AS UUID) AS {quoted(name)}" if kind is ColumnKind.UUID else quoted(name)
        for name, kind in EVENT_COLUMNS.items()
        if kind is not ColumnKind.JSON
    ]
    derived = [f"{expression} AS {name}" for name, expression in _TYPED.items()]
    folder = Path(__file__).parent / "staging"
    return {"events": f"SELECT {', '.join(typed + derived)} FROM incoming"} | {
        path.stem: path.read_text().replace("/*booked_on*/", _TYPED["booked_on"])
        for path in sorted(folder.glob("*.sql"))
    }


TOTALS_SCHEMA: pa.Schema = pa.schema(
    [
        ("source", pa.string()),
        ("week", pa.date32()),
        ("event_type", pa.string()),
        ("measure", pa.string()),
        ("value", ARROW_TYPES[ColumnKind.USD]),
    ]
)
"""`staging.event_totals`: what was counted where the events are kept, by rolled week or `hot`."""

_INSTANT = ARROW_TYPES[ColumnKind.TIMESTAMP]
PRICE_SCHEMA: pa.Schema = pa.schema(
    [
        ("price_id", pa.string()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("service_tier", pa.string()),
        ("region", pa.string()),
        ("context_tier", pa.int64()),
        ("daily_window", pa.string()),
        ("usage_kind", pa.string()),
        ("usd_per_million", ARROW_TYPES[ColumnKind.USD]),
        ("valid_from", _INSTANT),
        ("known_from", _INSTANT),
        ("withdrawn", pa.bool_()),
        ("source", pa.string()),
        ("source_version", pa.string()),
        ("operator_id", pa.string()),
        ("reason", pa.string()),
        ("recorded_at", _INSTANT),
    ]
)
"""`staging.model_pricing`: the price book."""

BUDGET_SCHEMA: pa.Schema = pa.schema(
    [
        ("budget_id", pa.string()),
        ("drive_id", pa.string()),
        ("scope", pa.string()),
        ("workflow_name", pa.string()),
        ("agent_id", pa.string()),
        ("customer_id", pa.string()),
        ("period", pa.string()),
        ("limit_usd", ARROW_TYPES[ColumnKind.USD]),
        ("limit_tokens", pa.int64()),
        ("created_at", _INSTANT),
    ]
)
"""`staging.budgets`: the budgets of workflows, agents and customers that are set."""


CHECKPOINT_SCHEMA: pa.Schema = pa.schema(
    [
        ("n", pa.int64()),
        ("epoch", pa.int32()),
        ("first_tx", pa.int64()),
        ("end_tx", pa.int64()),
        ("events", pa.int64()),
        ("tree_index", pa.int64()),
    ]
)
"""`staging.checkpoints`: the closed batches of the feed, each with its place in the ledger's tree."""

PROOF_POSITIONS = {
    "execution_id": "UUID",
    "sequence": "BIGINT",
    "checkpoint": "BIGINT",
    "batch_index": "BIGINT",
    "tree_index": "BIGINT",
}


REMOVED_COSTS_SCHEMA: pa.Schema = pa.schema(
    [
        ("week", pa.date32()),
        ("day", pa.date32()),
        *((name, pa.string()) for name in ("month", "workflow_name", "workflow_type")),
        *((name, pa.string()) for name in ("agent_id", "agent_name", "customer_id", "user_id")),
        *((name, pa.string()) for name in ("mode", "provider", "model")),
        *((name, pa.int64()) for name in ("calls", "priced_calls", "repriced_calls")),
        *(
            (f"{name}_tokens", pa.int64())
            for name in (
                *("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"),
                *("audio", "image", "total"),
            )
        ),
        *(
            (name, ARROW_TYPES[ColumnKind.USD])
            for name in (
                *("cost_usd", "estimated_cost_usd", "recorded_cost_usd", "corrections_usd"),
                *("corrected_cost_usd", "corrected_estimate_usd", "cache_saved_usd"),
            )
        ),
    ]
)
"""`staging.removed_costs`: what the calls of weeks that were removed under retention cost, as `cost_daily` had it."""


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates schema `staging` and its empty, typed tables."""
    connection.execute("CREATE SCHEMA staging")
    connection.register("incoming", ARROW_SCHEMA.empty_table())
    for name, query in queries().items():
        create_table(connection, f"staging.{name}", columns_of(connection, query))
    connection.unregister("incoming")
    create_table(connection, "staging.proof_positions", PROOF_POSITIONS)
    told = {
        "event_totals": TOTALS_SCHEMA,
        "model_pricing": PRICE_SCHEMA,
        "budgets": BUDGET_SCHEMA,
        "removed_costs": REMOVED_COSTS_SCHEMA,
        "checkpoints": CHECKPOINT_SCHEMA,
    }
    for name, schema in told.items():
        connection.register("incoming", schema.empty_table())
        create_table(connection, f"staging.{name}", columns_of(connection, "FROM incoming"))
        connection.unregister("incoming")


def row_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows of each table that takes events or their places; rows only ever join: these are also the next row ids."""
    return {name: count(connection, f"staging.{name}") for name in (*queries(), "proof_positions")}


def add_events(
    connection: duckdb.DuckDBPyConnection,
    batches: Iterable[pa.RecordBatch],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Adds batches of ARROW_SCHEMA, in order; returns how many events they held."""
    added = 0
    chunk: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        chunk.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK_ROWS:
            added += _add_chunk(connection, chunk)
            chunk, rows = [], 0
            if progress:
                progress(added)
    return added + _add_chunk(connection, chunk)


def _add_chunk(connection: duckdb.DuckDBPyConnection, chunk: list[pa.RecordBatch]) -> int:
    table = pa.Table.from_batches(chunk, ARROW_SCHEMA)
    if table.num_rows:
        connection.register("incoming", table)
        for name, query in queries().items():
            connection.execute(f"INSERT INTO staging.{name} {query}")
        connection.unregister("incoming")
    return table.num_rows


def add(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """Adds rows to a table that takes no events."""
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO staging.{name} BY NAME FROM incoming")
    connection.unregister("incoming")


def add_checkpoints(connection: duckdb.DuckDBPyConnection, checkpoints: pa.Table) -> None:
    """Adds the batches that are new, and where each of their events lies.

    Of a batch that lost events with a removed week the places can't be told any more.
    """
    known = connection.execute("SELECT coalesce(max(n), 0) FROM staging.checkpoints").fetchall()[0][0]
    new = checkpoints.filter(pc.field("n") > known)
    connection.register("incoming", new)
    connection.execute((Path(__file__).parent / "proof_positions.sql").read_text())
    connection.execute("INSERT INTO staging.checkpoints BY NAME FROM incoming")
    connection.unregister("incoming")


def replace(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> bool:
    """Replaces the rows of a table that takes no events; answers whether it had others."""
    connection.register("incoming", rows)
    differ = connection.execute(
        f"SELECT EXISTS (FROM incoming EXCEPT ALL FROM staging.{name}) "
        f"OR EXISTS (FROM staging.{name} EXCEPT ALL FROM incoming)"
    ).fetchall()[0][0]
    connection.unregister("incoming")
    if differ:
        connection.execute(f"DELETE FROM staging.{name}")
        add(connection, name, rows)
    return differ
