"""What follows its owner when it is deleted, what refuses, and what stays for ever."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.errors import DeletionRefused, InvalidTransition, NotFound
from ledger_pipeline.hot.acting import acting
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.hot.people import Agent, Customer, Drive, User, create_agent, delete
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.rebuild_projections import rebuild_projections
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.conftest import ledgers
from ledger_pipeline_tests.hot.security.two_drives import NOW, DriveStory, tell, tell_of_the_past

pytestmark = pytest.mark.mission("B5")

COLD = Path("/nonexistent")
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


@dataclass(frozen=True)
class Rolled:
    """A ledger whose drives have nothing hot, by the owner that a test deletes, and its marts."""

    ledger: Ledger
    root: Connection
    stories: dict[str, DriveStory]

    def history(self, story: DriveStory) -> list[int]:
        """The sequences of the execution's events, wherever they are."""
        return [row["sequence"] for row in self.ledger.events(story.execution)]


@pytest.fixture(scope="module")
def rolled(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolled]:
    now = datetime.now(UTC)
    with ExitStack() as resources:
        url = resources.enter_context(ledgers(server_url, template_database))()
        settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(url), hot_days=14)
        ledger = resources.enter_context(Ledger.open(settings))
        stories = {
            of: tell_of_the_past(ledger.connection, f"past-{of}", now - timedelta(weeks=6), template_id="template")
            for of in (*OWNERS, "template", "recorded")
        }
        assert ledger.roll(now)
        ledger.build_marts(now)
        yield Rolled(ledger, ledger.connection, stories)


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


@pytest.mark.mission("C3")
@pytest.mark.parametrize("of", [*OWNERS, "template"])
def test_executions_follow_their_owner_and_history_stays(rolled: Rolled, of: str) -> None:
    root, story, queries = rolled.root, rolled.stories[of], rolled.ledger.queries
    before, history, told = left(root, story), rolled.history(story), queries.execution(story.execution)
    assert all(before[table] for table in FOLLOWS)
    assert (before["workflow_events"], history) == (0, list(range(1, 10)))
    with acting(root, reason="the contract has ended"):
        if of == "template":
            rolled.ledger.templates.delete(owner(story, of))
        else:
            delete(root, OWNERS[of], owner(story, of))
    assert left(root, story) == dict.fromkeys(before, 0) | {"execution_heads": 1}
    # Events never cascade, so neither do the answers that are made of them.
    assert rolled.history(story) == history
    assert rolled.ledger.replay(story.execution).status == "cancelled"
    assert queries.execution(story.execution).execution == told.execution
    assert story.execution in {one.execution_id for one in queries.executions().items}
    with pytest.raises(InvalidTransition, match="pruned"):
        append(root, story.execution, [events.LogRecorded(occurred_at=NOW, log_level="info", message="late")])


def test_a_template_of_hot_events_is_kept(root: Connection, story: DriveStory) -> None:
    execution = uuid.uuid4()
    created = events.WorkflowCreated(occurred_at=NOW, drive_id=story.drive, template_id=story.template)
    append(root, execution, [created, events.WorkflowCancelled(occurred_at=NOW)])
    with pytest.raises(psycopg.Error, match=f"execution {execution} has events in the hot store"):
        root.execute("DELETE FROM workflow_templates WHERE id = %s", (story.template,))
    assert root.execute("SELECT FROM workflow_templates WHERE id = %s", (story.template,)).rowcount == 1


NAMED = """
    SELECT agent_id FROM executions WHERE execution_id = %(id)s
    UNION ALL SELECT agent_id FROM workflow_steps WHERE execution_id = %(id)s
    """


def calling(root: Connection, story: DriveStory, agent: uuid.UUID, definition: uuid.UUID | None = None) -> uuid.UUID:
    """An execution of the drive's agent with one step and one call of another agent."""
    execution, step = uuid.uuid4(), uuid.uuid4()
    position = events.PlanStep(step_id=step, path="0", step_order=0, step_name="s", agent_id=agent)
    plan = (position.model_copy(update={"template_step_id": definition}),)
    append(
        root,
        execution,
        [
            events.WorkflowCreated(occurred_at=NOW, agent_id=story.agent, plan=plan),
            events.WorkflowStarted(occurred_at=NOW),
            events.StepDispatched(occurred_at=NOW, step_id=step, call_id=uuid.uuid4()),
        ],
    )
    return execution


@pytest.mark.mission("A9")
def test_an_agent_merely_called_goes_without_its_calls(root: Connection, story: DriveStory) -> None:
    called = create_agent(root, "called").id
    execution = calling(root, story, called)
    assert root.execute(NAMED, {"id": execution}).fetchall() == [{"agent_id": called}] * 2
    delete(root, Agent, called)
    assert root.execute(NAMED, {"id": execution}).fetchall() == [{"agent_id": None}] * 2
    assert check_projections(root, COLD, [execution]).ok
    rebuild_projections(root, COLD, [execution])
    assert root.execute(NAMED, {"id": execution}).fetchall() == [{"agent_id": None}] * 2
    assert root.execute("SELECT FROM workflow_events WHERE agent_id = %s", (called,)).rowcount == 1


@pytest.mark.mission("A9")
def test_what_is_appended_after_a_deletion_names_it_in_the_event_alone(root: Connection, story: DriveStory) -> None:
    called, forgotten = create_agent(root, "called").id, uuid.uuid4()
    delete(root, Agent, called)
    root.execute("INSERT INTO forgotten_references VALUES (%s)", (forgotten,))
    execution = calling(root, story, called, forgotten)
    named = "SELECT agent_id, template_step_id FROM workflow_steps WHERE execution_id = %s"
    assert root.execute(named, (execution,)).fetchall() == [{"agent_id": None, "template_step_id": None}]
    assert root.execute(NAMED, {"id": execution}).fetchall() == [{"agent_id": None}] * 2
    assert check_projections(root, COLD, [execution]).ok
    assert root.execute("SELECT FROM workflow_events WHERE agent_id = %s", (called,)).rowcount == 1


@pytest.mark.mission("A9")
def test_an_agent_that_is_lost_without_a_deletion_is_a_difference(root: Connection, story: DriveStory) -> None:
    execution = calling(root, story, create_agent(root, "called").id)
    root.execute("UPDATE executions SET agent_id = NULL WHERE execution_id = %s", (execution,))
    assert check_projections(root, COLD, [execution]).differing == {"executions": 1}


@pytest.mark.mission("C1")
def test_a_deletion_is_on_record_with_who_and_why(rolled: Rolled) -> None:
    root, cold = rolled.root, rolled.stories["recorded"]
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
