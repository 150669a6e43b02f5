"""Every answer, asked for one user of a drive: of the drive all that the service is told, of another one nothing."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.errors import LedgerError, PermissionDenied
from ledger_pipeline.hot.database import connect
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.hot.security.logins import logins_of
from ledger_pipeline_tests.hot.security.two_drives import DriveStory, grow_old, past, tell

pytestmark = [pytest.mark.mission("C3"), pytest.mark.mission("D5"), pytest.mark.mission("E6"), pytest.mark.slow]

BOUND = ["reader", "application"]
"""Logins that read for one user of drive X: by a login of his own, and by the application's setting."""


@dataclass
class Told:
    """Two drives, each with executions of long ago, of which one may be pruned, and one that runs now."""

    url: str
    x: DriveStory
    y: DriveStory
    of_x: list[UUID]
    of_y: list[UUID]
    ledgers: dict[str, Ledger]

    @property
    def service(self) -> Ledger:
        """The ledger as whoever reads every drive has it."""
        return self.ledgers["service"]


@pytest.fixture(scope="module", params=["hot", "rolled", "pruned"])
def told(request: pytest.FixtureRequest, first: Told) -> Told:
    """The same ledger while everything is hot, once the past was rolled, and once it was pruned."""
    grow_old(first.service, request.param)
    return first


