"""Bad input at the public edge: a named error that says the field and what is allowed, and nothing stored by halves."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.errors import (
    DeletionRefused,
    IdempotencyConflict,
    InvalidCursor,
    InvalidDefinition,
    InvalidFilter,
    InvalidIdentifier,
    InvalidInput,
    InvalidPageSize,
    InvalidReference,
    InvalidTime,
    InvalidTransition,
    LedgerError,
    NotFound,
    SequenceConflict,
)
from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.stored import stored

NOBODY = UUID(int=7)
TEMPLATE = {"name": "small", "steps": [{"name": "a", "tool_name": "t"}]}


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with a template and an execution of it."""
    home = tmp_path_factory.mktemp("home")
    with Ledger.open(Settings(home=home, database_url=SecretStr(module_ledger_url))) as opened:
        opened.templates.save(TEMPLATE)
        opened.templates.save({**TEMPLATE, "name": "other"})
        yield opened


@pytest.fixture(scope="module")
def running(ledger: Ledger) -> UUID:
    """A running execution of that template, its only step dispatched."""
    started = ledger.workflows.start("small").execution_id
    ledger.workflows.dispatch(started)
    return started


Attempt = Callable[[Ledger, UUID], object]


def refused(ledger: Ledger, error: type[LedgerError], match: str, attempt: Callable[[], object]) -> None:
    """The attempt raises exactly this error, and leaves everything as it was."""
    before = stored(ledger)
    with pytest.raises(error, match=match) as caught:
        attempt()
    assert type(caught.value) is error
    assert stored(ledger) == before


def created(**fields: Any) -> events.WorkflowCreated:
    return events.WorkflowCreated(occurred_at=datetime.now(UTC), **fields)


WITH_AN_EXECUTION: dict[str, Attempt] = {
    "append": lambda of, _: of.append("x", []),
    "events": lambda of, _: of.events("x"),
    "replay": lambda of, _: of.replay("x"),
    **{
        name: lambda of, _, name=name, more=more: getattr(of.workflows, name)("x", *more)
        for name, more in {
            "state": (),
            "next_steps": (),
            "begin": (),
            "rerun": (),
            "dispatch": (),
            "complete_step": ("a",),
            "fail_step": ("a", "no"),
            "retry_step": ("a",),
            "skip_step": ("a",),
            "collect_child": ("a",),
            "pause": (),
            "resume": (),
            "request_input": (),
            "receive_input": ({},),
            "request_approval": ("x",),
            "apply_approval": (NOBODY, "approved"),
            "update_context": ({},),
            "log": ("x",),
            "record_usage": ("1", "gpt-4o"),
            "open_artifact": (NOBODY,),
            "complete": (),
            "fail": ("no",),
            "cancel": (),
            "abort": (),
            "time_out": (),
        }.items()
    },
    "dispatch_unplanned": lambda of, _: of.workflows.dispatch_unplanned("x", tool_name="t"),
    "record_artifact": lambda of, _: of.workflows.record_artifact("x", "a", "log", source=b"x"),
}


@pytest.mark.mission("C3")
@pytest.mark.parametrize("command", WITH_AN_EXECUTION)
def test_an_execution_id_that_is_none_is_named(ledger: Ledger, running: UUID, command: str) -> None:
    attempt = WITH_AN_EXECUTION[command]
    refused(ledger, InvalidIdentifier, "^execution_id: 'x' is not a UUID", lambda: attempt(ledger, running))


