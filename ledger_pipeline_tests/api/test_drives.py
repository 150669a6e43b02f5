"""A user's token is told all of his drives and nothing of others, hot, rolled and pruned, whatever login serves it."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.hot.database import connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.api.serving import Served, plain, serving
from ledger_pipeline_tests.hot.security.logins import logins_of
from ledger_pipeline_tests.hot.security.two_drives import DriveStory, grow_old, past, tell

pytestmark = [
    pytest.mark.mission("C4"),
    pytest.mark.mission("D5"),
    pytest.mark.mission("E6"),
    pytest.mark.slow,
]

WORKFLOW = "/api/workflow"
WAYS = ["superuser", "application"]
"""Logins that serve users' tokens: the embedded server's, and the application's."""
LISTS = ["executions", "running", "audit", "errors"]


@dataclass
class World:
    """Two drives, and the API of a login of each kind; `of_x` asks with a token of a user of drive X."""

    x: DriveStory
    y: DriveStory
    ids_of_x: list[UUID]
    ids_of_y: list[UUID]
    apis: dict[str, Served]
    of_x: dict[str, httpx2.Client]
    of_y: dict[str, httpx2.Client]

    @property
    def service(self) -> Ledger:
        """The ledger as whoever reads every drive has it."""
        return self.apis["service"].ledger

    def tells_nothing_of_y(self, reply: httpx2.Response) -> bool:
        """Whether neither the mark nor an id of drive Y stands in a reply."""
        return not [told for told in (self.y.mark, *self.y.ids, *self.ids_of_y) if str(told) in reply.text]


