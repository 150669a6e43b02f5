"""What follows its owner when it is deleted, what refuses, and what stays for ever."""

import uuid
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from ledger_pipeline import events
from ledger_pipeline.errors import DeletionRefused, InvalidTransition, NotFound
from ledger_pipeline.hot.acting import acting
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.people import Agent, Customer, Drive, User, create_agent, delete
from ledger_pipeline_tests.hot.security.two_drives import NOW, DriveStory, tell

pytestmark = pytest.mark.mission("B5")

OWNERS = {"drive": Drive, "customer": Customer, "agent": Agent, "user": User}
FOLLOWS = {
    "workflow_executions": "id",
    **dict.fromkeys(
        ("workflow_steps", "executions", "workflow_approvals", "workflow_artifacts", "execution_log"), "execution_id"
    ),
    **dict.fromkeys(("execution_snapshots", "append_keys", "usage_keys"), "execution_id"),
}


@pytest.fixture
def root(module_ledger_url: str) -> Iterator[Connection]:
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def story(root: Connection) -> DriveStory:
    """A drive with an execution that has ended and whose events are hot."""
    told = tell(root, f"told-{uuid.uuid4().hex[:8]}", {})
    append(root, told.execution, [events.WorkflowCancelled(occurred_at=NOW)])
    return told


def make_cold(root: Connection, story: DriveStory) -> None:
    """Says of an execution's weeks that they are committed to the cold store, as the roll does."""
    root.execute(
        "INSERT INTO archive_manifest (week, state, fencing_token, instance_id, events, first_epoch, first_tx,"
        "  last_epoch, last_tx, checkpoint, hot_root, root, bytes, files, schema_version,"
        "  written_at, verified_at, committed_at)"
        " SELECT h.last_week, 'committed', 1, uuidv7(), 1, 1, 1, 1, 1, c.n, c.root, c.root, 1, '[]', 1,"
        "  now(), now(), now()"
        " FROM execution_heads h, checkpoints c WHERE h.id = %s AND c.n = 1 ON CONFLICT DO NOTHING",
        (story.execution,),
    )


@pytest.fixture
def cold(root: Connection, story: DriveStory) -> Iterator[DriveStory]:
    """The same with all of its events in the cold store."""
    root.execute("SELECT close_checkpoint()")
    make_cold(root, story)
    yield story
    root.execute("DELETE FROM archive_manifest")