OTHER_IDS: list[tuple[str, Attempt]] = [
    ("approval_id", lambda of, e: of.workflows.apply_approval(e, "x", "approved")),
    ("approval_id", lambda of, e: of.workflows.request_approval(e, "s", approval_id="x")),
    ("artifact_id", lambda of, e: of.workflows.open_artifact(e, "x")),
    ("artifact_id", lambda of, e: of.workflows.record_artifact(e, "a", "log", uri="s3://b", artifact_id="x")),
    ("drive_id", lambda of, _: of.workflows.start(definition=TEMPLATE, drive_id="x")),
    ("execution_id", lambda of, _: of.workflows.start(definition=TEMPLATE, execution_id="x")),
    ("WorkflowCreated: user_id", lambda of, _: of.workflows.start(definition=TEMPLATE, user_id="x")),
    ("WorkflowCreated: agent_id", lambda of, _: of.workflows.start(definition=TEMPLATE, agent_id=5)),
    ("template", lambda of, _: of.workflows.start(5)),
    ("template", lambda of, _: of.templates.get(5)),
    ("drive_id", lambda of, _: of.templates.get("small", drive_id="x")),
    ("drive_id", lambda of, _: of.templates.save(TEMPLATE, drive_id="x")),
    ("created_by", lambda of, _: of.templates.save(TEMPLATE, created_by=5)),
    ("template_id", lambda of, _: of.templates.save(TEMPLATE, template_id="x")),
    ("template_id", lambda of, _: of.templates.versions(5)),
    ("template_id", lambda of, _: of.templates.delete("x")),
    ("template_id", lambda of, _: of.templates.set_status("x", "draft")),
    ("id", lambda of, _: of.people.users.get("x")),
    ("id", lambda of, _: of.people.drives.delete("x")),
    ("id", lambda of, _: of.people.agents.update("x", name="a")),
    ("drive_id", lambda of, _: of.people.customers.create("c", drive_id="x")),
    ("after", lambda of, _: of.people.users.list(after="x")),
    ("drive_id", lambda of, _: of.people.members("x")),
    ("user_id", lambda of, _: of.people.set_member(NOBODY, "x", "read")),
    ("drive_id", lambda of, _: of.people.remove_member("x", NOBODY)),
    ("user_id", lambda of, _: act_for(of.connection, "x")),
    (r"events\[0\].user_id", lambda of, _: of.append(NOBODY, [{"event_type": "WorkflowCreated", "user_id": "x"}])),
    (
        r"events\[0\].execution_id",
        lambda of, _: of.append_many([{"event_type": "WorkflowCreated", "execution_id": "x"}] * 10_001),
    ),
]


@pytest.mark.mission("C3")
@pytest.mark.parametrize(("field", "attempt"), OTHER_IDS)
def test_an_id_that_is_none_is_named(ledger: Ledger, running: UUID, field: str, attempt: Attempt) -> None:
    refused(ledger, InvalidIdentifier, f"^{field}: ", lambda: attempt(ledger, running))


@pytest.mark.mission("C3")
@pytest.mark.parametrize("size", ["50", 1.5, None, 0, 501, True])
def test_a_page_size_is_a_whole_number_in_range(ledger: Ledger, running: UUID, size: Any) -> None:
    match = "must be a whole number from 1 to 500, got "
    refused(ledger, InvalidPageSize, f"^page_size: {match}", lambda: ledger.templates.list(page_size=size))
    refused(ledger, InvalidPageSize, f"^page_size: {match}", lambda: ledger.queries.artifacts(running, page_size=size))
    limit = 1001 if size == 501 else size
    refused(
        ledger,
        InvalidPageSize,
        "^limit: must be a whole number from 1 to 1000",
        lambda: ledger.people.users.list(limit=limit),
    )


@pytest.mark.mission("C3")
@pytest.mark.parametrize("cursor", ["", "x", "☃", "e30", 5])
def test_a_cursor_is_one_that_the_answer_gave(ledger: Ledger, running: UUID, cursor: Any) -> None:
    refused(ledger, InvalidCursor, "^cursor: ", lambda: ledger.queries.artifacts(running, cursor=cursor))
    refused(ledger, InvalidCursor, "^cursor: ", lambda: ledger.templates.list(cursor=cursor))


@pytest.mark.mission("C3")
def test_a_cursor_of_templates_belongs_to_its_filters(ledger: Ledger) -> None:
    cursor = ledger.templates.list(page_size=1).next_cursor
    assert cursor
    refused(
        ledger, InvalidCursor, "^cursor: it belongs to another", lambda: ledger.templates.list(cursor=cursor, tag="x")
    )
    refused(ledger, InvalidCursor, "^cursor: it belongs to another", lambda: ledger.queries.executions(cursor=cursor))


@pytest.mark.mission("C3")
@pytest.mark.parametrize(
    ("filters", "match"),
    [
        ({"colour": 1}, "^colour: not a filter of templates; allowed: drive_id, "),
        ({"drive_id": "x"}, "^drive_id: .*UUID.*got 'x'"),
        ({"created_by": 5}, "^created_by: .*UUID"),
        ({"status": "done"}, "^status: .*draft.*archived.*got 'done'"),
        ({"tag": 5}, "^tag: .*string"),
        ({"category": ""}, "^category: .*at least 1"),
        ({"name": "a\0b"}, "^name: .*printable"),
        ({"is_public": "perhaps"}, "^is_public: .*boolean"),
    ],
)
def test_a_wrong_filter_of_templates_is_named(ledger: Ledger, filters: dict[str, Any], match: str) -> None:
    refused(ledger, InvalidFilter, match, lambda: ledger.templates.list(**filters))


@pytest.mark.mission("C3")
@pytest.mark.parametrize("filters", [{"colour": 1}, {"status": "done"}, {"user": "me"}])
def test_a_wrong_filter_of_an_answer_is_named(ledger: Ledger, filters: dict[str, Any]) -> None:
    refused(ledger, InvalidFilter, f"^{next(iter(filters))}: ", lambda: ledger.queries.executions(**filters))


