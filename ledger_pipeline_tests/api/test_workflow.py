"""`GET /api/workflow`: each type answers what `Queries` answers, and what is wrong is refused by its name."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import simplejson
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.api.answers import ANSWERS
from ledger_pipeline.api.listening import is_loopback, listening
from ledger_pipeline.api.replies import STATUS
from ledger_pipeline.hot.database import connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.api.serving import Served, error_of, plain, serving

pytestmark = pytest.mark.mission("C4")

NOW = datetime(2026, 11, 20, tzinfo=UTC)
WORKFLOW = "/api/workflow"
LISTS = sorted(set(ANSWERS) - {"execution", "artifacts", "stats"})


@pytest.fixture(scope="module")
def served(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API on a ledger with some days of traffic, the oldest weeks rolled, the seeded scenarios, and its marts."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=SecretStr(module_ledger_url), hot_days=14)
    with Ledger.open(settings) as ledger:
        ledger.seed(NOW)
        ledger.simulate(40, 30, 7, NOW)
        ledger.roll(NOW)
        ledger.build_marts(NOW)
        with serving(ledger, settings.api_tokens) as api:
            yield api


# Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_what_queries_answers(served: Served, service: httpx2.Client, kind: str) -> None:
    reply = service.get(WORKFLOW, params={"type": kind, "pageSize": 9})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    expected = plain(getattr(served.ledger.queries, ANSWERS[kind].method)(page_size=9))
    assert reply.json() == expected
    assert expected["items"]


@pytest.mark.parametrize("kind", LISTS)
def test_pages_follow_each_other_to_the_end(served: Served, service: httpx2.Client, kind: str) -> None:
    found, cursor = list[Any](), None
    for size in (3, *[200] * 50):
        given = {"type": kind, "page_size": size} | ({"cursor": cursor} if cursor else {})
        page = service.get(WORKFLOW, params=given).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    expected, more = list[Any](), None
    while True:
        answer = getattr(served.ledger.queries, ANSWERS[kind].method)(page_size=500, cursor=more)
        expected += plain(answer)["items"]
        more = answer.next_cursor
        if more is None:
            break
    assert found == expected


def test_an_execution_and_its_artifacts_are_what_queries_answers(served: Served, service: httpx2.Client) -> None:
    queries = served.ledger.queries
    for execution in [one.execution_id for one in queries.executions(page_size=500).items][::6]:
        asked = {"executionId": str(execution)}
        assert service.get(WORKFLOW, params={"type": "execution"} | asked).json() == plain(queries.execution(execution))
        artifacts = service.get(WORKFLOW, params={"type": "artifacts"} | asked)
        assert artifacts.json() == plain(queries.artifacts(execution))
        audit = service.get(WORKFLOW, params={"type": "audit"} | asked)
        assert audit.json() == plain(queries.audit(execution=execution))


def test_statistics_are_of_the_user_who_is_named(served: Served, service: httpx2.Client) -> None:
    user = next(one.user_id for one in served.ledger.queries.executions().items if one.user_id)
    found = service.get(WORKFLOW, params={"type": "stats", "userId": str(user)}).json()
    assert found == plain(served.ledger.queries.statistics(user))
    assert found["total_executions"] > 0
    assert service.get(WORKFLOW, params={"type": "stats", "user": str(uuid4())}).json()["total_executions"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "executions", "status": "failed", "startedFrom": "2026-11-01T00:00:00Z"},
        {"type": "executions", "workflow_name": "nightly", "mode": "batch"},
        {"type": "audit", "eventType": "StepCompleted", "occurred_to": "2026-11-10T00:00:00+00:00"},
        {"type": "billing", "period": "2026-11"},
        {"type": "cost-by-mode", "month": "2026-11"},
        {"type": "metrics", "metricType": "cost", "aggregationPeriod": "month", "dimension": "all"},
    ],
)
def test_filters_have_their_own_names_and_camel_case(
    served: Served, service: httpx2.Client, asked: dict[str, str]
) -> None:
    answer = ANSWERS[asked["type"]]
    filters = {answer.spellings[name]: value for name, value in asked.items() if name != "type"}
    expected = getattr(served.ledger.queries, answer.method)(**filters)
    reply = service.get(WORKFLOW, params=asked)
    assert reply.status_code == 200, reply.text
    assert reply.json() == plain(expected)


def test_each_spelling_of_a_user_means_the_same(served: Served, service: httpx2.Client) -> None:
    user = next(one.user_id for one in served.ledger.queries.executions().items if one.user_id)
    found = {
        service.get(WORKFLOW, params={"type": "executions", name: str(user)}).text
        for name in ("user", "user_id", "userId")
    }
    assert len(found) == 1
    assert str(user) in found.pop()


def test_numbers_of_free_json_keep_every_digit(served: Served, service: httpx2.Client) -> None:
    execution, digits = uuid4(), "0.1000000000000000055511151231257827"
    parameters = simplejson.loads(f'{{"share": {digits}}}', use_decimal=True)
    created = events.WorkflowCreated(occurred_at=NOW, workflow_name="exact", parameters=parameters)
    served.ledger.append(execution, [created])
    reply = service.get(WORKFLOW, params={"type": "execution", "executionId": str(execution)})
    assert digits in reply.text


# Refusals ---------------------------------------------------------------------------------------------------------

ANY = str(UUID(int=7))
WRONG: dict[str, tuple[str, str, str]] = {
    "no type": ("", "filter", "type: is given 0 times; allowed: one of executions"),
    "an empty type": ("type=", "filter", "type: is ''; allowed: one of"),
    "an unknown type": ("type=secrets", "filter", "type: is 'secrets'; allowed: one of"),
    "two types": ("type=executions&type=audit", "filter", "type: is given 2 times"),
    "an unknown name": ("type=executions&color=red", "filter", "'color': not a parameter of type=executions; allowed"),
    "another type's filter": ("type=audit&mode=x", "filter", "'mode': not a parameter of type=audit"),
    "a page of no list": ("type=stats&cursor=x", "filter", "'cursor': not a parameter of type=stats"),
    "a repeated one": ("type=executions&mode=a&mode=b", "filter", "mode: is given more than once"),
    "two spellings": (f"type=executions&user={ANY}&userId={ANY}", "filter", "userId: is given more than once"),
    "no id": ("type=executions&user=me", "filter", "user: Input should be a valid UUID"),
    "no status": ("type=executions&status=done", "filter", "status: Input should be 'pending', "),
    "an empty status": ("type=executions&status=", "filter", "status: "),
    "a NUL": ("type=executions&mode=%00", "filter", "mode: Value error, must be printable text"),
    "no zone": ("type=executions&startedFrom=2026-11-01T00:00:00", "filter", "started_from: "),
    "no month": ("type=billing&period=2026-13", "filter", "period: "),
    "no execution": ("type=execution", "identifier", "execution_id: is missing; allowed: a UUID"),
    "no id of one": ("type=execution&executionId=7", "identifier", "execution_id: '7' is not a UUID"),
    "artifacts of nothing": ("type=artifacts", "identifier", "execution_id: is missing"),
    "statistics of nobody": ("type=stats", "identifier", "user_id: is missing"),
    "no items": ("type=audit&pageSize=0", "page_size", "page_size: must be a whole number from 1 to 500"),
    "too many items": ("type=audit&pageSize=501", "page_size", "page_size: must be a whole number"),
    "no number": ("type=audit&pageSize=many", "page_size", "page_size: must be a whole number from 1 to 500, got"),
    "a huge number": (f"type=audit&pageSize={'9' * 5000}", "page_size", "page_size: must be a whole number"),
    "no cursor": ("type=audit&cursor=x", "cursor", "cursor: 'x' is none of this ledger's"),
    "an empty cursor": ("type=audit&cursor=", "cursor", "cursor: "),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_by_its_name(service: httpx2.Client, what: str) -> None:
    query, code, message = WRONG[what]
    found = error_of(service.get(f"{WORKFLOW}?{query}"))
    assert found[:2] == (400, f"invalid_{code}")
    assert found[2].startswith(message)


def test_a_cursor_of_another_answer_is_refused(service: httpx2.Client) -> None:
    cursor = service.get(WORKFLOW, params={"type": "audit", "pageSize": 1}).json()["next_cursor"]
    reply = service.get(WORKFLOW, params={"type": "executions", "cursor": cursor})
    assert error_of(reply)[:2] == (400, "invalid_cursor")


def test_an_unknown_execution_is_not_found(service: httpx2.Client) -> None:
    reply = service.get(WORKFLOW, params={"type": "execution", "executionId": ANY})
    assert error_of(reply) == (404, "not_found", f"workflow execution {ANY} does not exist")


@pytest.mark.parametrize("path", ["/", "/api", "/api/workflow/", "/api/Workflow", "/api/workflow/x", "/%2e%2e"])
def test_an_unknown_path_is_not_found(service: httpx2.Client, path: str) -> None:
    assert error_of(service.get(path))[:2] == (404, "not_found")


@pytest.mark.parametrize("path", [WORKFLOW, "/api/setup/workflow-tables", "/api/health"])
def test_another_method_is_refused_with_those_there_are(service: httpx2.Client, path: str) -> None:
    reply = service.delete(path)
    assert error_of(reply)[:2] == (405, "method_not_allowed")
    assert "GET" in reply.headers["allow"]


def test_health_takes_nothing_and_tells_nothing_but_that_the_ledger_answers(service: httpx2.Client) -> None:
    assert service.get("/api/health").json() == {"status": "ok"}
    assert error_of(service.get("/api/health?verbose=1"))[:2] == (400, "invalid_filter")


def test_what_nobody_expected_is_told_without_internals(
    served: Served, service: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr("ledger_pipeline.queries.answers.Queries.errors", broken)
    reply = service.get(WORKFLOW, params={"type": "errors"})
    assert error_of(reply)[:2] == (500, "internal_error")
    assert "internals" not in reply.text


def test_a_ledger_that_cannot_be_reached_is_unavailable_and_users_are_not_told_where_it_is(
    served: Served, service: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = served.holder("far", uuid4())
    monkeypatch.setattr(served.ledger, "url", "postgresql://someone:hunter2@127.0.0.1:1/ledger")
    found = error_of(service.get(WORKFLOW, params={"type": "errors"}))
    assert found[:2] == (503, "server_unavailable")
    assert "cannot connect" in found[2]
    assert "hunter2" not in found[2]
    told = error_of(user.get(WORKFLOW, params={"type": "errors"}))
    assert told[:2] == (503, "server_unavailable")
    assert "127.0.0.1" not in told[2]


def test_every_kind_of_error_has_a_status() -> None:
    assert set(STATUS.values()) == {400, 403, 404, 409, 410, 500, 503}


# Who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer ledger_wrong"},
        {"Authorization": "Basic bGVkZ2VyOng="},
        {"Authorization": "Token ledger_wrong"},
        [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{WORKFLOW}?type=executions"),
        ("POST", WORKFLOW),
        ("GET", "/api/setup/workflow-tables"),
        ("GET", "/api/health"),
        ("GET", "/nowhere"),
        ("DELETE", WORKFLOW),
    ],
)
def test_without_a_token_nothing_else_is_looked_at(served: Served, headers: Any, method: str, path: str) -> None:
    reply = served.client(None).request(method, path, headers=headers)
    assert error_of(reply)[:2] == (401, "unauthenticated")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.headers["cache-control"] == "no-store"


def test_two_tokens_at_once_are_none(served: Served) -> None:
    token = served.tokens.add("twice", None, datetime.now(UTC))
    both = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert served.client(None).get("/api/health", headers=both).status_code == 401


def test_tokens_come_go_and_expire_while_the_api_runs(served: Served) -> None:
    coming = served.holder("coming")
    assert coming.get("/api/health").status_code == 200
    served.tokens.remove("coming")
    assert coming.get("/api/health").status_code == 401

    ending = served.holder("ending", expires=datetime.now(UTC) + timedelta(seconds=1.5))
    assert ending.get("/api/health").status_code == 200
    time.sleep(1.6)
    assert ending.get("/api/health").status_code == 401


def test_when_others_may_read_the_file_no_token_counts(served: Served, service: httpx2.Client) -> None:
    served.tokens_path.chmod(0o644)
    try:
        assert service.get("/api/health").status_code == 401
    finally:
        served.tokens_path.chmod(0o600)
    assert service.get("/api/health").status_code == 200


def test_the_log_names_the_token_and_never_holds_it(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    token = served.tokens.add("logged", None, datetime.now(UTC))
    with caplog.at_level("INFO"):
        served.client(token).get(f"{WORKFLOW}?type=errors&cursor={token}")
        served.client(None).get(f"/x%0aINFO?access_token={token}")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("ledger_pipeline.api")]
    assert [line.partition(":")[0] for line in lines] == ["GET /api/workflow", "GET /x%0aINFO"]
    assert lines[0].endswith(", logged")
    assert lines[1].endswith(", nobody")
    assert token not in "".join(lines)


def test_a_session_leaves_no_connection_behind(served: Served, service: httpx2.Client) -> None:
    for _ in range(5):
        service.get(WORKFLOW, params={"type": "executions"})
    with connect(served.ledger.url, autocommit=True) as root:
        row = root.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = 'ledger-pipeline'"
        ).fetchone()
    assert row is not None
    assert row["n"] <= 2  # the ledger's own


def test_the_api_listens_on_loopback_unless_told_otherwise() -> None:
    for host, own in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        with listening(host, 0) as listener:
            assert is_loopback(listener) is own
