"""A ledger with two drives, X and Y, each with something in every table; and who belongs to which."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ledger_pipeline import Ledger, events
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.members import DriveAccess, set_member
from ledger_pipeline.hot.people import create_agent, create_customer, create_drive, create_user

NOW = datetime.now(UTC) - timedelta(minutes=1)
PAST = NOW - timedelta(weeks=5)


@dataclass
class DriveStory:
    """One drive and the ids of what is in it; `mark` stands in all of its texts."""

    mark: str
    drive: UUID
    users: dict[str, UUID] = field(default_factory=dict[str, UUID])
    customer: UUID = field(default_factory=uuid.uuid4)
    agent: UUID = field(default_factory=uuid.uuid4)
    execution: UUID = field(default_factory=uuid.uuid4)
    step: UUID = field(default_factory=uuid.uuid4)
    call: UUID = field(default_factory=uuid.uuid4)
    approval: UUID = field(default_factory=uuid.uuid4)
    artifact: UUID = field(default_factory=uuid.uuid4)
    template: UUID | None = None

    @property
    def ids(self) -> list[UUID]:
        """Every id that belongs to the drive."""
        own = [
            self.drive,
            self.customer,
            self.agent,
            self.execution,
            self.step,
            self.call,
            self.approval,
            self.artifact,
        ]
        return [*own, *self.users.values(), *([self.template] if self.template else [])]


def tell(connection: Connection, mark: str, logins: dict[str, str]) -> DriveStory:
    """Fills a drive, as a superuser; `logins` names the database login of each of its users by their access."""
    story = people(connection, mark, logins)
    append(connection, story.execution, beginning(story), idempotency_key="first")
    append(connection, story.execution, work(story))
    take_snapshot(connection, story)
    return story


def tell_of_the_past(connection: Connection, mark: str, ended_at: datetime, **fields: Any) -> DriveStory:
    """Fills a drive whose only execution ended at a time in the past; `fields` are of its creation."""
    story = people(connection, mark, {})
    fields = {name: getattr(story, value) for name, value in fields.items()}
    told = [*beginning(story, **fields), *work(story), events.WorkflowCancelled(occurred_at=NOW)]
    given = {"occurred_at": ended_at, "execution_id": story.execution}
    append_many(connection, [event.to_row() | given for event in told], history=True)
    # History comes in bulk, which knows no keys.
    connection.execute(
        "INSERT INTO append_keys (execution_id, key, request_hash, first_sequence, last_sequence)"
        " VALUES (%s, 'first', sha256('x'), 1, 2)",
        (story.execution,),
    )
    take_snapshot(connection, story)
    return story


def past(connection: Connection, story: DriveStory) -> list[UUID]:
    """Two ended executions of the drive of five weeks ago; answers their ids and that of the one that runs now."""
    made: list[UUID] = []
    for hours in (1, 2):
        own = replace(
            story, execution=uuid.uuid4(), step=uuid.uuid4(), call=uuid.uuid4(), approval=uuid.uuid4(),
            artifact=uuid.uuid4(),
        )  # fmt: skip
        failed = events.WorkflowFailed(occurred_at=NOW, error_code="E1", error_message=f"failed in {story.mark}")
        told = [*beginning(own), *work(own), failed]
        given = {"execution_id": own.execution, "occurred_at": PAST - timedelta(hours=hours)}
        append_many(connection, [event.to_row() | given for event in told], history=True)
        made.append(own.execution)
    return [*made, story.execution]


def grow_old(ledger: Ledger, how: str) -> None:
    """Rolls the past of two drives that have one, or prunes it; `hot` leaves it where it is."""
    now = datetime.now(UTC)
    if how == "rolled":
        assert ledger.roll(now)
    if how == "pruned":
        ledger.build_marts(now)
        assert ledger.prune(now, 0).executions == 4


def people(connection: Connection, mark: str, logins: dict[str, str]) -> DriveStory:
    """A drive with its people and a template, and no execution yet."""
    story = DriveStory(mark, create_drive(connection, f"drive {mark}").id)
    for access in DriveAccess:
        user = create_user(connection, f"{access} {mark}", email=f"{access}@{mark}", database_login=logins.get(access))
        set_member(connection, story.drive, user.id, access)
        story.users[access] = user.id
    story.customer = create_customer(connection, f"customer {mark}", drive_id=story.drive, contact={"to": mark}).id
    story.agent = create_agent(connection, f"agent {mark}", drive_id=story.drive, kind="coder").id
    budget(connection, story)
    story.template = template(connection, story, f"template_{mark.replace('-', '_')}", is_public=True)
    return story


def budget(connection: Connection, story: DriveStory) -> None:
    """A budget of the drive's customer, and what was counted of it."""
    connection.execute(
        "WITH made AS ("
        "  INSERT INTO budgets (drive_id, scope, customer_id, period, limit_usd)"
        "  VALUES (%s, 'customer', %s, 'month', 100) RETURNING id)"
        " INSERT INTO budget_totals SELECT id, now(), %s, 1, 1 FROM made",
        (story.drive, story.customer, story.mark),
    )


