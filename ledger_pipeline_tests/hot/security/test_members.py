"""Members ask in SQL of their own: they read what a reader of their drives reads, and nothing else at all."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.migrate import _engine
from ledger_pipeline.hot.migration_steps import as_owner, drop_member_views, make_member_views
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.test_drives import tells_of

pytestmark = [pytest.mark.mission("D5"), pytest.mark.mission("E6")]

REFUSED_TO_READERS = {"archive_manifest", "removed_weeks"}


def readable(connection: Connection, schema: str) -> set[str]:
    """What a login may select from in a schema."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)"
        " AND relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege(oid, 'SELECT')",
        (schema,),
    ).fetchall()
    return {row["relname"] for row in rows}


def columns_and_rows(connection: Connection, schema: str, name: str) -> tuple[list[str], list[str]]:
    """The names of a relation's columns, and its rows as text."""
    place = sql.Identifier(schema, name)
    named = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(place)).description or ()
    rows = connection.execute(sql.SQL("SELECT t::text AS line FROM {} t ORDER BY 1").format(place)).fetchall()
    return [column.name for column in named], [row["line"] for row in rows]


def test_a_member_reads_all_that_a_reader_of_the_same_drives_reads(world: World) -> None:
    names = readable(world.as_["member"], "ledger_member")
    assert names == readable(world.as_["reader"], "ledger") - REFUSED_TO_READERS
    assert {"workflow_events", "workflow_executions", "executions", "user_workflow_summary", "budgets"} <= names
    for name in names:
        seen = columns_and_rows(world.as_["member"], "ledger_member", name)
        assert seen == columns_and_rows(world.as_["reader"], "ledger", name), name


def test_a_member_is_shown_no_row_of_another_drive(world: World) -> None:
    member = world.as_["member"]
    shown = {
        name: " ".join(columns_and_rows(member, "ledger_member", name)[1]) for name in readable(member, "ledger_member")
    }
    assert {name for name, text in shown.items() if tells_of(text, world.y)} == set()
    assert tells_of(shown["workflow_events"], world.x)


def test_a_member_may_do_nothing_but_read_these_views(world: World) -> None:
    member = world.as_["member"]
    assert readable(member, "ledger") == set()
    callable_ = member.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace"
        " AND has_function_privilege(oid, 'EXECUTE')"
    ).fetchall()
    assert callable_ == []
    for statement in ("SELECT FROM ledger.drives", "SELECT ledger.acting_user()", "SELECT 'read'::ledger.drive_access"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema ledger"):
            member.execute(statement)  # pyright: ignore[reportArgumentType]
    for statement in ("UPDATE {} SET id = id", "DELETE FROM {}", "INSERT INTO {} (id) VALUES (gen_random_uuid())"):
        with pytest.raises(psycopg.Error, match=r"cannot (update|delete from|insert into) view"):
            member.execute(sql.SQL(statement).format(sql.Identifier("ledger_member", "drives")))  # pyright: ignore[reportArgumentType]


def test_nobody_else_reads_them(world: World) -> None:
    for kind in ("plain", "reader", "application"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.as_[kind].execute("SELECT FROM ledger_member.drives")


def test_a_member_is_the_user_whose_login_it_is_whatever_it_sets(world: World) -> None:
    member = world.as_["member"]
    for statement in ("SET row_security = off", "SET search_path = pg_temp, public"):
        member.execute(statement)  # pyright: ignore[reportArgumentType]
    member.execute("CREATE TEMP TABLE drive_members AS SELECT %s::uuid AS drive_id", (world.y.drive,))
    member.execute("CREATE FUNCTION pg_temp.drives_with_access(text) RETURNS uuid[] LANGUAGE sql RETURN '{}'::uuid[]")
    act_for(member, world.y.users["administer"])
    seen = member.execute("SELECT DISTINCT drive_id FROM ledger_member.workflow_executions").fetchall()
    assert seen == [{"drive_id": world.x.drive}]
    with world.logins.connect(world.url, world.logins.make("member")) as nobodys:
        assert nobodys.execute("SELECT FROM ledger_member.workflow_executions").rowcount == 0
        act_for(nobodys, world.x.users["read"])
        assert nobodys.execute("SELECT FROM ledger_member.workflow_executions").rowcount == 0


def test_views_and_columns_are_described_as_the_ledgers(world: World) -> None:
    rows = world.root.execute(
        "SELECT v.relname, a.attname, d.description AS told, e.description AS of_the_ledger"
        " FROM pg_class v JOIN pg_class t ON t.relname = v.relname AND t.relnamespace = 'ledger'::regnamespace"
        " CROSS JOIN LATERAL (SELECT attname, attnum FROM pg_attribute WHERE attrelid = v.oid AND attnum > 0"
        "  UNION ALL SELECT NULL, 0) a"
        " LEFT JOIN pg_description d ON d.objoid = v.oid AND d.objsubid = a.attnum"
        " LEFT JOIN pg_attribute b ON b.attrelid = t.oid AND b.attname = a.attname"
        " LEFT JOIN pg_description e ON e.objoid = t.oid AND e.objsubid = coalesce(b.attnum, 0)"
        " WHERE v.relnamespace = 'ledger_member'::regnamespace"
    ).fetchall()
    assert any(row["told"] and row["attname"] for row in rows)
    assert [row for row in rows if row["told"] != row["of_the_ledger"]] == []


def test_a_later_migration_makes_the_views_anew(ledger_url: str) -> None:
    with _engine(ledger_url).begin() as bound:
        drop_member_views(bound)
        as_owner(
            bound, ["ALTER TABLE drives ADD COLUMN colour text; ALTER TABLE budget_totals DROP COLUMN total_tokens"]
        )
        make_member_views(bound)
        assert bound.exec_driver_sql("SELECT colour FROM ledger_member.drives").fetchall() == []


def test_a_program_is_told_that_members_have_views_alone(world: World, tmp_path: Path) -> None:
    login = world.logins.make("member")
    url = make_conninfo(world.url, user=login, password=world.logins.passwords[login])
    with pytest.raises(PermissionDenied, match="ledger_member"):
        Ledger.open(Settings(home=tmp_path, database_url=SecretStr(url)))
