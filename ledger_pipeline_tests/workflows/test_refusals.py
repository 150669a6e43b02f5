"""What every command refuses, by which error: nothing is stored then, not an event and not a row."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline import Ledger
from ledger_pipeline.errors import (
    InvalidDefinition,
    InvalidInput,
    InvalidReference,
    InvalidTemplate,
    InvalidTime,
    InvalidTransition,
    LedgerError,
    NotFound,
    SchemaViolation,
    SequenceConflict,
)
from ledger_pipeline.events.enums import TemplateStatus
from ledger_pipeline.templates import Templates
from ledger_pipeline.workflows.workflows import Workflows
from ledger_pipeline_tests.stored import stored
from ledger_pipeline_tests.templates.printed import VM_DEPLOYMENT
from ledger_pipeline_tests.workflows.conftest import Place, Save
from ledger_pipeline_tests.workflows.definitions import SETUP_VM_BACKUP, action

NOBODY = uuid.UUID(int=7)
ASKING = {
    "name": "write",
    "agent_id": "writer",
    "prompt_template": "Write",
    "requires_user_input": True,
    "input_schema": {"type": "object", "required": ["tone"], "properties": {"tone": {"enum": ["dry", "warm"]}}},
}
LOOP = {
    "name": "each",
    "type": "loop",
    "collection": "{{workflow.parameters.servers}}",
    "steps": [action("one"), action("two")],
}
PARALLEL = {"name": "both", "type": "parallel", "steps": [action("left"), action("right")]}
STEPS = [action("first", retry_count=1), ASKING, LOOP, PARALLEL, action("last")]
DEFINITION = {"name": "everything", "parameters": {"servers": {"default": 3}}, "steps": STEPS}

Command = Callable[[Workflows, UUID], object]


def refused(ledger: Ledger, error: type[LedgerError], match: str, command: Callable[[], object]) -> None:
    before = stored(ledger)
    with pytest.raises(error, match=match) as caught:
        command()
    assert type(caught.value) is error
    assert stored(ledger) == before


@pytest.fixture
def execution_id(workflows: Workflows) -> UUID:
    """A running execution, its first step dispatched."""
    started = workflows.start(definition=DEFINITION).execution_id
    workflows.dispatch(started)
    return started


@pytest.mark.parametrize(
    ("error", "match", "command"),
    [
        (
            InvalidTransition,
            "step: 'last' is pending and not ready to be dispatched; ready: none",
            lambda w, e: w.dispatch(e, "last"),
        ),
        (InvalidTransition, "step: 'first' is running and not ready", lambda w, e: w.dispatch(e, "first")),
        (InvalidTransition, "no step is ready to be dispatched", lambda w, e: w.dispatch(e)),
        (
            InvalidReference,
            r"step: 'second' is not a step of this execution; its steps: first",
            lambda w, e: w.dispatch(e, "second"),
        ),
        (InvalidReference, "call: .* is neither a call nor a step", lambda w, e: w.complete_step(e, NOBODY)),
        (InvalidTransition, "step: 'last' is pending, no call of it is open", lambda w, e: w.complete_step(e, "last")),
        (
            InvalidTransition,
            "step: 'last' is pending, no call of it is open",
            lambda w, e: w.fail_step(e, "last", "no"),
        ),
        (InvalidInput, "StepFailed: error_message", lambda w, e: w.fail_step(e, "first", "")),
        (InvalidInput, "StepFailed: error_message", lambda w, e: w.fail_step(e, "first", "a\x1fb")),
        (
            InvalidTransition,
            "step: 'first' is running; allowed while it is: failed",
            lambda w, e: w.retry_step(e, "first"),
        ),
        (
            InvalidTransition,
            "step: 'first' is running; allowed while it is: pending, retrying",
            lambda w, e: w.skip_step(e, "first"),
        ),
        (InvalidReference, "step: 'nowhere' is not a step", lambda w, e: w.skip_step(e, "nowhere")),
        (InvalidTransition, "step: 'first' runs no child execution", lambda w, e: w.collect_child(e, "first")),
        (InvalidTransition, "the execution is running; allowed while it is: paused", lambda w, e: w.resume(e)),
        (InvalidTransition, "the execution is running; allowed while it is: pending", lambda w, e: w.begin(e)),
        (InvalidInput, "user_input: this execution has not asked for any", lambda w, e: w.receive_input(e, {})),
        (InvalidReference, "step: 'nowhere'", lambda w, e: w.request_input(e, "nowhere")),
        (InvalidInput, "input_schema.type: ", lambda w, e: w.request_input(e, "write", schema={"type": "objekt"})),
        (
            InvalidReference,
            "approval_id: .* was not requested here; waiting: none",
            lambda w, e: w.apply_approval(e, NOBODY, "approved"),
        ),
        (InvalidReference, "call: 'nowhere'", lambda w, e: w.request_approval(e, "x", call="nowhere")),
        (InvalidInput, "ApprovalRequested: approval_subject", lambda w, e: w.request_approval(e, "")),
        (InvalidInput, "ContextUpdated: patch: .* valid dictionary", lambda w, e: w.update_context(e, [1])),
        (InvalidInput, r"payload: .*|payload\.patch\.a: ", lambda w, e: w.update_context(e, {"a": "\ud800"})),
        (
            InvalidInput,
            "LogRecorded: log_level: .*'debug', 'info', 'warning' or 'error'",
            lambda w, e: w.log(e, "x", level="loud"),
        ),
        (InvalidReference, "step: 'nowhere'", lambda w, e: w.log(e, "x", step="nowhere")),
        (
            InvalidInput,
            "ArtifactRecorded: artifact_type",
            lambda w, e: w.record_artifact(e, "a", "poem", uri="s3://b/a"),
        ),
        (InvalidInput, "source: give the bytes to copy, or the uri", lambda w, e: w.record_artifact(e, "a", "log")),
        (
            InvalidReference,
            "step: 'nowhere'",
            lambda w, e: w.record_artifact(e, "a", "log", uri="s3://b/a", step="nowhere"),
        ),
        (InvalidInput, "TokensUpdated: input_tokens: ", lambda w, e: w.record_usage(e, "1", "gpt-4o", input_tokens=-1)),
        (InvalidInput, "usage: 'tokens' is no field", lambda w, e: w.record_usage(e, "1", "gpt-4o", tokens=1)),
        (
            InvalidTransition,
            r"calls are still open: complete or fail them first: first \(0\)",
            lambda w, e: w.complete(e),
        ),
        (InvalidInput, "WorkflowFailed: error_message", lambda w, e: w.fail(e, "")),
        (InvalidInput, "WorkflowTimedOut: limit_seconds", lambda w, e: w.time_out(e, -1)),
        (
            InvalidTime,
            "^at: is .*; allowed: a datetime with its time zone",
            lambda w, e: w.complete_step(e, "first", at=datetime(2026, 1, 1)),
        ),
        (
            InvalidTime,
            "occurred_at: .* ahead of the server's clock",
            lambda w, e: w.complete_step(e, "first", at=datetime.now(UTC) + timedelta(hours=1)),
        ),
        (InvalidInput, "payload", lambda w, e: w.complete_step(e, "first", float("nan"))),
        (InvalidTransition, "a re-run is allowed when it is: failed, timeout", lambda w, e: w.rerun(e)),
        (
            InvalidDefinition,
            "step: has both agent_id and tool_name",
            lambda w, e: w.dispatch_unplanned(e, agent="a", prompt="p", tool_name="t"),
        ),
        (InvalidDefinition, "^name: ", lambda w, e: w.dispatch_unplanned(e, name="a b", tool_name="t")),
        (NotFound, "execution_id: .* does not exist", lambda w, _: w.pause(NOBODY)),
        (NotFound, "execution_id: .* does not exist", lambda w, _: w.record_artifact(NOBODY, "a", "log", source=b"x")),
        (NotFound, "artifact_id: .* is no artifact", lambda w, e: w.open_artifact(e, NOBODY)),
        (InvalidInput, "ArtifactRecorded: artifact_type", lambda w, e: w.record_artifact(e, "a", "poem", source=b"x")),
        (
            InvalidReference,
            "step: 'nowhere'",
            lambda w, e: w.record_artifact(e, "a", "log", source=b"x", step="nowhere"),
        ),
    ],
)
def test_a_command_refuses(
    ledger: Ledger, workflows: Workflows, execution_id: UUID, error: type[LedgerError], match: str, command: Command
) -> None:
    refused(ledger, error, match, lambda: command(workflows, execution_id))


def test_a_step_waits_for_its_input_and_takes_no_other(
    ledger: Ledger, workflows: Workflows, execution_id: UUID
) -> None:
    workflows.complete_step(execution_id, "first")
    refused(
        ledger,
        InvalidTransition,
        "'write' needs a person's input before it runs",
        lambda: workflows.dispatch(execution_id),
    )
    workflows.request_input(execution_id)
    for given, match in (
        ({"tone": "loud"}, r"user_input\.tone: is 'loud'; allowed: dry, warm"),
        ({}, r"user_input\.tone: is missing"),
        ("dry", "user_input: is 'dry'; allowed: object"),
    ):
        refused(ledger, SchemaViolation, match, lambda: workflows.receive_input(execution_id, given))  # noqa: B023
    refused(ledger, InvalidInput, "user_input: is missing", lambda: workflows.receive_input(execution_id, None))
    refused(ledger, InvalidTransition, "the execution is awaiting_input", lambda: workflows.dispatch(execution_id))
    refused(ledger, InvalidTransition, "the execution is awaiting_input", lambda: workflows.resume(execution_id))
    refused(ledger, InvalidTransition, "the execution is awaiting_input", lambda: workflows.complete(execution_id))

    workflows.receive_input(execution_id, {"tone": "dry"})
    workflows.complete_step(execution_id, workflows.dispatch(execution_id).call_id)

    refused(
        ledger,
        InvalidInput,
        "collection: '{{workflow.parameters.servers}}' of step 'each' is a value of type int; allowed: a list",
        lambda: workflows.dispatch(execution_id),
    )
    refused(
        ledger,
        InvalidTransition,
        r"steps are still to be done: each \(2\); dispatch or skip them, or say skip_remaining",
        lambda: workflows.complete(execution_id),
    )
    workflows.skip_step(execution_id, "each", "no list")
    workflows.dispatch(execution_id)
    refused(
        ledger,
        InvalidTransition,
        "step: 'both' is a parallel: it ends by itself, with its steps",
        lambda: workflows.complete_step(execution_id, "both"),
    )


def test_a_failed_step_has_no_attempt_beyond_its_maximum(ledger: Ledger, workflows: Workflows) -> None:
    definition = {"name": "small", "steps": [action("a", on_failure="continue"), action("b")]}
    execution_id = workflows.start(definition=definition).execution_id
    workflows.fail_step(execution_id, workflows.dispatch(execution_id).call_id, "no")
    refused(
        ledger,
        InvalidTransition,
        r"'a' has had all its attempts \(1\)",
        lambda: workflows.retry_step(execution_id, "a"),
    )
    refused(
        ledger,
        InvalidTransition,
        "call: .* of step 'a' has ended",
        lambda: workflows.complete_step(execution_id, UUID(next(iter(workflows.state(execution_id).calls)))),
    )


def test_an_ended_execution_takes_no_command_that_changes_its_course(
    ledger: Ledger, workflows: Workflows, execution_id: UUID
) -> None:
    approval = workflows.request_approval(execution_id, "deploy")
    workflows.cancel(execution_id)
    commands: list[Command] = [
        lambda w, e: w.dispatch(e),
        lambda w, e: w.complete_step(e, "first"),
        lambda w, e: w.fail_step(e, "first", "no"),
        lambda w, e: w.retry_step(e, "first"),
        lambda w, e: w.skip_step(e, "last"),
        lambda w, e: w.pause(e),
        lambda w, e: w.resume(e),
        lambda w, e: w.request_input(e),
        lambda w, e: w.request_approval(e, "x"),
        lambda w, e: w.apply_approval(e, approval, "approved"),
        lambda w, e: w.update_context(e, {}),
        lambda w, e: w.complete(e),
        lambda w, e: w.fail(e, "x"),
        lambda w, e: w.cancel(e),
        lambda w, e: w.abort(e),
        lambda w, e: w.time_out(e),
    ]
    for command in commands:
        refused(
            ledger,
            InvalidTransition,
            r"the execution has ended \(cancelled\)",
            lambda: command(workflows, execution_id),  # noqa: B023
        )


def test_an_approval_is_decided_once(ledger: Ledger, workflows: Workflows, execution_id: UUID) -> None:
    approval = workflows.request_approval(execution_id, "deploy")
    refused(
        ledger,
        InvalidInput,
        "ApprovalApplied: decision",
        lambda: workflows.apply_approval(execution_id, approval, "maybe"),
    )
    workflows.apply_approval(execution_id, approval, "rejected")
    refused(
        ledger,
        InvalidTransition,
        r"was decided already \(rejected\)",
        lambda: workflows.apply_approval(execution_id, approval, "approved"),
    )
    refused(
        ledger,
        InvalidReference,
        "was requested before",
        lambda: workflows.request_approval(execution_id, "again", approval_id=approval),
    )


@pytest.mark.mission("E1")
def test_only_active_and_deprecated_templates_run(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place
) -> None:
    template_id = save(**SETUP_VM_BACKUP)
    templates = Templates(ledger.connection)
    for status in (TemplateStatus.DRAFT, TemplateStatus.ARCHIVED):
        templates.set_status(template_id, status)
        refused(
            ledger,
            InvalidTemplate,
            f"template setup_vm_backup: its status is {status}; allowed: active, deprecated",
            lambda: workflows.start(template_id, input={"vm_id": "vm-1"}),
        )
    templates.set_status(template_id, TemplateStatus.DEPRECATED)
    started = workflows.start("setup_vm_backup", drive_id=place.drive_id, input={"vm_id": "vm-1"})
    assert started.warnings == ("template: setup_vm_backup is deprecated",)


@pytest.mark.mission("E4")
@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({}, r"input\.vm_name: is missing; allowed: it is required"),
        ({"vm_name": 7}, r"input\.vm_name: is 7; allowed: string"),
        ({"vm_name": "a", "backup_enabled": "yes"}, r"input\.backup_enabled: is 'yes'; allowed: boolean"),
        ("web-1", "input: is 'web-1'; allowed: an object"),
    ],
)
def test_input_that_the_parameters_refuse(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place, given: Any, match: str
) -> None:
    save(**VM_DEPLOYMENT)
    refused(
        ledger,
        SchemaViolation,
        match,
        lambda: workflows.start("vm_deployment", drive_id=place.drive_id, input=given),
    )


@pytest.mark.parametrize(
    ("error", "match", "given"),
    [
        (NotFound, "template nowhere does not exist in drive", {"template": "nowhere"}),
        (NotFound, f"template {NOBODY} does not exist", {"template": NOBODY}),
        (InvalidInput, "template: give a stored template or a definition", {}),
        (
            InvalidInput,
            "template: give a stored template or a definition",
            {"template": "a", "definition": {"name": "a"}},
        ),
        (
            InvalidDefinition,
            r"steps\[0\]: calls neither an agent nor a tool",
            {"definition": {"name": "a", "steps": [{}]}},
        ),
        (
            InvalidInput,
            "metadata: 'definition' is a name of the ledger's own",
            {"definition": {"name": "a"}, "metadata": {"definition": 1}},
        ),
        (InvalidInput, "WorkflowCreated: workflow_type", {"definition": {"name": "a"}, "workflow_type": "holiday"}),
        (
            InvalidInput,
            "WorkflowCreated: budget_usd: .* money is a decimal",
            {"definition": {"name": "a"}, "budget_usd": 0.1},
        ),
        (InvalidReference, f"customer_id: {NOBODY} is not known", {"definition": {"name": "a"}, "customer_id": NOBODY}),
    ],
)
def test_a_start_refuses(
    ledger: Ledger, workflows: Workflows, place: Place, error: type[LedgerError], match: str, given: dict[str, Any]
) -> None:
    refused(ledger, error, match, lambda: workflows.start(**{"drive_id": place.drive_id, **given}))


def test_an_execution_is_created_once(ledger: Ledger, workflows: Workflows, execution_id: UUID) -> None:
    refused(
        ledger,
        SequenceConflict,
        "the execution's last sequence is",
        lambda: workflows.start(definition={"name": "again"}, execution_id=execution_id),
    )


@pytest.mark.mission("E3")
def test_a_link_that_cannot_start_its_child_leaves_both_untouched(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place
) -> None:
    link = {"name": "link", "type": "workflow_link", "workflow_name": "setup_vm_backup", "parameters": {"vm_id": 1}}
    execution_id = workflows.start(definition={"name": "parent", "steps": [link]}, drive_id=place.drive_id).execution_id
    refused(
        ledger, NotFound, "template setup_vm_backup does not exist in drive", lambda: workflows.dispatch(execution_id)
    )
    template_id = save(**SETUP_VM_BACKUP)
    refused(ledger, SchemaViolation, r"input\.vm_id: is 1; allowed: string", lambda: workflows.dispatch(execution_id))
    Templates(ledger.connection).set_status(template_id, TemplateStatus.ARCHIVED)
    refused(ledger, InvalidTemplate, "its status is archived", lambda: workflows.dispatch(execution_id))
