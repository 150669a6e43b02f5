"""What administrators do is recorded, with who and why; what a sync does, in one line."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from ledger_pipeline.hot.acting import acting
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.members import DriveAccess, remove_member, set_member
from ledger_pipeline.hot.people import create_agent, create_drive, create_user
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.two_drives import template

pytestmark = pytest.mark.mission("C1")


@pytest.fixture
def root(module_ledger_url: str) -> Iterator[Connection]:
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


def logged(connection: Connection, reason: str) -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT action, object_kind, object_id, actor_id, drive_id, before, after FROM admin_log WHERE reason = %s"
        " ORDER BY at, id",
        (reason,),
    ).fetchall()


def test_members_are_recorded_before_and_after(root: Connection) -> None:
    drive, user = create_drive(root, "d").id, create_user(root, "u").id
    with acting(root, user, reason="a new colleague"):
        set_member(root, drive, user, DriveAccess.READ)
        set_member(root, drive, user, DriveAccess.READ)
        set_member(root, drive, user, DriveAccess.WRITE)
        remove_member(root, drive, user)
    rows = logged(root, "a new colleague")
    assert [
        (row["action"], (row["before"] or {}).get("access"), (row["after"] or {}).get("access")) for row in rows
    ] == [
        ("create", None, "read"),
        ("update", "read", "write"),
        ("delete", "write", None),
    ]
    assert {(row["object_kind"], row["object_id"], row["actor_id"], row["drive_id"]) for row in rows} == {
        ("drive_members", str(user), user, drive)
    }


def test_people_drives_and_templates_are_recorded(world: World) -> None:
    with acting(world.root, reason="set up"):
        create_agent(world.root, "an agent", drive_id=world.x.drive)
        template(world.root, world.x, "recorded", is_public=True)
        world.root.execute("UPDATE workflow_templates SET status = 'archived' WHERE name = 'recorded'")
    assert [(row["action"], row["object_kind"], row["drive_id"]) for row in logged(world.root, "set up")] == [
        ("create", "agents", world.x.drive),
        ("create", "workflow_templates", world.x.drive),
        ("update", "workflow_templates", world.x.drive),
    ]


def price(source: str) -> str:
    return (
        "INSERT INTO model_pricing (provider, model, usage_kind, usd_per_million, valid_from, known_from, source,"
        f" operator_id, reason)"
        f" VALUES ('p', '{uuid.uuid4()}', 'input_tokens', 1, now(), now(), '{source}', 'me', 'why')"
    )


def test_an_administrators_price_is_recorded_and_a_catalogues_in_one_line(root: Connection) -> None:
    with acting(root, reason="a price"):
        root.execute(price("admin"))  # pyright: ignore[reportArgumentType]
        root.execute(price("catalogue"))  # pyright: ignore[reportArgumentType]
        root.execute(
            "INSERT INTO price_sources (source, fetched_at, rank, status, content_hash, rows_new)"
            " VALUES ('catalogue', now(), 0, 'loaded', sha256('x'), 1),"
            " ('catalogue', now(), 0, 'unchanged', sha256('x'), 0)"
        )
    rows = [(row["object_kind"], row["after"]["source"]) for row in logged(root, "a price")]
    assert rows == [("model_pricing", "admin"), ("price_sources", "catalogue")]
    first = root.execute("SELECT count(*) AS n FROM admin_log WHERE object_kind = 'model_pricing'").fetchone()
    assert first == {"n": 1}


@pytest.mark.parametrize("replica", [False, True])
@pytest.mark.parametrize(
    "statement", ["UPDATE admin_log SET reason = 'other'", "DELETE FROM admin_log", "TRUNCATE admin_log"]
)
def test_the_log_refuses_change_even_from_a_superuser(root: Connection, statement: str, replica: bool) -> None:
    create_drive(root, "to be logged")
    root.execute("SELECT set_config('session_replication_role', %s, false)", ("replica" if replica else "origin",))
    with pytest.raises(psycopg.Error, match="append-only"):
        root.execute(statement)  # pyright: ignore[reportArgumentType]


def test_a_drives_administrators_read_of_it_and_others_nothing(world: World) -> None:
    def drives(name: str) -> set[Any]:
        return {row["drive_id"] for row in world.as_[name].execute("SELECT drive_id FROM admin_log").fetchall()}

    assert drives("administrator") == {world.x.drive}
    assert drives("mapped") == drives("writer") == drives("reader") == drives("reader_y") == set()
    assert {world.x.drive, world.y.drive, None} <= drives("service")


def test_the_login_is_recorded_beside_the_user(world: World, fresh: Callable[[str], Connection]) -> None:
    connection = fresh("service")
    with acting(connection, world.x.users["administer"], reason="by the service"):
        create_drive(connection, "made")
    rows = world.root.execute(
        "SELECT DISTINCT actor_id, session_login FROM admin_log WHERE reason = 'by the service'"
    ).fetchall()
    assert rows == [{"actor_id": world.x.users["administer"], "session_login": connection.info.user}]


def test_a_migration_is_on_record(root: Connection) -> None:
    row = root.execute("SELECT object_id, after, at FROM admin_log WHERE action = 'migrate'").fetchone()
    assert row is not None
    assert row["object_id"] == "ledger"
    assert row["after"] == {"revision": "0007"}
    assert row["at"] < datetime.now(UTC)