WRONG_VALUES: list[tuple[type[LedgerError], str, Attempt]] = [
    (InvalidInput, "^idempotency_key: is 5; allowed: text", lambda of, _: of.append(NOBODY, [], idempotency_key=5)),
    (InvalidInput, "^idempotency_key: is empty", lambda of, _: of.append(NOBODY, [created()], idempotency_key="")),
    (InvalidInput, "^expected_sequence: is 'x'", lambda of, _: of.append(NOBODY, [], expected_sequence="x")),
    (InvalidInput, r"^events\[0\]: is 5; allowed: an event", lambda of, e: of.append(e, [5])),
    (InvalidInput, "^events: is None; allowed: a list", lambda of, e: of.append(e, None)),
    (InvalidInput, r"^events\[0\]: is 5", lambda of, _: of.append_many([5])),
    (InvalidInput, "^as_of: is 'x'; allowed: a sequence", lambda of, e: of.replay(e, "x")),
    (InvalidTime, "^known_at: is 5; allowed: a datetime", lambda of, e: of.replay(e, known_at=5)),
    (InvalidInput, "^status: 'x' is not known; allowed: draft", lambda of, _: of.templates.set_status(NOBODY, "x")),
    (InvalidInput, "^change_type: 'x' .*allowed: create", lambda of, _: of.templates.save(TEMPLATE, change_type="x")),
    (
        InvalidInput,
        "^change_type: 'x'",
        lambda of, _: of.templates.save({**TEMPLATE, "name": "first"}, change_type="x"),
    ),
    (InvalidInput, "^change_summary: is 5", lambda of, _: of.templates.save(TEMPLATE, change_summary=5)),
    (InvalidInput, "^expected_version: is '1'", lambda of, _: of.templates.save(TEMPLATE, expected_version="1")),
    (InvalidInput, "^version: is 1.5; allowed: a number", lambda of, _: of.templates.get("small", version=1.5)),
    (InvalidDefinition, "^definition: is of type int", lambda of, _: of.templates.save(5)),
    (InvalidDefinition, "^definition: is of type int", lambda of, _: of.workflows.start(definition=5)),
    (InvalidInput, "^metadata: is .1.; allowed: an object", lambda of, _: of.workflows.start("small", metadata=[1])),
    (InvalidTime, "^at: is 'now'; allowed: a datetime", lambda of, _: of.workflows.start("small", at="now")),
    (InvalidTime, "^at: is 'now'; allowed: a datetime", lambda of, e: of.workflows.pause(e, at="now")),
    (InvalidInput, "^operator_id: is empty", lambda of, _: of.workflows.acting_as("")),
    (InvalidInput, "^operator_kind: 'robot' .*allowed: user", lambda of, _: of.workflows.acting_as("a", "robot")),
    (InvalidInput, "^uri: is empty", lambda of, e: of.workflows.record_artifact(e, "a", "log", uri="")),
    (InvalidInput, "^name: is 5", lambda of, e: of.workflows.record_artifact(e, 5, "log", uri="s3://b")),
    (
        InvalidInput,
        "^source: is '/nonexistent'; allowed: bytes, a Path",
        lambda of, e: of.workflows.record_artifact(e, "a", "log", source="/nonexistent"),
    ),
    (
        InvalidInput,
        "^source: /nonexistent can't be read",
        lambda of, e: of.workflows.record_artifact(e, "a", "log", source=Path("/nonexistent")),
    ),
    (InvalidInput, "^name: is 5; allowed: text", lambda of, _: of.people.users.create(5)),
    (InvalidInput, "^email: is 5", lambda of, _: of.people.users.create("a", email=5)),
    (InvalidInput, "^metadata: is .1.; allowed: an object", lambda of, _: of.people.users.create("a", metadata=[1])),
    (
        InvalidInput,
        "^colour: no field of drives; allowed: name",
        lambda of, _: of.people.drives.update(NOBODY, colour=1),
    ),
    (
        InvalidInput,
        "^email: none of a new drive's; allowed: descr",
        lambda of, _: of.people.drives.create("d", email="e"),
    ),
    (InvalidInput, "^changes: there are none", lambda of, _: of.people.drives.update(NOBODY)),
    (InvalidInput, "^access: 'x' .*allowed: read, write", lambda of, _: of.people.set_member(NOBODY, NOBODY, "x")),
]