@pytest.fixture(scope="module")
def first(server_url: str, module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything is hot."""
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as resources:
        logins = resources.enter_context(logins_of(server_url))
        names = {kind: logins.make(kind) for kind in ("application", "service", "reader", "archiver")}
        names["mapped"] = logins.make("application")
        urls = {
            kind: make_conninfo(module_ledger_url, user=name, password=logins.passwords[name])
            for kind, name in names.items()
        }

        def served(kind: str, url: str) -> Served:
            settings = Settings(home=home, database_url=SecretStr(url), hot_days=14)
            ledger = resources.enter_context(Ledger.open(settings))
            return resources.enter_context(serving(ledger, home / "keys" / f"{kind}.json"))

        with connect(module_ledger_url, autocommit=True) as root:
            x = tell(root, "alpha-x", {"read": names["reader"], "administer": names["mapped"]})
            y = tell(root, "omega-y", {})
            ids_of_x, ids_of_y = past(root, x), past(root, y)
            root.execute("ANALYZE")
        apis = {kind: served(kind, url) for kind, url in ({"superuser": module_ledger_url} | urls).items()}
        apis["service"].ledger.build_marts(datetime.now(UTC))
        of_x = {kind: api.holder("x", x.users["write"]) for kind, api in apis.items()}
        of_y = {kind: api.holder("y", y.users["read"]) for kind, api in apis.items()}
        yield World(x, y, ids_of_x, ids_of_y, apis, of_x, of_y)


@pytest.fixture(scope="module", params=["hot", "rolled", "pruned"])
def world(request: pytest.FixtureRequest, first: World) -> World:
    """The same while everything is hot, once the past was rolled, and once it was pruned."""
    grow_old(first.service, request.param)
    return first


def every(client: httpx2.Client, kind: str, page_size: int = 500) -> list[Any]:
    items, cursor = list[Any](), None
    while True:
        asked = {"type": kind, "pageSize": page_size} | ({"cursor": cursor} if cursor else {})
        page = client.get(WORKFLOW, params=asked).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_list_has_all_of_ones_drives_and_nothing_else(world: World, way: str, kind: str) -> None:
    told = plain(getattr(world.service.queries, kind)(page_size=500).items)
    for story, asks in ((world.x, world.of_x), (world.y, world.of_y)):
        own = [item for item in told if story.mark in json.dumps(item)]
        assert len(own) in range(1, len(told))
        assert every(asks[way], kind) == own
    assert world.tells_nothing_of_y(world.of_x[way].get(WORKFLOW, params={"type": kind, "pageSize": 500}))


@pytest.mark.parametrize("way", WAYS)
def test_pages_hold_what_ones_drives_have(world: World, way: str) -> None:
    found = [item["execution_id"] for item in every(world.of_x[way], "executions", page_size=1)]
    assert sorted(found) == sorted(map(str, world.ids_of_x))
    assert every(world.of_x[way], "audit", page_size=2) == every(world.of_x[way], "audit")


@pytest.mark.parametrize("kind", ["execution", "artifacts", "audit"])
@pytest.mark.parametrize("way", WAYS)
def test_an_execution_is_told_to_its_drives_members_alone(world: World, way: str, kind: str) -> None:
    method = getattr(world.service.queries, kind)
    ask = (lambda id: method(execution=id)) if kind == "audit" else method
    for execution in world.ids_of_x:
        reply = world.of_x[way].get(WORKFLOW, params={"type": kind, "executionId": str(execution)})
        assert reply.json() == plain(ask(execution))
        assert world.tells_nothing_of_y(reply)
    for execution in world.ids_of_y:
        unlike = uuid.uuid4()
        asked = [{"type": kind, "executionId": str(id)} for id in (execution, unlike)]
        other, unknown = (world.of_x[way].get(WORKFLOW, params=params) for params in asked)
        assert other.status_code == unknown.status_code == 404
        assert other.text.replace(str(execution), "ID") == unknown.text.replace(str(unlike), "ID")


@pytest.mark.parametrize("filters", [{"drive": "drive"}, {"customerId": "customer"}, {"agent": "agent"}])
@pytest.mark.parametrize("way", WAYS)
def test_filters_that_name_another_drive_find_nothing(world: World, way: str, filters: dict[str, str]) -> None:
    asked = {name: str(getattr(world.y, value)) for name, value in filters.items()}
    reply = world.of_x[way].get(WORKFLOW, params={"type": "executions"} | asked)
    assert reply.json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("way", WAYS)
def test_statistics_are_of_ones_drives_and_of_oneself_by_default(world: World, way: str) -> None:
    of_x = world.of_x[way]
    reader, other = world.x.users["read"], world.y.users["read"]
    own = of_x.get(WORKFLOW, params={"type": "stats", "userId": str(reader)}).json()
    assert own == plain(world.service.queries.statistics(reader))
    assert own["total_executions"] == 3
    foreign = of_x.get(WORKFLOW, params={"type": "stats", "userId": str(other)}).json()
    assert foreign["total_executions"] == foreign["total_tokens"] == foreign["total_audit_logs"] == 0
    assert of_x.get(WORKFLOW, params={"type": "stats"}).json()["user_id"] == str(world.x.users["write"])


@pytest.mark.parametrize("kind", ["cost-by-mode", "billing", "metrics"])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_summed_over_every_drive_is_refused(world: World, way: str, kind: str) -> None:
    reply = world.of_x[way].get(WORKFLOW, params={"type": kind})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "permission_denied")
    assert "is summed over every drive" in reply.text


@pytest.mark.parametrize("way", WAYS)
def test_twenty_requests_at_once_of_two_users_are_each_answered_for_their_own(world: World, way: str) -> None:
    alone = {mark: every(asks[way], "audit") for mark, asks in ((world.x.mark, world.of_x), (world.y.mark, world.of_y))}

    def one(number: int) -> bool:
        mark, asks = (world.x.mark, world.of_x) if number % 2 else (world.y.mark, world.of_y)
        return every(asks[way], "audit") == alone[mark]

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(one, range(20)))


# Who may not ask --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_user_neither_cleans_up_nor_migrates(first: World, way: str) -> None:
    asks = first.of_x[way]
    replies = [
        asks.post(WORKFLOW, json={"action": "cleanup", "daysToKeep": 0}),
        asks.get("/api/setup/workflow-tables"),
        asks.post("/api/setup/workflow-tables"),
    ]
    assert {(reply.status_code, reply.json()["error"]["code"]) for reply in replies} == {(403, "permission_denied")}
    assert all("for tokens of the service" in reply.text for reply in replies)


@pytest.mark.parametrize("way", WAYS)
def test_a_token_of_a_user_who_is_not_there_is_refused(first: World, way: str) -> None:
    asks = first.apis[way].holder("ghost", uuid.uuid4())
    for kind in LISTS:
        reply = asks.get(WORKFLOW, params={"type": kind})
        assert reply.status_code == 403
        assert "token ghost: its user" in reply.text


@pytest.mark.parametrize("login", ["service", "archiver", "reader", "mapped"])
@pytest.mark.parametrize("kind", LISTS)
def test_a_login_that_can_be_held_to_no_user_serves_no_users_token(first: World, login: str, kind: str) -> None:
    reply = first.of_x[login].get(WORKFLOW, params={"type": kind})
    assert reply.status_code == 403
    assert "serve it with a login of ledger_application that is mapped to no user" in reply.text


@pytest.mark.parametrize("login", ["application", "reader", "mapped"])
def test_a_login_that_reads_for_one_user_serves_no_service_token(first: World, login: str) -> None:
    asks = first.apis[login].holder("job")
    replies = [
        *(asks.get(WORKFLOW, params={"type": kind}) for kind in (*LISTS, "billing")),
        asks.post(WORKFLOW, data={"action": "cleanup"}),
    ]
    assert {reply.status_code for reply in replies} == {403}
    assert all("serve it with a login of ledger_service" in reply.text for reply in replies)


@pytest.mark.parametrize("login", ["superuser", "service", "archiver"])
def test_a_service_token_is_told_of_every_drive(first: World, login: str) -> None:
    found = every(first.apis[login].holder("job"), "executions")
    assert {item["execution_id"] for item in found} >= {str(id) for id in (*first.ids_of_x, *first.ids_of_y)}
