"""Tests run on a real PostgreSQL, each on a database of its own that is a copy of a migrated one, and without mocks."""

import ast
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from ledger_pipeline import events
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.revision import check

pytestmark = pytest.mark.mission("B7")
TESTS = Path(__file__).parent
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MOCKS = {"mock", "unittest", "pytest_mock", "mocker", "responses", "pytest_postgresql", "testing.postgresql", "pglite"}


def test_the_server_is_postgresql(connection: Connection) -> None:
    row = connection.execute(
        "SELECT version() AS version, current_setting('server_version_num')::integer AS number,"
        " pg_backend_pid() AS pid, pg_current_wal_insert_lsn() > '0/0' AS logs"
    ).fetchone()
    assert row
    assert row["version"].startswith("PostgreSQL ")
    assert row["number"] >= 150_000
    assert row["logs"]
    assert row["pid"] == connection.info.backend_pid


@pytest.mark.parametrize("nth", range(2))
def test_each_test_has_an_empty_migrated_database_of_its_own(
    ledger_url: str, connection: Connection, template_database: str, nth: int
) -> None:
    check(ledger_url)
    name = connection.info.dbname
    assert name != template_database
    seen = connection.execute(
        "SELECT (SELECT count(*) FROM workflow_events) AS events, (SELECT count(*) FROM execution_heads) AS heads"
    ).fetchone()
    assert seen == {"events": 0, "heads": 0}
    # What is left here would be seen by the other run of this test, if the database were shared.
    append(connection, uuid4(), [events.WorkflowCreated(occurred_at=NOW, workflow_name=f"left by {nth}")])


def test_a_copy_is_what_its_template_is(
    server_url: str, template_database: str, connection: Connection, make_ledger: Callable[[], str]
) -> None:
    objects = (
        "SELECT c.relname AS name, c.relkind AS kind, count(a.*) AS columns FROM pg_class c"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'ledger'::regnamespace"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )
    copy = connection.execute(objects).fetchall()
    with connect(make_conninfo(server_url, dbname=template_database)) as template:
        assert template.execute(objects).fetchall() == copy
        assert template.execute("SELECT FROM workflow_events").rowcount == 0
    assert len(copy) > 100
    append(connection, uuid4(), [events.WorkflowCreated(occurred_at=NOW)])
    with connect(make_ledger()) as other:
        assert other.info.dbname != connection.info.dbname
        assert other.execute("SELECT FROM workflow_events").rowcount == 0


def replacements(tree: ast.AST) -> Iterator[str]:
    """What a test file replaces by something else than itself: mocks, and attributes that it patches."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MOCKS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in MOCKS:
            yield node.module
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called, target = node.func, node.args[0] if node.args else None
            if called.attr == "setattr" and isinstance(called.value, ast.Name) and "monkeypatch" in called.value.id:
                yield f"monkeypatch.setattr({ast.unparse(target) if target else ''}"


def test_no_test_replaces_the_database_by_a_mock() -> None:
    # Clocks and failures are set in the project's own modules; psycopg and connections never are.
    found = {
        (str(path.relative_to(TESTS)), name)
        for path in TESTS.rglob("*.py")
        for name in replacements(ast.parse(path.read_text()))
        if not name.startswith("monkeypatch") or any(word in name for word in ("psycopg", "onnect", "ursor"))
    }
    assert found == set()


@pytest.mark.parametrize(
    "text",
    ["from unittest.mock import Mock", "import mock", "monkeypatch.setattr(psycopg, 'connect', None)"],
)
def test_a_mock_would_be_found(text: str) -> None:
    assert list(replacements(ast.parse(text)))