@pytest.mark.mission("C3")
@pytest.mark.parametrize(("error", "match", "attempt"), WRONG_VALUES)
def test_a_wrong_value_is_named(
    ledger: Ledger, running: UUID, error: type[LedgerError], match: str, attempt: Attempt
) -> None:
    refused(ledger, error, match, lambda: attempt(ledger, running))


@pytest.mark.mission("C3")
@pytest.mark.parametrize("field", ["drive_id", "customer_id", "user_id", "agent_id"])
def test_an_unknown_drive_customer_user_or_agent_is_named(ledger: Ledger, field: str) -> None:
    attempts = (
        lambda: ledger.workflows.start(definition=TEMPLATE, **{field: NOBODY}),
        lambda: ledger.append(uuid.uuid4(), [created(**{field: NOBODY})]),
    )
    for attempt in attempts:
        refused(ledger, InvalidReference, f"^{field}: {NOBODY} is not known", attempt)


def test_a_member_of_an_unknown_drive_and_a_login_that_is_taken_are_named(ledger: Ledger) -> None:
    refused(
        ledger,
        InvalidReference,
        f"^drive_id: {NOBODY} is not known|^user_id: {NOBODY} is not known",
        lambda: ledger.people.set_member(NOBODY, NOBODY, "read"),
    )
    ledger.people.users.create("first", database_login="somebody")
    refused(
        ledger,
        InvalidReference,
        "^database_login: somebody is taken already",
        lambda: ledger.people.users.create("second", database_login="somebody"),
    )


def move(kind: type[events.Event], **fields: Any) -> Callable[[UUID], list[events.Event]]:
    return lambda _: [kind(occurred_at=datetime.now(UTC), **fields)]


@pytest.mark.mission("C3")
@pytest.mark.parametrize(
    ("error", "match", "given"),
    [
        (InvalidTransition, "not allowed while the execution is running", move(events.WorkflowResumed)),
        (InvalidTransition, "the execution exists already", lambda _: [created()]),
        (InvalidTransition, "1 agent call", move(events.WorkflowCompleted)),
        (InvalidReference, f"step_id: {NOBODY} is not a step", move(events.StepSkipped, step_id=NOBODY)),
        (
            InvalidReference,
            f"approval_id: {NOBODY} is not requested",
            move(events.ApprovalApplied, approval_id=NOBODY, decision="approved"),
        ),
        (
            InvalidTime,
            "occurred_at: .* ahead of the server's clock",
            lambda _: [
                events.LogRecorded(occurred_at=datetime.now(UTC) + timedelta(hours=1), log_level="info", message="m")
            ],
        ),
    ],
)
def test_an_append_says_which_kind_of_wrong_it_is(
    ledger: Ledger,
    running: UUID,
    error: type[LedgerError],
    match: str,
    given: Callable[[UUID], list[events.Event]],
) -> None:
    refused(ledger, error, match, lambda: ledger.append(running, given(running)))


def test_an_append_to_an_unknown_execution_a_wrong_sequence_and_a_used_key(ledger: Ledger, running: UUID) -> None:
    def log(text: str, **fields: Any) -> list[events.Event]:
        return [
            events.LogRecorded(occurred_at=datetime(2026, 1, 1, tzinfo=UTC), log_level="info", message=text, **fields)
        ]

    refused(ledger, InvalidReference, "the execution does not exist", lambda: ledger.append(NOBODY, log("x")))
    refused(
        ledger, SequenceConflict, "sequence: 99 was expected", lambda: ledger.append(running, log("x", sequence=99))
    )
    ledger.append(running, log("x"), idempotency_key="k")
    refused(
        ledger,
        IdempotencyConflict,
        "^idempotency_key: 'k'",
        lambda: ledger.append(running, log("y"), idempotency_key="k"),
    )


def test_a_deletion_that_would_lose_an_execution_is_refused(ledger: Ledger, running: UUID) -> None:
    template = ledger.templates.get("small").id
    refused(
        ledger,
        DeletionRefused,
        f"execution {running} has events in the hot store",
        lambda: ledger.templates.delete(template),
    )


def test_what_is_not_there_is_not_found(ledger: Ledger) -> None:
    for attempt in (
        lambda: ledger.events(NOBODY),
        lambda: ledger.replay(NOBODY),
        lambda: ledger.templates.versions(NOBODY),
        lambda: ledger.templates.set_status(NOBODY, "draft"),
        lambda: ledger.templates.delete(NOBODY),
        lambda: ledger.people.users.get(NOBODY),
        lambda: ledger.people.users.update(NOBODY, name="a"),
        lambda: ledger.people.users.delete(NOBODY),
        lambda: ledger.people.remove_member(NOBODY, NOBODY),
    ):
        refused(ledger, NotFound, str(NOBODY), attempt)
