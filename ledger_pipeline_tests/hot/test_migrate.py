"""Migrations up, down and up again; what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.errors import SchemaMismatch, ServerUnavailable
from ledger_pipeline.hot.database import connect
from ledger_pipeline.hot.migrate import migrate
from ledger_pipeline.hot.revision import REVISION, check, current_revision
from ledger_pipeline.settings import Settings

NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.mark.mission("B6")
def test_up_down_and_up_again(empty_database_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="run `ledger-pipeline migrate`"):
        check(empty_database_url)
    assert migrate(empty_database_url, NOW) == REVISION
    assert migrate(empty_database_url, NOW) == REVISION
    check(empty_database_url)
    assert migrate(empty_database_url, NOW, "base") is None
    with connect(empty_database_url) as connection:
        left = connection.execute("SELECT to_regnamespace('ledger') IS NULL AS gone").fetchone()
    assert left == {"gone": True}
    assert migrate(empty_database_url, NOW) == REVISION


@pytest.mark.mission("B6")
def test_a_downgrade_that_would_drop_events_is_refused(ledger_url: str) -> None:
    with connect(ledger_url, autocommit=True) as connection:
        connection.execute(
            "SELECT append(u.id, json_build_array(json_build_object("
            "'ordinal', 0, 'event_type', 'WorkflowCreated', 'occurred_at', now(), 'execution_id', u.id)))"
            " FROM (SELECT '00000000-0000-7000-8000-000000000001'::uuid AS id) u"
        )
    with pytest.raises(SchemaMismatch, match="would drop events"):
        migrate(ledger_url, NOW, "base")
    check(ledger_url)


def test_a_half_migrated_database_is_named(empty_database_url: str) -> None:
    with connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA ledger")
    for call in (lambda: migrate(empty_database_url, NOW), lambda: check(empty_database_url)):
        with pytest.raises(SchemaMismatch, match="half migrated"):
            call()


@pytest.mark.mission("B6")
def test_a_newer_database_is_refused(ledger_url: str, tmp_path: Path) -> None:
    with connect(ledger_url, autocommit=True) as connection:
        connection.execute("UPDATE public.ledger_schema_version SET version_num = '9999'")
    assert current_revision(ledger_url) == "9999"
    settings = Settings(home=tmp_path, database_url=SecretStr(ledger_url))
    for attempt in (
        lambda: migrate(ledger_url, NOW),
        lambda: migrate(ledger_url, NOW, "base"),
        lambda: check(ledger_url),
        lambda: Ledger.open(settings),
    ):
        # Never the advice to migrate, which would be refused.
        with pytest.raises(SchemaMismatch, match=r"schema 9999 is newer .*: upgrade ledger-pipeline$"):
            attempt()
    assert current_revision(ledger_url) == "9999"


def test_an_unknown_revision_is_refused(ledger_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="'0815' is not known; allowed: head, base, 0001, 0002"):
        migrate(ledger_url, NOW, "0815")


@pytest.mark.parametrize("url", ["nonsense", "postgresql://nobody:secret@127.0.0.1:1/none"])
def test_a_wrong_url_is_one_clear_line_without_the_password(url: str) -> None:
    with pytest.raises(ServerUnavailable) as refused:
        migrate(url, NOW)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
