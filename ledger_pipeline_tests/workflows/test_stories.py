"""The examples of the seeds, run from beginning to end: every one replays to what its rows hold."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline import Ledger
from ledger_pipeline.errors import SchemaViolation
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.workflows.answers import Dispatched
from ledger_pipeline.workflows.workflows import Workflows
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, VM_DEPLOYMENT
from ledger_pipeline_tests.workflows.conftest import Place, Save
from ledger_pipeline_tests.workflows.definitions import (
    BACKUP_AND_NOTIFY,
    DEPLOY_EVERYWHERE,
    SETUP_VM_BACKUP,
)

Replayed = Callable[[UUID], ExecutionState]
EventTypes = Callable[[UUID], list[str]]
REVIEW = {
    "review": "Code looks good, but consider error handling...",
    "suggestions": ["Add try-catch", "Validate inputs"],
}


def work_off(workflows: Workflows, execution_id: UUID, outputs: dict[str, Any]) -> list[Dispatched]:
    """Dispatches what is ready and completes it with the outputs by step name, until nothing is."""
    dispatched: list[Dispatched] = []
    while ready := workflows.next_steps(execution_id).ready:
        dispatched.append(workflows.dispatch(execution_id, ready[0].step_id))
        if dispatched[-1].work:
            output = outputs.get(ready[0].step_name, {})
            workflows.complete_step(execution_id, dispatched[-1].call_id, output)
    return dispatched


@pytest.mark.mission("D2")
@pytest.mark.mission("D3")
@pytest.mark.mission("A1")
def test_a_code_review_with_a_persons_input(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place, replayed: Replayed, event_types: EventTypes
) -> None:
    template_id = save(**CODE_REVIEW)
    code = 'function hello() { console.log("world"); }'

    started = workflows.start(
        "code_review_workflow", drive_id=place.drive_id, user_id=place.user_id, input={"code": code}
    )
    execution_id = started.execution_id

    review = workflows.dispatch(execution_id)
    assert (review.agent_name, review.prompt) == (
        "code-reviewer",
        f"Review the following code for bugs and improvements: {code}",
    )
    workflows.record_usage(
        execution_id, "1", "claude-sonnet-4-5", call=review.call_id, provider="anthropic", input_tokens=1000
    )
    workflows.complete_step(execution_id, review.call_id, REVIEW)
    state = replayed(execution_id)
    assert state.accumulated_context == {"code": code, "step_0_output": REVIEW}
    assert (state.progress_percentage, state.total_cost) == (Decimal("33.33"), Decimal("0.003"))
    call = state.calls[str(review.call_id)]
    assert (call.status, call.agent_name, call.input_tokens) == ("completed", "code-reviewer", 1000)

    analysis = workflows.dispatch(execution_id)
    assert analysis.prompt is not None
    assert '{"review": "Code looks good' in analysis.prompt
    workflows.complete_step(execution_id, analysis.call_id, {"vulnerabilities": []})

    (documentation,) = workflows.next_steps(execution_id).ready
    assert documentation.needs_input
    workflows.request_input(execution_id)
    assert workflows.next_steps(execution_id).waits_for == "input"
    assert replayed(execution_id).status == "paused"
    with pytest.raises(SchemaViolation, match=r"user_input.detailLevel: is 'exhaustive'; allowed: basic, detailed"):
        workflows.receive_input(execution_id, {"detailLevel": "exhaustive"})
    workflows.acting_as("ada").receive_input(execution_id, {"includeExamples": True, "detailLevel": "basic"})

    writing = workflows.dispatch(execution_id)
    assert writing.user_input == {"includeExamples": True, "detailLevel": "basic"}
    assert writing.input == {"prompt": writing.prompt, "user_input": writing.user_input}
    workflows.complete_step(execution_id, writing.call_id, "# hello()")
    assert workflows.next_steps(execution_id).may_complete
    workflows.complete(execution_id, {"document": "# hello()"})

    state = replayed(execution_id)
    assert (state.status, state.progress_percentage, state.user_id) == ("completed", 100, str(place.user_id))
    assert (state.template_id, state.template_version, state.drive_id) == (str(template_id), 1, str(place.drive_id))
    assert state.accumulated_context["step_2_output"] == "# hello()"
    assert [step.agent_name for step in state.steps.values()] == [
        "code-reviewer",
        "security-analyst",
        "documentation-writer",
    ]
    steps = ledger.connection.execute(
        "SELECT d.path FROM workflow_steps s JOIN workflow_template_steps d ON d.id = s.template_step_id"
        " WHERE s.execution_id = %s ORDER BY 1",
        (execution_id,),
    ).fetchall()
    assert [row["path"] for row in steps] == ["0", "1", "2"]
    assert event_types(execution_id) == [
        *("WorkflowCreated", "WorkflowStarted"),
        *("StepDispatched", "TokensUpdated", "StepCompleted", "StepDispatched", "StepCompleted"),
        *("InputRequested", "InputReceived", "StepDispatched", "StepCompleted", "WorkflowCompleted"),
    ]


@pytest.mark.mission("E3")
@pytest.mark.mission("E5")
def test_a_deployment_with_a_linked_backup(
    workflows: Workflows, save: Save, place: Place, replayed: Replayed, event_types: EventTypes
) -> None:
    save(**SETUP_VM_BACKUP)
    save(**VM_DEPLOYMENT)
    execution_id = workflows.start(
        "vm_deployment", drive_id=place.drive_id, user_id=place.user_id, mode="deploy", input={"vm_name": "web-1"}
    ).execution_id
    # A default is filled into the stored input.
    parameters = {"vm_name": "web-1", "vm_template": "ubuntu-22.04", "backup_enabled": True}
    assert replayed(execution_id).input_parameters == parameters

    dispatched = work_off(workflows, execution_id, {"create_vm": {"vm_id": "vm-12345"}})

    assert [(d.step_name, d.tool_name, d.parameters) for d in dispatched] == [
        ("check_resources", "check_infrastructure_capacity", {"template": "ubuntu-22.04"}),
        ("create_vm", "create_virtual_machine", {"name": "web-1", "template": "ubuntu-22.04"}),
        ("setup_backup", None, None),
        ("step_2_0", None, {"vm_id": "vm-12345"}),
    ]
    link = dispatched[-1]
    child_id = link.child_execution_id
    assert child_id is not None
    child = replayed(child_id)
    assert (child.parent_execution_id, child.parent_step_id) == (str(execution_id), str(link.step_id))
    assert (child.input_parameters, child.mode, child.user_id) == ({"vm_id": "vm-12345"}, "deploy", str(place.user_id))

    work_off(workflows, child_id, {})
    workflows.complete(child_id, {"schedule": "daily"})
    workflows.collect_child(execution_id, link.call_id)
    (last,) = work_off(workflows, execution_id, {})
    assert last.parameters == {"vm_id": "vm-12345", "status": "deployed"}
    workflows.complete(execution_id, {"vm": "vm-12345"})

    state = replayed(execution_id)
    by_path = {step.path: step for step in state.steps.values()}
    assert by_path["2"].output_data == {"result": True, "target": "step_2_0", "output": {"schedule": "daily"}}
    assert by_path["2/0"].output_data == {"schedule": "daily"}
    assert (by_path["2/0"].child_execution_id, by_path["2/0"].attempt) == (str(child_id), 1)
    assert by_path["1"].tool_parameters == {"name": "web-1", "template": "ubuntu-22.04"}
    assert by_path["1"].step_config["tool_name"] == by_path["1"].tool_name == "create_virtual_machine"
    assert state.status == "completed"
    assert event_types(execution_id)[6:13] == [
        *("StepDispatched", "BranchTaken", "StepDispatched", "ChildExecutionLinked"),
        *("StepCompleted", "StepCompleted", "StepDispatched"),
    ]


@pytest.mark.mission("E3")
def test_a_deployment_without_a_backup(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place, replayed: Replayed
) -> None:
    save(**SETUP_VM_BACKUP)
    save(**VM_DEPLOYMENT)
    given = {"vm_name": "web-1", "backup_enabled": False}
    execution_id = workflows.start("vm_deployment", drive_id=place.drive_id, input=given).execution_id

    dispatched = work_off(workflows, execution_id, {"create_vm": {"vm_id": "vm-1"}})

    assert [d.step_name for d in dispatched] == ["check_resources", "create_vm", "setup_backup", "update_cmdb"]
    assert not dispatched[2].open
    (branch,) = [row for row in ledger.events(execution_id) if row["event_type"] == "BranchTaken"]
    assert (branch["branch_condition"], branch["branch_result"], branch["branch_target"]) == (
        "{{workflow.parameters.backup_enabled}} == true",
        "false",
        "next",
    )
    by_path = {step.path: step for step in replayed(execution_id).steps.values()}
    assert (by_path["2"].status, by_path["2/0"].status) == ("completed", "skipped")
    assert by_path["2"].output_data == {"result": False, "target": "next"}


@pytest.mark.mission("E3")
def test_parallel_branches(workflows: Workflows, replayed: Replayed) -> None:
    execution_id = workflows.start(definition=BACKUP_AND_NOTIFY).execution_id
    workflows.dispatch(execution_id, "both")
    ready = workflows.next_steps(execution_id).ready
    assert [step.path for step in ready] == ["0/0", "0/1"]

    backup = workflows.dispatch(execution_id, "0/0")
    notify = workflows.dispatch(execution_id, "0/1")
    assert workflows.next_steps(execution_id).ready == ()
    workflows.complete_step(execution_id, notify.call_id, {"notified": 3})
    assert replayed(execution_id).steps[str(backup.step_id)].status == "running"
    workflows.complete_step(execution_id, backup.call_id, {"bytes": 10})

    both = replayed(execution_id).steps
    (parent,) = [step for step in both.values() if step.path == "0"]
    assert (parent.status, parent.output_data) == (
        "completed",
        {"step_0_0": {"bytes": 10}, "step_0_1": {"notified": 3}},
    )
    assert [step.step_name for step in workflows.next_steps(execution_id).ready] == ["report"]


@pytest.mark.mission("E3")
def test_a_loop_over_servers(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place, replayed: Replayed
) -> None:
    save(**DEPLOY_EVERYWHERE)
    servers = ["web-1", "web-2", "web-3"]
    execution_id = workflows.start(
        "deploy_everywhere", drive_id=place.drive_id, input={"servers": servers}
    ).execution_id

    dispatched = work_off(workflows, execution_id, {"deploy": {"release": "7"}, "probe": {"ok": True}})

    assert [(d.path, d.parameters) for d in dispatched[1:-1]] == [
        ("0/0", {"server": "web-1"}),
        ("0/1", {"server": "web-1", "release": "7"}),
        ("0/2", {"server": "web-2"}),
        ("0/3", {"server": "web-2", "release": "7"}),
        ("0/4", {"server": "web-3"}),
        ("0/5", {"server": "web-3", "release": "7"}),
    ]
    iterations = [row for row in ledger.events(execution_id) if row["event_type"] == "IterationStarted"]
    assert [(row["iteration_index"], '"item":"web-' in row["payload"]) for row in iterations] == [
        *((0, True), (1, True), (2, True))
    ]
    state = replayed(execution_id)
    (loop,) = [step for step in state.steps.values() if step.path == "0"]
    assert loop.output_data == {
        "iterations": 3,
        "results": [{"deploy": {"release": "7"}, "probe": {"ok": True}}] * 3,
    }
    # Steps of a loop know their definitions too.
    assert all(step.template_step_id for step in state.steps.values())
    assert dispatched[-1].step_name == "announce"
