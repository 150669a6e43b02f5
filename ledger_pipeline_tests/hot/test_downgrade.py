"""Up, down and up again: on data that is kept, to the very schema that was; and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import sql

from ledger_pipeline.cold.roll import roll
from ledger_pipeline.errors import SchemaMismatch
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.downgrade import refuse_loss
from ledger_pipeline.hot.migrate import migrate
from ledger_pipeline.hot.revision import REVISION, check, current_revision
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.by_hand import Variant, set_prices
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.projection_tables import TABLES
from ledger_pipeline.replay.snapshots import take_snapshots
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.hot.catalogue_dump import catalogue, difference

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
FIRST = "0001"
KEPT = frozenset({"admin_log"})
"""Tables that a downgrade leaves where they are: what was done stays on record."""
OF_THE_SCHEMA = frozenset({"admin_log", "state_rules", "append_staging", "projection_rebuilds"})
"""Tables that a migration fills itself, or that hold rows for one call."""
EVENTS_AND_HEADS = ("workflow_events", *(table.name for table in TABLES), "append_keys", "execution_snapshots")


@pytest.fixture
def connection(ledger_url: str) -> Iterator[Connection]:
    with connect(ledger_url, autocommit=True) as opened:
        yield opened


def rows(connection: Connection, tables: tuple[str, ...] = EVENTS_AND_HEADS) -> dict[str, list[Any]]:
    """All rows of tables as text."""
    return {
        name: connection.execute(
            # Which drive a pruned execution was of is a column of the newer schema alone.
            sql.SQL("SELECT (to_jsonb(t) - 'pruned_drive_id')::text AS row FROM {} t ORDER BY 1").format(
                sql.Identifier(name)
            )
        ).fetchall()
        for name in tables
    }


def columns(connection: Connection) -> dict[str, list[str]]:
    """The columns of each table but those of events, and those whose rows are of the schema itself."""
    found = connection.execute(
        "SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition GROUP BY 1"
    ).fetchall()
    return {row["name"]: row["columns"] for row in found if row["name"] not in OF_THE_SCHEMA}


def contents(connection: Connection, of: dict[str, list[str]]) -> dict[str, list[Any]]:
    """The rows of tables, of these columns, as text."""
    return {
        table: connection.execute(
            sql.SQL("SELECT ROW({})::text AS row FROM {} ORDER BY 1").format(
                sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(table)
            )
        ).fetchall()
        for table, names in of.items()
    }


def lines_of(changes: list[str]) -> str:
    return "\n".join(line[:400] for line in changes[:20])


@pytest.mark.mission("B6")
def test_down_and_up_again_give_the_very_schema_that_was_at_each_step(empty_database_url: str) -> None:
    revisions = [f"{nth:04}" for nth in range(int(FIRST), int(REVISION) + 1)]
    with connect(empty_database_url, autocommit=True) as connection:
        schemas: dict[str, Any] = {}
        for revision in revisions:
            assert migrate(empty_database_url, NOW, revision) == revision
            schemas[revision] = catalogue(connection)
        for older, newer in pairwise(revisions):
            assert difference(schemas[older], schemas[newer])
        for revision in reversed(revisions[:-1]):
            assert migrate(empty_database_url, NOW, revision) == revision
            changes = difference(schemas[revision], catalogue(connection), KEPT)
            assert not changes, lines_of(changes)
        assert migrate(empty_database_url, NOW) == REVISION
        changes = difference(schemas[REVISION], catalogue(connection))
        assert not changes, lines_of(changes)


@pytest.mark.mission("B6")
def test_down_and_up_again_keep_every_row_that_the_first_schema_has_a_place_for(
    ledger_url: str, connection: Connection, tmp_path: Path
) -> None:
    run_simulation(connection, load_book(connection), 14, 30, 7, NOW)
    settings = Settings(home=tmp_path)
    # Some weeks are cold, with checkpoints; some executions have snapshots; a price was set by hand.
    assert roll(connection, settings, NOW, keep_days=14)
    take_snapshots(connection, settings.cold_dir, 10, NOW)
    rates = {"input": Decimal(3)}
    set_prices(connection, Variant("acme", "m"), rates, valid_from=NOW, reason="ours", operator="ada", now=NOW)
    before = rows(connection)
    assert all(before[table] for table in ("workflow_events", "execution_snapshots", "usage_keys"))
    places = columns(connection)
    assert migrate(ledger_url, NOW, FIRST) == FIRST
    assert rows(connection) == before
    # Of each table and column that is there at both ends: people, prices, manifest, checkpoints, epochs, cursors.
    common = {table: [name for name in names if name in places[table]] for table, names in columns(connection).items()}
    below = contents(connection, common)
    assert {"customers", "drives", "model_pricing", "archive_manifest", "checkpoints", "ledger_epochs"} <= {
        table for table, held in below.items() if held
    }
    assert migrate(ledger_url, NOW) == REVISION
    assert rows(connection) == before
    assert contents(connection, common) == below
    assert verify(connection, settings.cold_dir).ok
    assert check_projections(connection, settings.cold_dir).ok
    check(ledger_url)


@pytest.mark.mission("B6")
def test_a_downgrade_that_would_lose_events_is_refused_on_the_way_to_base(
    ledger_url: str, connection: Connection
) -> None:
    run_simulation(connection, load_book(connection), 1, 1, 8, NOW)
    before = rows(connection)
    with pytest.raises(SchemaMismatch, match="would drop events"):
        migrate(ledger_url, NOW, "base")
    # One transaction: the newer schema is still there, too.
    assert current_revision(ledger_url) == REVISION
    assert rows(connection) == before


@pytest.mark.mission("B6")
def test_a_downgrade_is_refused_where_every_event_is_cold(
    ledger_url: str, connection: Connection, tmp_path: Path
) -> None:
    run_simulation(connection, load_book(connection), 1, 1, 8, NOW)
    assert roll(connection, Settings(home=tmp_path), NOW + timedelta(days=365))
    before = rows(connection)
    assert before["workflow_events"] == []
    with pytest.raises(SchemaMismatch, match="would drop events"):
        migrate(ledger_url, NOW, "base")
    assert rows(connection) == before


@pytest.mark.mission("B6")
def test_a_downgrade_that_would_lose_what_people_recorded_is_refused(ledger_url: str, connection: Connection) -> None:
    # On a table and columns of the test's own: which ones a migration has is not the rule's concern.
    assert refused_for(ledger_url) == set()
    with connection.transaction():
        connection.execute("SET LOCAL ROLE ledger_owner")
        connection.execute("CREATE TABLE ledger.opinions (opinion text, created_at timestamptz DEFAULT now())")
        connection.execute("ALTER TABLE ledger.customers ADD COLUMN mood text DEFAULT 'calm', ADD COLUMN note text")
    connection.execute("INSERT INTO ledger.customers (name) VALUES ('somebody')")
    assert refused_for(ledger_url) == set()
    connection.execute("INSERT INTO ledger.opinions VALUES ('good')")
    connection.execute("UPDATE ledger.customers SET mood = 'angry'")
    assert refused_for(ledger_url) == {"opinions", "customers.mood"}
    assert connection.execute("SELECT opinion FROM ledger.opinions").fetchall() == [{"opinion": "good"}]


def refused_for(url: str) -> set[str]:
    """What a downgrade says that it would lose, which drops the test's own table and columns."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sqlalchemy.pool.NullPool
    )
    with engine.begin() as bind:

        def undo() -> None:
            bind.exec_driver_sql("DROP TABLE IF EXISTS ledger.opinions")
            bind.exec_driver_sql("ALTER TABLE ledger.customers DROP COLUMN IF EXISTS mood, DROP COLUMN IF EXISTS note")

        try:
            refuse_loss(bind, undo)
        except RuntimeError as error:
            return set(str(error).partition("recorded in ")[2].partition(":")[0].split(", "))
    return set()
