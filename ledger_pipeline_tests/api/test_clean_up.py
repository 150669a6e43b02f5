"""Clean-up is the roll and the pruning; the migration is run and verified."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.hot.database import connect
from ledger_pipeline.hot.revision import REVISION
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.api.serving import Served, error_of, serving
from ledger_pipeline_tests.hot.security.logins import logins_of

pytestmark = pytest.mark.mission("C4")

NOW = datetime(2026, 11, 20, tzinfo=UTC)
WORKFLOW, TABLES = "/api/workflow", "/api/setup/workflow-tables"


@pytest.fixture(scope="module")
def served(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API on a ledger of which everything is hot, at a time of the test's own."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url))
    with Ledger.open(settings) as ledger:
        ledger.simulate(20, 40, 7, NOW)
        with serving(ledger, settings.api_tokens, lambda: NOW) as api:
            yield api


FORM, JSON = "application/x-www-form-urlencoded", "application/json"
WRONG: list[tuple[str, str, int, str, str]] = [
    (JSON, "{}", 400, "invalid_input", "action: is 'None'; allowed: 'cleanup'"),
    (JSON, '{"action": "delete", "daysToKeep": 90}', 400, "invalid_input", "action: is 'delete'"),
    (JSON, '{"action": "cleanup", "daysToKeep": -1}', 400, "invalid_input", "days_to_keep: is -1; allowed: a whole"),
    (JSON, '{"action": "cleanup", "daysToKeep": 1.5}', 400, "invalid_input", "days_to_keep: is 1.5"),
    (JSON, '{"action": "cleanup", "daysToKeep": true}', 400, "invalid_input", "days_to_keep: is True"),
    (JSON, '{"action": "cleanup", "daysToKeep": "90"}', 400, "invalid_input", "days_to_keep: is '90'"),
    (JSON, '{"action": "cleanup", "daysToKeep": {"a": 1}}', 400, "invalid_input", "days_to_keep: is [('a', 1)]"),
    (JSON, '{"action": "cleanup", "daysToKeep": 9000000}', 400, "invalid_input", "keep_days: 9000000 days before"),
    (JSON, '{"action": "cleanup", "force": 1}', 400, "invalid_filter", "'force': not a parameter of POST"),
    (JSON, '{"action": "cleanup", "action": "cleanup"}', 400, "invalid_filter", "action: is given more than once"),
    (JSON, '{"daysToKeep": 1, "days_to_keep": 2}', 400, "invalid_filter", "days_to_keep: is given more than once"),
    (JSON, "[]", 400, "invalid_input", "body: is no JSON object"),
    (JSON, '[["action", "cleanup"]]', 400, "invalid_input", "body: is no JSON object"),
    (JSON, '"cleanup"', 400, "invalid_input", "body: is no JSON object"),
    (JSON, "", 400, "invalid_input", "body: is no JSON"),
    (JSON, '{"action": "cleanup"', 400, "invalid_input", "body: is no JSON"),
    (JSON, "[" * 60_000, 400, "invalid_input", "body: is no JSON"),
    (JSON, '{"daysToKeep": ' + "9" * 60_000 + "}", 400, "invalid_input", "body: is no JSON"),
    (FORM, "", 400, "invalid_input", "action: is 'None'"),
    (FORM, "cleanup", 400, "invalid_input", "body: is no form"),
    (FORM, "action=cleanup&daysToKeep=", 400, "invalid_input", "days_to_keep: is ''"),
    (FORM, "action=cleanup&daysToKeep=ninety", 400, "invalid_input", "days_to_keep: is 'ninety'"),
    (FORM, "action=cleanup&daysToKeep=1&daysToKeep=1", 400, "invalid_filter", "daysToKeep: is given more than once"),
    (FORM, "&".join(["a=1"] * 101), 400, "invalid_input", "body: is no form"),
    ("text/plain", "action=cleanup", 415, "unsupported_media_type", "content-type: allowed: application/json"),
    ("", "action=cleanup", 415, "unsupported_media_type", "content-type: allowed"),
]


@pytest.mark.parametrize(
    ("kind", "body", "status", "code", "message"), WRONG, ids=[f"{kind[-4:]} {body[:45]}" for kind, body, *_ in WRONG]
)
def test_a_body_that_is_wrong_is_refused_and_nothing_is_rolled(
    service: httpx2.Client, served: Served, kind: str, body: str, status: int, code: str, message: str
) -> None:
    found = error_of(service.post(WORKFLOW, content=body, headers={"Content-Type": kind}))
    assert found[:2] == (status, code)
    assert found[2].startswith(message)
    assert rolled(served) == []


def test_parameters_of_a_post_stand_in_its_body(service: httpx2.Client) -> None:
    found = error_of(service.post(f"{WORKFLOW}?action=cleanup", json={"action": "cleanup"}))
    assert found == (400, "invalid_input", "query: a POST has its parameters in its body; allowed: none here")


def in_pieces(size: int) -> Iterator[bytes]:
    yield from (b" " * 1024 for _ in range(size // 1024))


@pytest.mark.parametrize("body", [lambda: b" " * 65_537, lambda: in_pieces(66_560)], ids=["at once", "in pieces"])
def test_a_body_of_more_than_64_kib_is_refused(service: httpx2.Client, body: Callable[[], Any]) -> None:
    found = error_of(service.post(WORKFLOW, content=body(), headers={"Content-Type": JSON}))
    assert found == (413, "content_too_large", "body: is too large; allowed: up to 65536 bytes")
    assert service.get("/api/health").status_code == 200


def rolled(served: Served) -> list[dict[str, Any]]:
    with connect(served.ledger.url, autocommit=True) as root:
        return root.execute("SELECT week, events FROM archive_manifest ORDER BY week").fetchall()


def hot_events(served: Served) -> int:
    with connect(served.ledger.url, autocommit=True) as root:
        row = root.execute("SELECT count(*) AS n FROM workflow_events").fetchone()
    return row["n"] if row else 0


def test_a_clean_up_while_another_is_under_way_is_a_conflict(
    service: httpx2.Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger_pipeline.cold.roll.LOCK_WAIT_SECONDS", 0.2)
    with connect(served.ledger.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(19524, 2003)")
        status, code, message = error_of(service.post(WORKFLOW, json={"action": "cleanup", "daysToKeep": 14}))
    assert (status, code) == (409, "held")
    assert message.startswith("another roll is under way in session")
    assert rolled(served) == []


def test_of_two_clean_ups_at_once_the_second_is_told_so_at_once(
    service: httpx2.Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger_pipeline.cold.roll.LOCK_WAIT_SECONDS", 4)
    asked = {"action": "cleanup", "daysToKeep": 14}
    with connect(served.ledger.url, autocommit=True) as other, ThreadPoolExecutor(8) as pool:
        other.execute("SELECT pg_advisory_lock(19524, 2003)")
        found = sorted(error_of(reply) for reply in pool.map(lambda _: service.post(WORKFLOW, json=asked), range(8)))
    assert [error[:2] for error in found] == [(409, "held")] * 8
    assert [error[2].startswith("another clean-up is under way in this API") for error in found] == [True] * 7 + [False]
    assert service.get("/api/health").status_code == 200


def test_a_clean_up_rolls_what_is_older_prunes_what_the_marts_hold_and_loses_nothing(
    service: httpx2.Client, served: Served
) -> None:
    before = served.ledger.queries.executions(page_size=500).items
    events, hot = served.ledger.queries.audit(page_size=500).items, hot_events(served)

    first = service.post(WORKFLOW, data={"action": "cleanup", "daysToKeep": "14"}).json()
    assert first["days_to_keep"] == 14
    assert first["pruned"] is None
    assert first["not_pruned"].startswith("there are no marts")
    assert [(week["week"], week["events"]) for week in first["rolled"]] == [
        (str(row["week"]), row["events"]) for row in rolled(served)
    ]
    assert len(first["rolled"]) >= 3
    assert hot_events(served) == hot - sum(week["events"] for week in first["rolled"])

    served.ledger.build_marts(NOW)
    second = service.post(WORKFLOW, json={"action": "cleanup", "daysToKeep": 14}).json()
    assert (second["rolled"], second["not_pruned"]) == ([], None)
    assert second["pruned"]["executions"] > 0
    assert served.ledger.verify().ok
    assert served.ledger.queries.executions(page_size=500).items == before
    assert served.ledger.queries.audit(page_size=500).items == events


def test_days_that_are_left_out_are_the_setting(service: httpx2.Client) -> None:
    assert service.post(WORKFLOW, json={"action": "cleanup"}).json()["days_to_keep"] == 90


# Migration --------------------------------------------------------------------------------------------------------


def test_the_migration_is_run_and_verified(empty_database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(empty_database_url))
    with (
        Ledger.open(settings, bring_up_to_date=False) as ledger,
        serving(ledger, settings.api_tokens) as api,
    ):
        service = api.holder("service")
        assert service.head(TABLES).status_code == 200
        before = service.post(TABLES).json()
        assert (before["revision"], before["expected_revision"], before["up_to_date"]) == (None, REVISION, False)
        assert "holds no ledger yet" in before["problem"]
        assert error_of(service.get(WORKFLOW, params={"type": "executions"}))[:2] == (503, "schema_mismatch")
        assert error_of(service.get("/api/health"))[:2] == (503, "schema_mismatch")

        done = {"revision": REVISION, "expected_revision": REVISION, "up_to_date": True, "problem": None}
        for method in ("GET", "POST", "GET"):
            assert service.request(method, TABLES).json() == done
        assert service.get(WORKFLOW, params={"type": "executions"}).json() == {"items": [], "next_cursor": None}
        assert error_of(service.get(f"{TABLES}?to=base"))[:2] == (400, "invalid_filter")


def test_a_login_that_owns_no_table_migrates_none(
    server_url: str, empty_database_url: str, template_database: str, tmp_path: Path
) -> None:
    assert template_database  # which has made the roles
    with logins_of(server_url) as logins:
        name = logins.make("service")
        url = make_conninfo(empty_database_url, user=name, password=logins.passwords[name])
        settings = Settings(home=tmp_path, database_url=SecretStr(url))
        with (
            Ledger.open(settings, bring_up_to_date=False) as ledger,
            serving(ledger, settings.api_tokens) as api,
        ):
            service = api.holder("service")
            assert error_of(service.get(TABLES))[:2] == (403, "permission_denied")
            assert json.loads(service.post(TABLES).text)["up_to_date"] is False
