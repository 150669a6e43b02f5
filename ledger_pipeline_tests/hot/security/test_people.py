"""Customers, users, agents and drives from Python, by whom they may be made, and what an agent is doing."""

import uuid
from collections.abc import Callable
from datetime import UTC, timedelta

import pytest

from ledger_pipeline import events
from ledger_pipeline.errors import InvalidInput, NotFound, PermissionDenied
from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.members import DriveAccess, members, remove_member, set_member
from ledger_pipeline.hot.people import (
    Agent,
    Customer,
    Drive,
    User,
    create_agent,
    create_customer,
    create_drive,
    create_user,
    delete,
    get,
    list_rows,
)
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.two_drives import NOW


@pytest.mark.mission("B3")
def test_each_kind_is_made_looked_up_listed_and_deleted(world: World) -> None:
    made = [
        create_customer(world.root, "c", contact={"mail": "c@example.org"}),
        create_user(world.root, "u", email="u@example.org", metadata={"team": 1}),
        create_agent(world.root, "a", kind="coder"),
        create_drive(world.root, "d", description="where"),
    ]
    for of, row in zip((Customer, User, Agent, Drive), made, strict=True):
        assert get(world.root, of, row.id) == row
        assert row in list_rows(world.root, of, limit=1000)
        assert list_rows(world.root, of, after=row.id) == []
        delete(world.root, of, row.id)
        with pytest.raises(NotFound):
            get(world.root, of, row.id)


def test_names_and_page_sizes_are_checked(world: World) -> None:
    with pytest.raises(InvalidInput, match="name: is empty"):
        create_drive(world.root, "  ")
    for limit in (0, 1001):
        with pytest.raises(InvalidInput, match="limit: must be a whole number from 1 to 1000"):
            list_rows(world.root, User, limit=limit)


def test_a_change_moves_updated_at(world: World) -> None:
    made = create_agent(world.root, "before")
    world.root.execute("UPDATE agents SET name = 'after' WHERE id = %s", (made.id,))
    assert get(world.root, Agent, made.id).updated_at > made.updated_at


@pytest.mark.mission("D5")
def test_a_drive_is_its_creators(world: World, fresh: Callable[[str], Connection]) -> None:
    connection = fresh("application")
    with pytest.raises(PermissionDenied, match="this session acts for no user"):
        create_drive(connection, "nobody's")
    act_for(connection, world.x.users["read"])
    drive = create_drive(connection, "mine")
    assert [(m.user_id, m.access) for m in members(connection, drive.id)] == [
        (world.x.users["read"], DriveAccess.ADMINISTER)
    ]
    agent = create_agent(connection, "my agent", drive_id=drive.id)
    customer = create_customer(connection, "my customer", drive_id=drive.id)
    assert get(connection, Agent, agent.id) == agent
    act_for(connection, world.x.users["write"])
    for of, row in ((Agent, agent), (Customer, customer), (Drive, drive)):
        with pytest.raises(NotFound):
            get(connection, of, row.id)


@pytest.mark.mission("D5")
def test_administrators_alone_change_members(world: World) -> None:
    colleague = world.x.users["read"]
    with pytest.raises(PermissionDenied):
        set_member(world.as_["writer"], world.x.drive, colleague, DriveAccess.ADMINISTER)
    with pytest.raises(NotFound, match="no member"):
        remove_member(world.as_["writer"], world.x.drive, colleague)
    set_member(world.as_["administrator"], world.x.drive, colleague, DriveAccess.WRITE)
    set_member(world.as_["administrator"], world.x.drive, colleague, DriveAccess.READ)


@pytest.mark.mission("D5")
def test_templates_are_made_by_writers(world: World) -> None:
    statement = (
        "INSERT INTO workflow_templates (drive_id, name, version, current_version, status, created_by)"
        " VALUES (%s, %s, '1', 1, 'draft', acting_user()) RETURNING id"
    )
    for name, allowed in (("mapped", False), ("writer", True), ("administrator", True)):
        given = (world.x.drive, f"t_{uuid.uuid4().hex[:8]}")
        if allowed:
            assert world.as_[name].execute(statement, given).rowcount == 1
        else:
            with pytest.raises(Exception, match="row-level security"):
                world.as_[name].execute(statement, given)


@pytest.mark.mission("D5")
def test_a_template_in_anothers_name_is_refused(world: World) -> None:
    with pytest.raises(Exception, match="row-level security"):
        world.as_["administrator"].execute(
            "INSERT INTO workflow_templates (drive_id, name, version, current_version, status, created_by)"
            " VALUES (%s, 'forged', '1', 1, 'draft', %s)",
            (world.x.drive, world.x.users["write"]),
        )


@pytest.mark.mission("D5")
def test_people_and_drives_are_deleted_by_the_service_alone(world: World) -> None:
    ids = {Customer: world.x.customer, User: world.x.users["read"], Agent: world.x.agent, Drive: world.x.drive}
    for of, own in ids.items():
        with pytest.raises(PermissionDenied):
            delete(world.as_["administrator"], of, own)


@pytest.mark.mission("B3")
def test_an_agents_state_shows_its_current_workflow(world: World) -> None:
    def state(agent: Agent) -> tuple[object, ...]:
        row = world.root.execute(
            "SELECT state, current_execution_id, current_workflow, current_step_id FROM agent_states WHERE id = %s",
            (agent.id,),
        ).fetchone()
        assert row is not None
        return tuple(row.values())

    owner, called = create_agent(world.root, "owner"), create_agent(world.root, "called")
    execution, step, call = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    plan = (events.PlanStep(step_id=step, path="0", step_order=0, step_name="s", agent_id=called.id),)
    idle = ("idle", None, None, None)
    at = NOW.astimezone(UTC)

    def tell(*told: events.Event) -> None:
        append(world.root, execution, list(told))

    tell(events.WorkflowCreated(occurred_at=at, workflow_name="nightly", agent_id=owner.id, plan=plan))
    assert (state(owner), state(called)) == (idle, idle)
    tell(events.WorkflowStarted(occurred_at=at))
    assert state(owner) == ("running", execution, "nightly", None)
    assert state(called) == idle
    tell(events.StepDispatched(occurred_at=at, step_id=step, call_id=call))
    assert state(called) == ("running", execution, "nightly", step)
    tell(events.WorkflowPaused(occurred_at=at))
    assert state(owner) == ("paused", execution, "nightly", None)
    tell(events.StepCompleted(occurred_at=at, step_id=step, call_id=call))
    assert state(called) == idle
    tell(events.WorkflowResumed(occurred_at=at), events.WorkflowCompleted(occurred_at=at + timedelta(seconds=1)))
    assert state(owner) == idle


@pytest.mark.mission("B3")
def test_an_agents_state_is_seen_by_its_drive(world: World) -> None:
    def seen(name: str) -> set[object]:
        return {row["id"] for row in world.as_[name].execute("SELECT id FROM agent_states").fetchall()}

    assert world.x.agent in seen("reader")
    assert world.y.agent not in seen("reader")