def left(root: Connection, story: DriveStory) -> dict[str, int]:
    """How many rows of the execution each table has."""
    return {
        table: root.execute(
            sql.SQL("SELECT FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(key)),
            (story.execution,),
        ).rowcount
        for table, key in (FOLLOWS | {"workflow_events": "execution_id", "execution_heads": "id"}).items()
    }


def owner(story: DriveStory, of: str) -> uuid.UUID:
    return story.users["read"] if of == "user" else getattr(story, of)


@pytest.mark.parametrize("of", OWNERS)
def test_an_owner_of_hot_events_is_kept_with_all_that_it_owns(root: Connection, story: DriveStory, of: str) -> None:
    before = left(root, story)
    with pytest.raises(DeletionRefused, match=f"execution {story.execution} has events in the hot store"):
        delete(root, OWNERS[of], owner(story, of))
    assert left(root, story) == before
    assert root.execute(
        sql.SQL("SELECT FROM {} WHERE id = %s").format(sql.Identifier(OWNERS[of].table)), (owner(story, of),)
    ).rowcount == 1  # fmt: skip
    kept = "SELECT FROM admin_log WHERE action = 'delete' AND object_id = %s"
    assert root.execute(kept, (str(owner(story, of)),)).rowcount == 0


@pytest.mark.parametrize("of", [*OWNERS, "template"])
def test_executions_follow_their_owner_and_events_stay(root: Connection, cold: DriveStory, of: str) -> None:
    before = left(root, cold)
    with acting(root, reason="the contract has ended"):
        if of == "template":
            root.execute("DELETE FROM workflow_executions WHERE id = %s", (cold.execution,))
        else:
            delete(root, OWNERS[of], owner(cold, of))
    after = left(root, cold)
    assert {table: after[table] for table in FOLLOWS} == dict.fromkeys(FOLLOWS, 0)
    assert all(before[table] for table in FOLLOWS)
    assert after["workflow_events"] == before["workflow_events"]
    head = root.execute("SELECT pruned_at IS NOT NULL AS closed FROM execution_heads WHERE id = %s", (cold.execution,))
    assert head.fetchone() == {"closed": True}
    with pytest.raises(InvalidTransition, match="pruned"):
        append(root, cold.execution, [events.LogRecorded(occurred_at=NOW, log_level="info", message="late")])


def test_executions_follow_their_template(root: Connection, story: DriveStory) -> None:
    execution = uuid.uuid4()
    created = events.WorkflowCreated(occurred_at=NOW, drive_id=story.drive, template_id=story.template)
    append(root, execution, [created, events.WorkflowCancelled(occurred_at=NOW)])
    with pytest.raises(psycopg.Error, match=f"execution {execution} has events in the hot store"):
        root.execute("DELETE FROM workflow_templates WHERE id = %s", (story.template,))
    root.execute("SELECT close_checkpoint()")
    make_cold(root, story)
    root.execute("DELETE FROM workflow_templates WHERE id = %s", (story.template,))
    root.execute("DELETE FROM archive_manifest")
    assert root.execute("SELECT FROM workflow_executions WHERE id = %s", (execution,)).rowcount == 0
    assert root.execute("SELECT FROM workflow_events WHERE execution_id = %s", (execution,)).rowcount == 2


def test_an_agent_merely_called_goes_without_its_calls(root: Connection, story: DriveStory) -> None:
    called = create_agent(root, "called")
    execution, step, call = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    plan = (events.PlanStep(step_id=step, path="0", step_order=0, step_name="s", agent_id=called.id),)
    append(
        root,
        execution,
        [
            events.WorkflowCreated(occurred_at=NOW, agent_id=story.agent, plan=plan),
            events.WorkflowStarted(occurred_at=NOW),
            events.StepDispatched(occurred_at=NOW, step_id=step, call_id=call),
        ],
    )
    delete(root, Agent, called.id)
    assert root.execute("SELECT FROM executions WHERE id = %s", (call,)).rowcount == 1
    assert root.execute("SELECT FROM workflow_steps WHERE id = %s", (step,)).rowcount == 1


@pytest.mark.mission("C1")
def test_a_deletion_is_on_record_with_who_and_why(root: Connection, cold: DriveStory) -> None:
    with acting(root, cold.users["administer"], reason="asked for"):
        delete(root, Drive, cold.drive)
    rows = root.execute(
        "SELECT object_kind, actor_id, reason, before ->> 'name' AS name, before ->> 'count' AS count FROM admin_log"
        " WHERE reason = 'asked for' AND action = 'delete' AND object_kind IN ('drives', 'workflow_executions')"
        " ORDER BY object_kind"
    ).fetchall()
    given = {"actor_id": cold.users["administer"], "reason": "asked for"}
    assert rows == [
        {"object_kind": "drives", **given, "name": f"drive {cold.mark}", "count": None},
        {"object_kind": "workflow_executions", **given, "name": None, "count": "1"},
    ]
    log = root.execute("SELECT at FROM admin_log WHERE reason = 'asked for' AND object_kind = 'workflow_executions'")
    row = log.fetchone()
    assert row is not None
    named = root.execute("SELECT id FROM execution_heads WHERE pruned_at = %s", (row["at"],)).fetchall()
    assert named == [{"id": cold.execution}]


@pytest.mark.parametrize(
    "table",
    [
        *("customers", "users", "agents", "drives", "drive_members", "workflow_templates", "workflow_template_steps"),
        *("workflow_template_versions", "admin_log", "execution_heads", "archive_manifest", "checkpoints", *FOLLOWS),
    ],
)
def test_no_table_is_truncated(root: Connection, table: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        root.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table)))
    assert refused.value.sqlstate == "LG006"


@pytest.mark.parametrize("replica", ["origin", "replica"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM execution_heads WHERE id = %s", "DELETE FROM admin_log WHERE %s IS NOT NULL"]
)
def test_heads_and_the_log_are_never_deleted(
    root: Connection, story: DriveStory, statement: LiteralString, replica: str
) -> None:
    root.execute("SELECT set_config('session_replication_role', %s, false)", (replica,))
    with pytest.raises(psycopg.Error) as refused:
        root.execute(statement, (story.execution,))
    assert refused.value.sqlstate == "LG006"


def test_what_does_not_exist_is_said_so(root: Connection) -> None:
    with pytest.raises(NotFound, match="does not exist, or you may not see it"):
        delete(root, Customer, uuid.uuid4())