def take_snapshot(connection: Connection, story: DriveStory) -> None:
    """A snapshot that no replay uses: it is not what was hashed."""
    connection.execute(
        "INSERT INTO execution_snapshots VALUES (%s, 2, 1, sha256('x'), %s, now())",
        (story.execution, f'"{story.mark}"'),
    )


def template(connection: Connection, story: DriveStory, name: str, *, is_public: bool) -> UUID:
    """A template of the drive's writer, with a version and a step."""
    row = connection.execute(
        "WITH made AS ("
        "  INSERT INTO workflow_templates"
        "  (drive_id, name, title, version, current_version, status, tags, created_by, is_public)"
        "  VALUES (%s, %s, %s, '1.0.0', 1, 'active', %s, %s, %s) RETURNING id),"
        " version AS (INSERT INTO workflow_template_versions"
        "  (template_id, version_number, version_tag, template_snapshot, change_type, breaking_changes)"
        "  SELECT id, 1, '1.0.0', json_build_object('mark', %s::text), 'create', false FROM made),"
        " step AS (INSERT INTO workflow_template_steps (template_id, version, path, step_order, name, type, config)"
        "  SELECT id, 1, '0', 0, %s, 'action', '{}' FROM made)"
        " SELECT id FROM made",
        (story.drive, name, story.mark, [story.mark, "shared-tag"], story.users["write"], is_public, *[story.mark] * 2),
    ).fetchone()
    assert row is not None
    return row["id"]


def beginning(story: DriveStory, **fields: Any) -> list[events.Event]:
    """The events that open a drive's execution."""
    plan = (events.PlanStep(step_id=story.step, path="0", step_order=0, step_name=f"step {story.mark}"),)
    given: dict[str, Any] = {
        "plan": plan,
        "workflow_name": f"workflow {story.mark}",
        "drive_id": story.drive,
        "customer_id": story.customer,
        "agent_id": story.agent,
        "agent_name": f"agent {story.mark}",
        "user_id": story.users["read"],
        "mode": story.mark,
        "parameters": {"to": story.mark},
        "budget_usd": "100",
    }
    return [
        events.WorkflowCreated(occurred_at=NOW, **(given | fields)),
        events.WorkflowStarted(occurred_at=NOW),
    ]


def work(story: DriveStory) -> list[events.Event]:
    """Events that put something of the drive into every projection."""
    mark, step, call = story.mark, story.step, story.call
    return [
        events.StepDispatched(occurred_at=NOW, step_id=step, call_id=call, tool_name=mark, input={"to": mark}),
        events.ApprovalRequested(
            occurred_at=NOW, step_id=step, approval_id=story.approval, approval_subject=mark, requested_from=mark
        ),
        events.TokensUpdated(
            occurred_at=NOW, step_id=step, call_id=call, model=f"model-{mark}", model_call_id=f"usage-{mark}",
            cost_usd="0.25", pricing_status="priced", input_tokens=12345,
        ),
        events.ArtifactRecorded(
            occurred_at=NOW, artifact_id=story.artifact, artifact_type="report", artifact_name=mark, uri=f"file:{mark}"
        ),
        events.LogRecorded(occurred_at=NOW, log_level="error", message=mark, step_id=step),
        events.ContextUpdated(occurred_at=NOW, patch={"note": mark}),
    ]  # fmt: skip
