"""A user of one drive learns nothing of another, by no query, view, function, count or message."""

import json
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.hot.acting import act_for, acting
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.people import Agent, Customer, Drive, User, get, list_rows
from ledger_pipeline.templates import Templates
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.two_drives import NOW, DriveStory, beginning, template

pytestmark = [pytest.mark.mission("D5"), pytest.mark.mission("E6")]

EVERYBODY = ["reader", "mapped", "application", "writer", "administrator"]
"""Logins that belong to drive X and not to Y."""


def relations(connection: Connection) -> list[str]:
    """What a login may select from in our schema."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
        " AND has_table_privilege(oid, 'SELECT') ORDER BY relname"
    ).fetchall()
    return [row["relname"] for row in rows]


def everything(connection: Connection) -> dict[str, str]:
    """All that a login can select, as text, by relation."""
    return {
        name: " ".join(
            row["line"]
            for row in connection.execute(sql.SQL("SELECT t::text AS line FROM {} t").format(sql.Identifier(name)))
        )
        for name in relations(connection)
    }


def tells_of(text: str, story: DriveStory) -> bool:
    """Whether a text has a mark or an id of a drive."""
    return story.mark in text or any(str(own) in text for own in story.ids)


@pytest.mark.parametrize("name", EVERYBODY)
def test_no_relation_shows_a_row_of_another_drive(world: World, name: str) -> None:
    seen = everything(world.as_[name])
    assert {place for place, text in seen.items() if tells_of(text, world.y)} == set()
    places = {"workflow_events", "workflow_executions", "workflow_steps", "executions", "execution_log", "agent_states"}
    places |= {"workflow_approvals", "workflow_artifacts", "execution_snapshots", "execution_heads", "drives", "users"}
    places |= {"drive_members", "customers", "agents", "workflow_templates", "workflow_template_versions"}
    places |= {"budgets", "budget_totals"}
    assert {place for place in places if not tells_of(seen[place], world.x)} == set()


def test_a_login_that_is_no_user_sees_no_drive(world: World) -> None:
    seen = everything(world.as_["nobody"])
    assert {place for place, text in seen.items() if tells_of(text, world.x) or tells_of(text, world.y)} == set()


@pytest.mark.parametrize("name", ["service", "archiver"])
def test_roles_for_every_drive_see_both(world: World, name: str) -> None:
    row = world.as_[name].execute("SELECT count(DISTINCT drive_id) AS drives FROM workflow_events").fetchone()
    assert row == {"drives": 2}


def test_a_row_without_a_drive_is_the_services_alone(world: World) -> None:
    execution = uuid.uuid4()
    append(world.root, execution, [events.WorkflowCreated(occurred_at=NOW, workflow_name="import")])
    for place in ("workflow_events", "workflow_executions", "execution_heads"):
        key = "execution_id" if place == "workflow_events" else "id"
        asked = sql.SQL("SELECT FROM {} WHERE {} = %s").format(sql.Identifier(place), sql.Identifier(key))
        assert world.as_["service"].execute(asked, (execution,)).rowcount == 1
        assert [world.as_[name].execute(asked, (execution,)).rowcount for name in EVERYBODY] == [0] * len(EVERYBODY)


COUNTED = {
    "workflow_executions": "SELECT count(*) AS n, sum(t.total_cost) AS cost FROM workflow_executions t WHERE {}",
    "workflow_events": "SELECT count(*) AS n, sum(t.cost_usd) AS cost FROM workflow_events t WHERE {}",
    **{
        place: f"SELECT count(*) AS n FROM {place} t WHERE EXISTS"
        " (SELECT FROM workflow_executions x WHERE x.id = t.execution_id AND x.{})"
        for place in ("workflow_steps", "executions", "workflow_approvals", "workflow_artifacts", "execution_log")
    },
}
"""Counts and sums with a condition on the drive, `true` for all that one sees."""


@pytest.mark.parametrize("place", COUNTED)
def test_counts_and_sums_are_of_ones_own_drive(world: World, place: str) -> None:
    every = COUNTED[place].replace("x.{}", "true").replace("{}", "true")
    of_a_drive = COUNTED[place].format("drive_id = %s")
    for name, story in (("reader", world.x), ("application", world.x), ("reader_y", world.y)):
        seen = world.as_[name].execute(every).fetchone()  # pyright: ignore[reportArgumentType]
        assert seen == world.root.execute(of_a_drive, (story.drive,)).fetchone()  # pyright: ignore[reportArgumentType]
        assert seen is not None
        assert seen["n"] > 0


@pytest.mark.parametrize(
    "question",
    [
        "SELECT 1 FROM workflow_executions WHERE workflow_name LIKE '%%omega%%'",
        "SELECT 1 FROM execution_log WHERE message ~ 'omega'",
        "SELECT 1 FROM workflow_events WHERE payload::text LIKE '%%omega%%'",
        'SELECT 1 FROM workflow_executions WHERE accumulated_context @> \'{"note": "omega-y"}\'',
        "SELECT 1 FROM workflow_templates WHERE tags @> '{omega-y}'",
        "SELECT 1 FROM workflow_artifacts WHERE name = 'omega-y'",
        "SELECT 1 FROM admin_log WHERE after::text LIKE '%%omega%%' OR before::text LIKE '%%omega%%'",
        "SELECT 1 FROM pg_stats WHERE schemaname = 'ledger' AND concat(most_common_vals, histogram_bounds) ~ 'omega'",
        "SELECT 1 FROM pg_stats WHERE schemaname = 'ledger' AND tablename = 'workflow_executions'",
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%' || 'ome' || 'ga%%'",
    ],
)
@pytest.mark.parametrize("name", ["reader", "application"])
def test_no_search_finds_another_drives_text(world: World, name: str, question: str) -> None:
    # What is searched for is there to be found.
    world.root.execute("ANALYZE workflow_executions, users")
    world.as_["service"].execute("SELECT 'omega'")
    assert world.root.execute(question).rowcount > 0  # pyright: ignore[reportArgumentType]
    assert world.as_[name].execute(question).rowcount == 0  # pyright: ignore[reportArgumentType]


def test_tags_find_what_one_may_see(world: World) -> None:
    def found(name: str) -> set[UUID]:
        return {item["id"] for item in Templates(world.as_[name]).list(tag="shared-tag").items}

    assert world.x.template in found("reader")
    assert world.y.template not in found("reader")
    assert {world.x.template, world.y.template} <= found("service")


def test_a_function_of_the_callers_sees_no_row_before_the_policy_does(world: World) -> None:
    noticed: list[str] = []
    connection = world.as_["application"]
    connection.add_notice_handler(lambda notice: noticed.append(notice.message_primary or ""))
    connection.execute(
        "CREATE OR REPLACE FUNCTION pg_temp.peek(seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
        " $$ BEGIN RAISE NOTICE '%', seen; RETURN true; END $$"
    )
    for place in (
        "workflow_executions",
        "workflow_events",
        "execution_log",
        "users",
        "customers",
        "workflow_templates",
    ):
        statement = sql.SQL("SELECT FROM {} t WHERE pg_temp.peek(t::text)").format(sql.Identifier(place))
        connection.execute(statement)
    assert noticed
    assert not [line for line in noticed if tells_of(line, world.y)]


# Who one is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reader", "mapped", "nobody", "archiver"])
def test_a_setting_makes_nobody_another_user(world: World, name: str) -> None:
    connection = world.as_[name]
    before = connection.execute("SELECT acting_user() AS id").fetchone()
    act_for(connection, world.y.users["administer"])
    assert connection.execute("SELECT acting_user() AS id").fetchone() == before
    act_for(connection, None)


def test_the_application_acts_for_whom_it_names(world: World, fresh: Callable[[str], Connection]) -> None:
    connection = fresh("application")
    asked = "SELECT DISTINCT drive_id FROM workflow_executions"
    assert connection.execute(asked).fetchall() == []
    with acting(connection, world.y.users["read"]):
        assert connection.execute(asked).fetchall() == [{"drive_id": world.y.drive}]
    act_for(connection, world.x.users["read"])
    assert connection.execute(asked).fetchall() == [{"drive_id": world.x.drive}]
    act_for(connection, uuid.uuid4())
    assert connection.execute(asked).fetchall() == []
    connection.execute("SET ledger.user_id = 'nonsense'")
    with pytest.raises(psycopg.Error, match="'nonsense' is not a UUID"):
        connection.execute(asked)


def test_nobody_can_make_a_login_his_own(world: World) -> None:
    for name in ("application", "administrator"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.as_[name].execute("UPDATE users SET database_login = session_user")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.as_[name].execute("INSERT INTO users (name, database_login) VALUES ('me', session_user)")


# Appends ----------------------------------------------------------------------------------------------------------


def refusal(attempt: Callable[[], object]) -> tuple[str, str]:
    """The kind and message of the error that an attempt ends with."""
    with pytest.raises((psycopg.Error, LedgerError)) as refused:
        attempt()
    return type(refused.value).__name__, str(refused.value)


def log(**fields: Any) -> events.LogRecorded:
    return events.LogRecorded(occurred_at=NOW, log_level="info", message="hello", **fields)


Attempt = Callable[[Connection, World, UUID], object]
"""Something tried with an id, either one of drive Y or one that does not exist."""

EXECUTION: dict[str, Attempt] = {
    "append": lambda c, w, i: append(c, i, [log()]),
    "append nothing": lambda c, w, i: append(c, i, []),
    "an expected sequence": lambda c, w, i: append(c, i, [log()], expected_sequence=8),
    "another expected sequence": lambda c, w, i: append(c, i, [log()], expected_sequence=0),
    "an idempotency key that was used": lambda c, w, i: append(c, i, [log()], idempotency_key="first"),
    "the end": lambda c, w, i: append(c, i, [events.WorkflowCompleted(occurred_at=NOW)]),
    "a step of it": lambda c, w, i: append(
        c, i, [events.StepCompleted(occurred_at=NOW, step_id=w.y.step, call_id=w.y.call)]
    ),
    "in bulk": lambda c, w, i: append_many(c, [log(execution_id=i)]),
    "in bulk, as history": lambda c, w, i: append_many(c, [log(execution_id=i)], history=True),
    "in bulk, among one's own": lambda c, w, i: append_many(c, [log(execution_id=w.x.execution), log(execution_id=i)]),
    "an unknown type": lambda c, w, i: append(c, i, [{"event_type": "Unheard", "occurred_at": NOW}]),
    "malformed": lambda c, w, i: append(c, i, [{"event_type": "LogRecorded"}]),
}
CREATION: dict[str, tuple[str, Attempt]] = {
    "a drive": ("drive", lambda c, w, i: append(c, uuid.uuid4(), beginning(w.x, drive_id=i))),
    "a customer": ("customer", lambda c, w, i: append(c, uuid.uuid4(), beginning(w.x, customer_id=i))),
    "an agent": ("agent", lambda c, w, i: append(c, uuid.uuid4(), beginning(w.x, agent_id=i))),
    "a template": ("template", lambda c, w, i: append(c, uuid.uuid4(), beginning(w.x, template_id=i))),
    "a user": ("user", lambda c, w, i: append(c, uuid.uuid4(), beginning(w.x, user_id=i))),
    "a drive in bulk": (
        "drive",
        lambda c, w, i: append_many(
            c, [{**e.to_row(), "execution_id": UUID(int=7 << 76)} for e in beginning(w.x, drive_id=i)]
        ),
    ),
}


def within(*told: events.Event) -> Callable[[Connection, World], object]:
    return lambda c, w: append(c, w.x.execution, list(told))


def closing(step: UUID, call: UUID) -> events.Event:
    return events.StepCompleted(occurred_at=NOW, step_id=step, call_id=call)


WITHIN: dict[str, tuple[str, Attempt]] = {
    "a step": ("step", lambda c, w, i: within(closing(i, w.x.call))(c, w)),
    "a step logged": ("step", lambda c, w, i: within(log(step_id=i))(c, w)),
    "a call": ("call", lambda c, w, i: within(closing(w.x.step, i))(c, w)),
    "an approval": (
        "approval",
        lambda c, w, i: within(events.ApprovalApplied(occurred_at=NOW, approval_id=i, decision="approved"))(c, w),
    ),
}


def same_words(connection: Connection, world: World, attempt: Attempt, known: UUID) -> None:
    unknown = uuid.uuid4()
    kind, message = refusal(lambda: attempt(connection, world, known))
    other_kind, other_message = refusal(lambda: attempt(connection, world, unknown))
    assert (kind, message.replace(str(known), "ID")) == (other_kind, other_message.replace(str(unknown), "ID"))
    assert world.y.mark not in message


@pytest.mark.parametrize("name", ["application", "mapped", "administrator"])
@pytest.mark.parametrize("attempt", EXECUTION)
def test_an_execution_of_another_drive_is_as_one_that_does_not_exist(world: World, attempt: str, name: str) -> None:
    same_words(world.as_[name], world, EXECUTION[attempt], world.y.execution)


@pytest.mark.parametrize("attempt", [*CREATION, *WITHIN])
def test_an_id_of_another_drive_is_as_one_that_does_not_exist(world: World, attempt: str) -> None:
    of, tried = (CREATION | WITHIN)[attempt]
    ids = {
        name: getattr(world.y, name) for name in ("drive", "customer", "agent", "template", "step", "call", "approval")
    }
    same_words(world.as_["application"], world, tried, ids.get(of) or world.y.users["write"])


@pytest.mark.parametrize("field", ["parent_execution_id", "retry_of", "parent_step_id"])
def test_a_link_to_another_drive_is_taken_as_any_and_tells_nothing(world: World, field: str) -> None:
    for linked in (world.y.execution, uuid.uuid4()):
        stored = append(world.as_["application"], uuid.uuid4(), beginning(world.x, plan=(), **{field: linked}))
        assert stored.last_sequence == 2


def test_a_reader_executes_in_his_drive(world: World) -> None:
    connection, execution = world.as_["application"], uuid.uuid4()
    append(connection, execution, beginning(world.x, plan=(), template_id=world.x.template), idempotency_key="once")
    again = append(
        connection, execution, beginning(world.x, plan=(), template_id=world.x.template), idempotency_key="once"
    )
    assert again.repeated
    append(connection, execution, [log()], expected_sequence=2)
    assert append_many(connection, [log(execution_id=execution)] * 3) == 3
    assert connection.execute("SELECT FROM workflow_events WHERE execution_id = %s", (execution,)).rowcount == 6


def test_a_bulk_append_in_two_lanes_acts_for_the_same_user(world: World) -> None:
    rows = [log(execution_id=world.x.execution) for _ in range(10)]
    others = [
        {**e.to_row(), "execution_id": UUID(int=(1 << 64) + nth)} for nth in (1, 2) for e in beginning(world.x, plan=())
    ]
    assert append_many(world.as_["application"], [*others, *rows * 500]) == 5004


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"drive_id": None}, "only the service has executions without a drive"),
        ({"execution_kind": "repricing"}, "execution_kind: 'repricing' is the service's alone"),
        ({"execution_kind": "budget"}, "execution_kind: 'budget' is the service's alone"),
    ],
)
def test_what_concerns_every_drive_is_the_services(world: World, fields: dict[str, Any], words: str) -> None:
    assert words in refusal(lambda: append(world.as_["application"], uuid.uuid4(), beginning(world.x, **fields)))[1]


def test_a_private_template_is_run_by_its_creator_and_administrators_only(world: World) -> None:
    private = template(world.root, world.x, "private_one", is_public=False)
    for name, seen in (("mapped", 0), ("writer", 1), ("administrator", 1)):
        connection = world.as_[name]
        assert connection.execute("SELECT FROM workflow_templates WHERE id = %s", (private,)).rowcount == seen
        asked = "SELECT FROM workflow_template_versions WHERE template_id = %s"
        assert connection.execute(asked, (private,)).rowcount == seen
        if seen:
            run_template(connection, world, private)
        else:
            same_words(connection, world, run_template, private)


def run_template(connection: Connection, world: World, template_id: UUID) -> object:
    return append(connection, uuid.uuid4(), beginning(world.x, plan=(), template_id=template_id))


# Ids that are taken -----------------------------------------------------------------------------------------------


def planned(step: UUID) -> tuple[events.PlanStep, ...]:
    return (events.PlanStep(step_id=step, path="0", step_order=0, step_name="mine"),)


def dispatched(story: DriveStory, call: UUID) -> list[events.Event]:
    step = uuid.uuid5(call, "a step of one's own")
    opens = events.StepDispatched(occurred_at=NOW, step_id=step, call_id=call)
    return [*beginning(story, plan=planned(step)), opens]


def approval(id: UUID) -> events.Event:
    return events.ApprovalRequested(occurred_at=NOW, approval_id=id, approval_subject="mine")


def artifact(id: UUID) -> events.Event:
    return events.ArtifactRecorded(
        occurred_at=NOW, artifact_id=id, artifact_type="report", artifact_name="mine", uri="file:mine"
    )


TAKEN: dict[str, Callable[[DriveStory, UUID], list[events.Event]]] = {
    "step": lambda story, id: beginning(story, plan=planned(id)),
    "call": dispatched,
    "approval": lambda story, id: [*beginning(story, plan=()), approval(id)],
    "artifact": lambda story, id: [*beginning(story, plan=()), artifact(id)],
}
"""A new execution of one's own that uses an id for something new."""
WAYS: dict[str, Callable[[Connection, UUID, list[events.Event]], object]] = {
    "append": lambda c, execution, told: append(c, execution, told),
    "append_many": lambda c, execution, told: append_many(
        c, [event.to_row() | {"execution_id": execution} for event in told]
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("of", TAKEN)
def test_an_id_taken_in_another_drive_is_refused_as_one_taken_in_ones_own(world: World, of: str, way: str) -> None:
    connection = world.as_["application"]
    words: set[tuple[str, str]] = set()
    for story in (world.x, world.y):
        taken, execution = getattr(story, of), uuid.uuid4()
        told = TAKEN[of](world.x, taken)
        kind, message = refusal(lambda told=told, execution=execution: WAYS[way](connection, execution, told))
        words.add((kind, message.replace(str(taken), "ID")))
        assert connection.execute("SELECT FROM execution_heads WHERE id = %s", (execution,)).rowcount == 0
    assert len(words) == 1, words
    assert world.y.mark not in next(iter(words))[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_creation_under_another_drives_execution_id_is_refused_as_an_append_to_none(world: World, way: str) -> None:
    connection, unknown = world.as_["application"], uuid.uuid4()
    kind, message = refusal(lambda: WAYS[way](connection, world.y.execution, beginning(world.x, plan=())))
    other = refusal(lambda: WAYS[way](connection, unknown, [log()]))
    assert (kind, message.replace(str(world.y.execution), "ID")) == (other[0], other[1].replace(str(unknown), "ID"))


def test_an_event_id_taken_in_another_drive_is_refused_as_one_taken_in_ones_own(world: World) -> None:
    connection = world.as_["application"]
    words: set[tuple[str, str]] = set()
    for story in (world.x, world.y):
        asked = "SELECT event_id FROM workflow_events WHERE execution_id = %s AND event_type = 'LogRecorded' LIMIT 1"
        row = world.root.execute(asked, (story.execution,)).fetchone()
        assert row is not None
        kind, message = refusal(lambda row=row: append(connection, world.x.execution, [log(event_id=row["event_id"])]))
        words.add((kind, message.replace(str(row["event_id"]), "ID")))
    assert len(words) == 1, words


def test_a_template_id_taken_in_another_drive_is_refused_as_one_taken_in_ones_own(world: World) -> None:
    statement = (
        "INSERT INTO workflow_templates (id, drive_id, name, version, current_version, status, created_by)"
        " VALUES (%s, %s, 'mine', '1', 1, 'draft', acting_user())"
    )
    words: set[tuple[str, str]] = set()
    for id in (world.x.template, world.y.template):
        kind, message = refusal(lambda id=id: world.as_["writer"].execute(statement, (id, world.x.drive)))
        words.add((kind, message.replace(str(id), "ID")))
    assert len(words) == 1, words
    assert world.y.mark not in next(iter(words))[1]


# Staged batches ---------------------------------------------------------------------------------------------------


def stage(connection: Connection, batch: UUID, execution: UUID) -> None:
    connection.execute(
        "INSERT INTO append_staging (batch, ordinal, execution_id, event_type, occurred_at, log_level, message)"
        " VALUES (%s, 0, %s, 'LogRecorded', now(), 'info', 'staged')",
        (batch, execution),
    )


def test_a_staged_batch_is_its_logins_alone(world: World) -> None:
    batch = uuid.uuid4()
    stage(world.as_["application"], batch, world.x.execution)
    other = world.as_["mapped"]
    assert other.execute("SELECT * FROM staged_weeks(%s, true)", (batch,)).fetchall() == []
    other.execute("SELECT discard_staged(%s)", (batch,))
    assert (
        "1 events were staged, but 0 are there"
        in refusal(lambda: other.execute("SELECT append_staged(%s, false, 1)", (batch,)))[1]
    )
    row = world.as_["application"].execute("SELECT append_staged(%s, false, 1) AS n", (batch,)).fetchone()
    assert row == {"n": 1}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        other.execute("INSERT INTO append_staging (batch, staged_by) VALUES (%s, 'postgres')", (batch,))


def test_the_weeks_of_a_staged_batch_tell_nothing_of_another_drive(world: World) -> None:
    answers: list[Any] = []
    for execution in (world.y.execution, uuid.uuid4()):
        batch = uuid.uuid4()
        connection = world.as_["application"]
        connection.execute(
            "INSERT INTO append_staging (batch, ordinal, execution_id, event_type, occurred_at)"
            " VALUES (%s, 0, %s, 'TokensUpdated', '2020-01-01')",
            (batch, execution),
        )
        answers.append(connection.execute("SELECT * FROM staged_weeks(%s, true)", (batch,)).fetchall())
        connection.execute("SELECT discard_staged(%s)", (batch,))
    assert answers[0] == answers[1]


# Probes of references and names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "probe",
    [
        "INSERT INTO drive_members (drive_id, user_id, access) SELECT %(id)s, acting_user(), 'administer'",
        "INSERT INTO drive_members (drive_id, user_id, access) VALUES (%(x)s, %(id)s, 'read')",
        "INSERT INTO customers (drive_id, name) VALUES (%(id)s, 'c')",
        "INSERT INTO agents (drive_id, name) VALUES (%(id)s, 'a')",
        "INSERT INTO budgets (drive_id, scope, workflow_name, period, limit_usd)"
        " VALUES (%(id)s, 'workflow', 'w', 'day', 1)",
        "INSERT INTO budgets (drive_id, scope, customer_id, period, limit_usd)"
        " VALUES (%(x)s, 'customer', %(id)s, 'day', 1)",
        "INSERT INTO budgets (drive_id, scope, agent_id, period, limit_usd) VALUES (%(x)s, 'agent', %(id)s, 'day', 1)",
        "INSERT INTO workflow_templates (drive_id, name, version, current_version, status, created_by)"
        " VALUES (%(id)s, 'template_omega_y', '1', 1, 'draft', acting_user())",
        "INSERT INTO workflow_template_versions"
        " (template_id, version_number, version_tag, template_snapshot, change_type, breaking_changes)"
        " VALUES (%(id)s, 1, '1.0.0', '{}', 'create', false)",
        "INSERT INTO workflow_template_steps (template_id, version, path, step_order, name, type, config)"
        " VALUES (%(id)s, 1, '0', 0, 's', 'action', '{}')",
    ],
)
def test_references_and_names_of_another_drive_are_refused_alike(world: World, probe: str) -> None:
    connection = world.as_["administrator"]
    words = set[tuple[str, str]]()
    for own in (*world.y.ids, uuid.uuid4()):
        kind, message = refusal(lambda own=own: connection.execute(probe, {"id": own, "x": world.x.drive}))  # pyright: ignore[reportArgumentType]
        words.add((kind, message.replace(str(own), "ID")))
    assert len(words) == 1, words
    assert next(iter(words))[0] == "InsufficientPrivilege"


def test_a_name_taken_in_another_drive_is_free_in_ones_own(world: World) -> None:
    world.as_["writer"].execute(
        "INSERT INTO workflow_templates (drive_id, name, version, current_version, status, created_by)"
        " VALUES (%s, 'template_omega_y', '1', 1, 'draft', acting_user())",
        (world.x.drive,),
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE drives SET name = 'mine' WHERE id = %(drive)s",
        "UPDATE drive_members SET access = 'administer' WHERE drive_id = %(drive)s",
        "DELETE FROM drive_members WHERE drive_id = %(drive)s",
        "UPDATE customers SET name = 'mine' WHERE id = %(customer)s",
        "UPDATE agents SET name = 'mine' WHERE id = %(agent)s",
        "UPDATE users SET name = 'mine' WHERE id = %(user)s",
        "UPDATE budgets SET limit_usd = 1 WHERE drive_id = %(drive)s",
        "DELETE FROM budgets WHERE drive_id = %(drive)s",
        "UPDATE workflow_templates SET title = 'mine' WHERE id = %(template)s",
        "DELETE FROM workflow_templates WHERE id = %(template)s",
        "DELETE FROM workflow_template_steps WHERE template_id = %(template)s",
    ],
)
def test_changes_find_no_row_of_another_drive(world: World, change: str) -> None:
    ids = {"drive": world.y.drive, "customer": world.y.customer, "agent": world.y.agent, "template": world.y.template}
    done = world.as_["administrator"].execute(change, ids | {"user": world.y.users["read"]})  # pyright: ignore[reportArgumentType]
    assert done.rowcount == 0


def test_what_python_looks_up_is_not_found_alike(world: World) -> None:
    connection = world.as_["application"]
    own = {Customer: world.y.customer, User: world.y.users["read"], Agent: world.y.agent, Drive: world.y.drive}
    for of, known in own.items():
        same_words(connection, world, partial(looked_up, of), known)
        assert not [row for row in list_rows(connection, of, limit=1000) if row.id in world.y.ids]


def looked_up(of: type[Any], connection: Connection, world: World, id: UUID) -> object:
    return get(connection, of, id)


# The planner ------------------------------------------------------------------------------------------------------


def plan(connection: Connection, question: str, *given: Any) -> dict[str, Any]:
    row = connection.execute("EXPLAIN (FORMAT JSON) " + question, given).fetchone()  # pyright: ignore[reportArgumentType]
    assert row is not None
    return row["QUERY PLAN"][0]["Plan"]


BY_ID = {
    **dict.fromkeys(("workflow_executions", "execution_heads"), "execution"),
    "workflow_steps": "step",
    "executions": "call",
    "workflow_approvals": "approval",
    "drives": "drive",
    "workflow_artifacts": "artifact",
    "workflow_templates": "template",
    "customers": "customer",
    "agents": "agent",
}


@pytest.mark.parametrize("name", ["reader", "application"])
def test_a_plan_for_an_id_of_another_drive_is_that_for_an_unknown_one(world: World, name: str) -> None:
    world.root.execute("ANALYZE")
    for place, of in BY_ID.items():
        question = sql.SQL("EXPLAIN SELECT * FROM {} WHERE id = %s").format(sql.Identifier(place))
        plans = {
            "\n".join(row["QUERY PLAN"] for row in world.as_[name].execute(question, (id,))).replace(str(id), "ID")
            for id in (getattr(world.y, of), uuid.uuid4())
        }
        assert len(plans) == 1, plans


@pytest.mark.slow
def test_a_page_of_a_drive_uses_its_index_under_the_policy(world: World) -> None:
    world.root.execute(
        "WITH heads AS ("
        " INSERT INTO execution_heads SELECT gen_random_uuid(), 'workflow', 'running', 1, sha256(''), '2026-01-05',"
        "  '2026-01-05', now(), 0, false FROM generate_series(1, 20000) RETURNING id)"
        " INSERT INTO workflow_executions (id, execution_kind, drive_id, status, input_parameters, trigger_context,"
        "  accumulated_context, metadata, started_at)"
        " SELECT id, 'workflow', %s, 'running', '{}', '{}', '{}', '{}', now() FROM heads",
        (world.y.drive,),
    )
    world.root.execute("ANALYZE workflow_executions, execution_heads")
    for question in (
        "SELECT * FROM workflow_executions WHERE drive_id = %s ORDER BY started_at DESC LIMIT 50",
        "SELECT * FROM workflow_executions WHERE drive_id = %s AND status = 'running' LIMIT 50",
    ):
        found = json.dumps(plan(world.as_["reader"], question, world.x.drive))
        assert "workflow_executions_drive_status" in found
        assert "Seq Scan" not in found
    found = json.dumps(
        plan(world.as_["reader"], "SELECT * FROM workflow_steps WHERE execution_id = %s", world.x.execution)
    )
    assert '"Relation Name": "workflow_executions"' in found
    # A superuser's plan has nothing of the policies.
    assert "drives_with_access" not in json.dumps(plan(world.root, "SELECT * FROM workflow_executions LIMIT 50"))
    assert "drives_with_access" not in json.dumps(
        plan(world.as_["service"], "SELECT * FROM workflow_executions LIMIT 50")
    )


@pytest.mark.parametrize("name", ["reader", "application"])
def test_statistics_of_values_are_hidden(world: World, name: str) -> None:
    world.root.execute("ANALYZE workflow_executions, workflow_events, users")
    for place in ("workflow_executions", "workflow_created_events", "users"):
        asked = "SELECT FROM pg_stats WHERE schemaname = 'ledger' AND tablename = %s"
        assert world.root.execute(asked, (place,)).rowcount > 0
        assert world.as_[name].execute(asked, (place,)).rowcount == 0
