"""Up, down and up again: on data that is kept, to the very schema that was; and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import sql

from ledger_pipeline.errors import SchemaMismatch
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.downgrade import refuse_loss
from ledger_pipeline.hot.migrate import migrate
from ledger_pipeline.hot.revision import REVISION, check, current_revision
from ledger_pipeline.ingest.simulate import run_simulation
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.projection_tables import TABLES
from ledger_pipeline.replay.verify import verify
from ledger_pipeline_tests.hot.catalogue_dump import catalogue, difference

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
FIRST = "0001"
KEPT = frozenset({"admin_log"})
"""Tables that a downgrade leaves where they are: what was done stays on record."""
COLD = Path("/nonexistent")
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


def lines_of(changes: list[str]) -> str:
    return "\n".join(line[:400] for line in changes[:20])


@pytest.mark.mission("B6")
def test_down_and_up_again_give_the_very_schema_that_was(empty_database_url: str) -> None:
    with connect(empty_database_url, autocommit=True) as connection:
        assert migrate(empty_database_url, NOW, FIRST) == FIRST
        first = catalogue(connection)
        assert migrate(empty_database_url, NOW) == REVISION
        newest = catalogue(connection)
        assert difference(first, newest)
        assert migrate(empty_database_url, NOW, FIRST) == FIRST
        changes = difference(first, catalogue(connection), KEPT)
        assert not changes, lines_of(changes)
        assert migrate(empty_database_url, NOW) == REVISION
        changes = difference(newest, catalogue(connection))
        assert not changes, lines_of(changes)


@pytest.mark.mission("B6")
def test_down_and_up_again_keep_every_event_head_and_projection(ledger_url: str, connection: Connection) -> None:
    run_simulation(connection, load_book(connection), 14, 30, 7, NOW)
    before = rows(connection)
    assert len(before["workflow_events"]) > 200
    assert migrate(ledger_url, NOW, FIRST) == FIRST
    assert rows(connection) == before
    assert migrate(ledger_url, NOW) == REVISION
    assert rows(connection) == before
    assert verify(connection, COLD).ok
    assert check_projections(connection, COLD).ok
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
