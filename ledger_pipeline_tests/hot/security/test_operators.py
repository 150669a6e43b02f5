"""Who did what an event tells can't be made up by whoever acts for one user."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.two_drives import NOW, beginning

pytestmark = [pytest.mark.mission("E6"), pytest.mark.mission("D5")]

Append = Callable[[Connection, World, events.Event], object]
WAYS: dict[str, Append] = {
    "append": lambda c, w, e: append(c, w.x.execution, [log(), e]),
    "append_many": lambda c, w, e: append_many(
        c, [{**event.to_row(), "execution_id": w.x.execution} for event in (log(), e)]
    ),
}


def log(**fields: Any) -> events.Event:
    return events.LogRecorded(occurred_at=NOW, log_level="info", message="hello", **fields)


def by(id: object, kind: str | None = None) -> events.Event:
    return log(operator_id=str(id), operator_kind=kind)


@pytest.fixture(params=WAYS)
def tell(request: pytest.FixtureRequest) -> Append:
    return WAYS[request.param]


@pytest.mark.parametrize("name", ["application", "mapped"])
@pytest.mark.parametrize("kind", ["user", None])
def test_an_operator_who_is_a_user_is_the_acting_one(world: World, tell: Append, name: str, kind: str | None) -> None:
    connection, own = world.as_[name], world.x.users["read"]
    tell(connection, world, by(own, kind))
    tell(connection, world, log(operator_kind="user"))
    before = connection.execute("SELECT last_sequence FROM execution_heads WHERE id = %s", (world.x.execution,))
    last = before.fetchone()
    others = (world.x.users["administer"], world.y.users["read"], uuid.uuid4(), str(own).upper(), "ann", world.x.agent)
    for other in others:
        with pytest.raises(PermissionDenied) as refused:
            tell(connection, world, by(other, kind))
        assert str(refused.value) == (
            f"operator_id: '{other}' is not the user for whom this session acts;"
            f" allowed: {own}, or another operator_kind"
        )
    after = connection.execute("SELECT last_sequence FROM execution_heads WHERE id = %s", (world.x.execution,))
    assert after.fetchone() == last


@pytest.mark.parametrize("kind", ["agent", "system"])
def test_a_users_id_does_not_pass_for_that_of_an_agent_or_a_system(world: World, tell: Append, kind: str) -> None:
    connection = world.as_["application"]
    for own in (world.x.agent, "coder"):
        tell(connection, world, by(own, kind))
    # Of another drive, of nobody, of the acting user himself: in the same words.
    for other in (
        world.x.users["administer"],
        world.x.users["read"],
        world.y.agent,
        world.y.users["read"],
        uuid.uuid4(),
    ):
        with pytest.raises(PermissionDenied) as refused:
            tell(connection, world, by(other, kind))
        assert str(refused.value) == f"operator_id: there is no agent {other} that you may name"


def test_a_persons_own_login_is_no_system(world: World, tell: Append) -> None:
    tell(world.as_["application"], world, by("scheduler", "system"))
    with pytest.raises(PermissionDenied) as refused:
        tell(world.as_["mapped"], world, by("scheduler", "system"))
    assert str(refused.value) == "operator_kind: system is not for a person's own login; allowed: user, agent"


def test_the_service_tells_of_everybody(world: World, tell: Append) -> None:
    for kind in ("user", "agent", "system", None):
        tell(world.as_["service"], world, by(world.y.users["read"], kind))


def test_an_approval_names_who_decided_it(world: World) -> None:
    connection, own = world.as_["mapped"], world.x.users["read"]
    approval = uuid.uuid4()
    asked = events.ApprovalRequested(occurred_at=NOW, approval_id=approval, approval_subject="spend")
    append(connection, world.x.execution, [asked])

    def decided(by_whom: object, kind: str | None) -> events.Event:
        return events.ApprovalApplied(
            occurred_at=NOW, approval_id=approval, decision="approved", operator_id=str(by_whom), operator_kind=kind
        )

    for kind in ("user", "agent", "system", None):
        with pytest.raises(PermissionDenied):
            append(connection, world.x.execution, [decided(world.x.users["administer"], kind)])
    append(connection, world.x.execution, [decided(own, "user")])
    row = connection.execute("SELECT decided_by FROM workflow_approvals WHERE id = %s", (approval,)).fetchone()
    assert row == {"decided_by": str(own)}


def test_who_triggered_an_execution_is_the_acting_user_or_who_triggered_its_parent(world: World) -> None:
    connection, own = world.as_["mapped"], world.x.users["read"]
    boss = str(world.x.users["administer"])

    def start(on: Connection, **fields: Any) -> UUID:
        execution = uuid.uuid4()
        append(on, execution, beginning(world.x, plan=(), **fields))
        return execution

    start(connection, triggered_by=str(own), triggered_by_kind="user")
    for kind in ("user", "agent", None):
        with pytest.raises(PermissionDenied, match=r"^triggered_by: "):
            start(connection, triggered_by=boss, triggered_by_kind=kind)
    with pytest.raises(PermissionDenied, match=r"^triggered_by_kind: system"):
        start(connection, triggered_by="cron", triggered_by_kind="system")
    parent = start(world.root, triggered_by=boss, triggered_by_kind="user")
    start(connection, triggered_by=boss, triggered_by_kind="user", parent_execution_id=parent)
    with pytest.raises(PermissionDenied, match=r"^triggered_by: "):
        start(connection, triggered_by=boss, parent_execution_id=parent)


@pytest.mark.parametrize("name", ["application", "mapped"])
def test_all_that_a_user_does_goes_on_working_in_his_own_name(world: World, name: str, tmp_path: Path) -> None:
    login = world.as_[name].info.user
    url = make_conninfo(world.url, user=login, password=world.logins.passwords[login])
    own = world.x.users["read"]
    with Ledger.open(Settings(home=tmp_path, database_url=SecretStr(url))) as ledger:
        ledger.act_for(own)
        saving = Settings(home=tmp_path, database_url=SecretStr(as_writer(world)))
        with Ledger.open(saving) as writing:
            called = f"called_{name}"
            asking = {"name": "ask", "tool_name": "ask", "requires_user_input": True}
            linking = {"type": "workflow_link", "workflow_name": called}
            for title, step in ((called, asking), (f"calling_{name}", linking)):
                definition = {"name": title, "is_public": True, "steps": [step]}
                writing.templates.save(definition, drive_id=world.x.drive)
        workflows = ledger.workflows.acting_as(str(own))
        execution = workflows.start(f"calling_{name}", drive_id=world.x.drive).execution_id
        linked = workflows.dispatch(execution)
        assert linked.child_execution_id is not None
        child = linked.child_execution_id
        workflows.request_input(child)
        workflows.receive_input(child, {"answer": 42})
        call = workflows.dispatch(child)
        approval = workflows.request_approval(child, "go on?", call=call.call_id)
        workflows.apply_approval(child, approval, "approved")
        workflows.record_usage(child, "1", "gpt-4o", call=call.call_id, input_tokens=100, output_tokens=1)
        workflows.fail_step(child, call.call_id, "no")
        again = workflows.rerun(child)
        workflows.cancel(again.execution_id)
        for told in (child, again.execution_id):
            assert {row["operator_id"] for row in ledger.events(told)} == {str(own)}
            assert ledger.replay(told).triggered_by == str(own)
        assert ledger.replay(child).approved_by == str(own)
        with pytest.raises(PermissionDenied, match=r"^operator_id: "):
            ledger.workflows.acting_as(str(world.x.users["administer"])).log(execution, "who said that?")


def as_writer(world: World) -> str:
    login = world.as_["writer"].info.user
    return make_conninfo(world.url, user=login, password=world.logins.passwords[login])