@pytest.fixture(scope="module")
def first(server_url: str, module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A ledger opened by a login of each kind."""
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as resources:
        logins = resources.enter_context(logins_of(server_url))
        names = {kind: logins.make(kind) for kind in (*BOUND, "service")}

        def opened(kind: str) -> Ledger:
            url = make_conninfo(module_ledger_url, user=names[kind], password=logins.passwords[names[kind]])
            settings = Settings(home=home, database_url=SecretStr(url), hot_days=14)
            return resources.enter_context(Ledger.open(settings))

        with connect(module_ledger_url, autocommit=True) as root:
            x, y = tell(root, "alpha-x", {"read": names["reader"]}), tell(root, "omega-y", {})
            of_x, of_y = past(root, x), past(root, y)
            root.execute("ANALYZE")
        ledgers = {kind: opened(kind) for kind in names}
        ledgers["application"].act_for(x.users["write"])
        ledgers["service"].build_marts(datetime.now(UTC))
        yield Told(module_ledger_url, x, y, of_x, of_y, ledgers)


LISTS: dict[str, Callable[[Ledger, Told], Any]] = {
    "executions": lambda ledger, _: ledger.queries.executions().items,
    "executions that failed": lambda ledger, _: ledger.queries.executions(status="failed").items,
    "executions in a page of two": lambda ledger, _: ledger.queries.executions(page_size=2).items,
    "running": lambda ledger, _: ledger.queries.running().items,
    "audit": lambda ledger, _: ledger.queries.audit(page_size=500).items,
    "errors": lambda ledger, _: ledger.queries.errors().items,
}
OF_AN_EXECUTION: dict[str, Callable[[Ledger, UUID], Any]] = {
    "execution": lambda ledger, id: ledger.queries.execution(id),
    "artifacts": lambda ledger, id: ledger.queries.artifacts(id),
    "audit": lambda ledger, id: ledger.queries.audit(execution=id),
    "events": lambda ledger, id: list(ledger.events(id)),
    "replay": lambda ledger, id: ledger.replay(id),
    "replay as of an event": lambda ledger, id: ledger.replay(id, as_of=3),
    "replay as known": lambda ledger, id: ledger.replay(id, known_at=datetime.now(UTC)),
}


@pytest.mark.parametrize("answer", OF_AN_EXECUTION)
@pytest.mark.parametrize("login", BOUND)
def test_an_execution_of_ones_drive_is_told_as_the_service_is_told_it(told: Told, login: str, answer: str) -> None:
    ask = OF_AN_EXECUTION[answer]
    for execution in told.of_x:
        assert ask(told.ledgers[login], execution) == ask(told.service, execution)


@pytest.mark.parametrize("answer", OF_AN_EXECUTION)
@pytest.mark.parametrize("login", BOUND)
def test_an_execution_of_another_drive_is_as_one_that_does_not_exist(told: Told, login: str, answer: str) -> None:
    ledger, ask = told.ledgers[login], OF_AN_EXECUTION[answer]
    for execution in told.of_y:
        assert ask(told.service, execution)
        assert words(partial(ask, ledger), execution) == words(partial(ask, ledger), uuid.uuid4())


def words(ask: Callable[[UUID], Any], execution: UUID) -> tuple[type[LedgerError], str]:
    """The kind and message of a refusal, without the id that was asked for."""
    with pytest.raises(LedgerError) as refused:
        ask(execution)
    return type(refused.value), str(refused.value).replace(str(execution), "ID")


@pytest.mark.parametrize("answer", ["executions", "executions that failed", "running", "audit", "errors"])
@pytest.mark.parametrize("login", BOUND)
def test_a_list_has_all_of_ones_drive_and_nothing_else(told: Told, login: str, answer: str) -> None:
    every = LISTS[answer](told.service, told)
    own = [item for item in every if told.x.mark in str(item)]
    assert len(own) in range(1, len(every))
    assert list(LISTS[answer](told.ledgers[login], told)) == own


@pytest.mark.parametrize("login", BOUND)
def test_pages_hold_what_ones_drive_has(told: Told, login: str) -> None:
    queries = told.ledgers[login].queries
    first = queries.executions(page_size=2)
    second = queries.executions(page_size=2, cursor=first.next_cursor)
    found = [one.execution_id for one in (*first.items, *second.items)]
    assert (len(first.items), sorted(found), second.next_cursor) == (2, sorted(told.of_x), None)
    audited, cursor = list[Any](), None
    while True:
        page = queries.audit(page_size=4, cursor=cursor)
        audited += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert audited == list(queries.audit(page_size=500).items)


@pytest.mark.parametrize("login", BOUND)
def test_statistics_are_of_ones_drive(told: Told, login: str) -> None:
    queries = told.ledgers[login].queries
    own = queries.statistics(told.x.users["read"])
    assert own == told.service.queries.statistics(told.x.users["read"])
    assert (own.total_executions, own.failed_executions, own.total_cost) == (3, 2, Decimal("0.75"))
    other, unknown = queries.statistics(told.y.users["read"]), queries.statistics(uuid.uuid4())
    assert vars(other) | {"user_id": None} == vars(unknown) | {"user_id": None}


@pytest.mark.parametrize("answer", ["cost_by_mode", "billing", "metrics"])
@pytest.mark.parametrize("login", BOUND)
def test_what_is_summed_over_every_drive_is_refused_by_name(told: Told, login: str, answer: str) -> None:
    with pytest.raises(PermissionDenied, match=r"is summed over every drive.*ask the service"):
        getattr(told.ledgers[login].queries, answer)()
    assert getattr(told.service.queries, answer)()


@pytest.mark.parametrize("login", BOUND)
def test_what_covers_the_whole_ledger_is_refused_and_never_answered_in_part(
    told: Told, login: str, tmp_path: Path
) -> None:
    ledger = told.ledgers[login]
    with pytest.raises(PermissionDenied):
        ledger.verify()
    with connect(told.url) as root:
        rolled = root.execute("SELECT FROM archive_manifest").rowcount
    if rolled:
        with pytest.raises(PermissionDenied, match="has no permissions by drive: ask the service"), \
                (tmp_path / "out").open("wb") as out:  # fmt: skip
            ledger.export_jsonl(out)


@pytest.mark.parametrize("login", BOUND)
def test_files_are_named_for_executions_that_one_may_read(told: Told, login: str) -> None:
    asked = "SELECT week, files::text FROM cold_files(NULL, NULL, %s)"
    connection = told.ledgers[login].connection
    for own, other in zip(told.of_x[:2], told.of_y[:2], strict=True):
        assert connection.execute(asked, (own,)).fetchall() == told.service.connection.execute(asked, (own,)).fetchall()
        assert connection.execute(asked, (other,)).fetchall() == []
    shown = connection.execute("SELECT files::text AS files FROM cold_files(NULL, NULL)").fetchall()
    assert not [row for row in shown if "execution" in row["files"] or "events" in row["files"]]


def test_a_login_that_acts_for_nobody_is_told_of_no_execution(told: Told) -> None:
    ledger = told.ledgers["application"]
    ledger.act_for(None)
    try:
        assert ledger.queries.executions().items == ledger.queries.audit().items == ledger.queries.errors().items == ()
        refusals = {words(partial(OF_AN_EXECUTION["events"], ledger), id) for id in (*told.of_x, uuid.uuid4())}
        assert len(refusals) == 1
    finally:
        ledger.act_for(told.x.users["write"])
