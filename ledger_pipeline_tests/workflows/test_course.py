"""How an execution goes on: targets, failures, retries, pauses, ends, re-runs; each course replays."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline import Ledger
from ledger_pipeline.errors import InvalidReference, SchemaViolation, SequenceConflict
from ledger_pipeline.events.state import ExecutionState
from ledger_pipeline.workflows.workflows import Workflows
from ledger_pipeline_tests.workflows.conftest import Place, Save
from ledger_pipeline_tests.workflows.definitions import SETUP_VM_BACKUP, action

Replayed = Callable[[UUID], ExecutionState]
EventTypes = Callable[[UUID], list[str]]


def start(workflows: Workflows, *steps: dict[str, Any], given: Any = None, **definition: Any) -> UUID:
    return workflows.start(definition={"name": "small", "steps": list(steps), **definition}, input=given).execution_id


def ready(workflows: Workflows, execution_id: UUID) -> list[str]:
    return [step.step_name for step in workflows.next_steps(execution_id).ready]


def statuses(state: ExecutionState) -> dict[str, str]:
    return {step.step_name: str(step.status) for step in state.steps.values()}


def do(workflows: Workflows, execution_id: UUID, *names: str, output: Any = None) -> None:
    """Dispatches and completes steps one after the other."""
    for name in names:
        workflows.complete_step(execution_id, workflows.dispatch(execution_id, name).call_id, output)


@pytest.mark.mission("A11")
def test_a_workflow_without_steps_is_a_warning(ledger: Ledger, workflows: Workflows, replayed: Replayed) -> None:
    started = workflows.start(definition={"name": "idle"})

    assert started.warnings == ("the workflow has no steps: there is nothing to do",)
    assert workflows.next_steps(started.execution_id).may_complete
    workflows.complete(started.execution_id)
    state = replayed(started.execution_id)
    assert (state.status, state.total_steps, state.progress_percentage) == ("completed", 0, 100)
    logged = ledger.connection.execute(
        "SELECT level, message FROM execution_log WHERE execution_id = %s", (started.execution_id,)
    ).fetchall()
    assert logged == [{"level": "warning", "message": started.warnings[0]}]


@pytest.mark.mission("E4")
def test_progress_trigger_context_and_the_log(
    ledger: Ledger, workflows: Workflows, place: Place, replayed: Replayed
) -> None:
    began = datetime.now(UTC) - timedelta(minutes=5)
    execution_id = workflows.start(
        definition={"name": "report", "steps": [action("read"), action("analyse"), action("write")]},
        drive_id=place.drive_id,
        user_id=place.user_id,
        mode="batch",
        workflow_type="cost_analysis",
        trigger_context={"task_id": "T-7"},
        triggered_by="planner",
        triggered_by_kind="agent",
        budget_usd=Decimal("1.50"),
        metadata={"ticket": "OPS-1"},
        at=began,
    ).execution_id
    do(workflows, execution_id, "read")
    workflows.dispatch(execution_id, at=began + timedelta(minutes=1))
    workflows.log(
        execution_id, "VM creation started", step="analyse", details={"vm_id": "vm-1"}, at=began + timedelta(minutes=2)
    )

    state = replayed(execution_id)
    assert (state.total_steps, state.progress_percentage, state.current_step_order) == (3, Decimal("33.33"), 1)
    assert (state.trigger_context, state.triggered_by, state.triggered_by_kind) == (
        {"task_id": "T-7"},
        "planner",
        "agent",
    )
    assert (state.workflow_type, state.mode, state.budget_usd) == ("cost_analysis", "batch", Decimal("1.5"))
    assert state.workflow_metadata == {"ticket": "OPS-1", "definition": {"name": "report"}}
    assert state.started_at == began
    (entry,) = ledger.connection.execute(
        'SELECT "timestamp", level, step_index, step_name, message, details FROM execution_log WHERE execution_id = %s',
        (execution_id,),
    ).fetchall()
    assert entry == {
        "timestamp": began + timedelta(minutes=2),
        "level": "info",
        "step_index": 1,
        "step_name": "analyse",
        "message": "VM creation started",
        "details": {"vm_id": "vm-1"},
    }


@pytest.mark.mission("D2")
def test_every_change_of_state_has_its_time(workflows: Workflows, replayed: Replayed) -> None:
    at = [datetime.now(UTC) - timedelta(minutes=10) + timedelta(minutes=n) for n in range(6)]
    definition = {"name": "small", "steps": [action("a")]}
    execution_id = workflows.create(definition=definition, at=at[0]).execution_id
    assert workflows.next_steps(execution_id).waits_for == "start"

    workflows.begin(execution_id, at=at[1])
    workflows.pause(execution_id, "lunch", at=at[2])
    assert workflows.next_steps(execution_id).waits_for == "resume"
    workflows.resume(execution_id, at=at[3])
    call = workflows.dispatch(execution_id, at=at[4])
    workflows.complete_step(execution_id, call.call_id, at=at[5])
    workflows.complete(execution_id, at=at[5])

    state = replayed(execution_id)
    assert (state.started_at, state.paused_at, state.resumed_at, state.completed_at) == (*at[1:4], at[5])
    (step,) = state.steps.values()
    assert (step.started_at, step.completed_at) == (at[4], at[5])


@pytest.mark.mission("D2")
@pytest.mark.parametrize(
    ("end", "status", "column"),
    [
        (lambda w, execution_id, at: w.fail(execution_id, "no", at=at), "failed", "failed_at"),
        (lambda w, execution_id, at: w.cancel(execution_id, "enough", at=at), "cancelled", "cancelled_at"),
        (lambda w, execution_id, at: w.abort(execution_id, "too dear", at=at), "aborted", "aborted_at"),
        (lambda w, execution_id, at: w.time_out(execution_id, 60, at=at), "timeout", "timed_out_at"),
    ],
)
def test_every_end_has_its_time_and_the_current_step_is_where_it_ended(
    ledger: Ledger, workflows: Workflows, replayed: Replayed, end: Callable[..., Any], status: str, column: str
) -> None:
    execution_id = start(workflows, action("a"), action("b"), action("c"))
    do(workflows, execution_id, "a")
    step = workflows.dispatch(execution_id)
    at = datetime.now(UTC)
    end(workflows, execution_id, at)

    ends = ("completed_at", "failed_at", "cancelled_at", "aborted_at", "timed_out_at")
    state = replayed(execution_id)
    assert (state.status, {name: getattr(state, name) for name in ends if getattr(state, name)}) == (
        status,
        {column: at},
    )
    row = ledger.connection.execute("SELECT * FROM workflow_executions WHERE id = %s", (execution_id,)).fetchone()
    assert row
    assert (row["status"], {name: row[name] for name in ends if row[name]}) == (status, {column: at})
    assert (row["current_step_id"], row["current_step_order"]) == (step.step_id, 1)


@pytest.mark.mission("E5")
def test_a_step_keeps_its_tool_what_it_was_given_and_gave_back_and_the_configuration_of_its_time(
    ledger: Ledger, workflows: Workflows, save: Save, place: Place, replayed: Replayed
) -> None:
    step = {
        "name": "scan",
        "tool_name": "scanner",
        "parameters": {"path": "{{folder}}", "deep": True},
        "retry_count": 1,
    }
    template_id = save(name="scanning", steps=[step])
    execution_id = workflows.start(template_id, input={"folder": "/srv"}, drive_id=place.drive_id).execution_id
    save(name="scanning", steps=[{**step, "tool_name": "another", "retry_count": 0}])
    failed = workflows.dispatch(execution_id)
    workflows.fail_step(execution_id, failed.call_id, "busy")
    again = workflows.dispatch(execution_id)
    workflows.complete_step(execution_id, again.call_id, {"found": 2}, tool_result={"exit_code": 0, "lines": [1, 2]})

    (kept,) = replayed(execution_id).steps.values()
    row = ledger.connection.execute("SELECT * FROM workflow_steps WHERE execution_id = %s", (execution_id,)).fetchone()
    assert row
    for found in (vars_of(kept), row):
        assert (found["tool_name"], found["tool_parameters"]) == ("scanner", {"path": "/srv", "deep": True})
        assert (found["tool_result"], found["output_data"]) == ({"exit_code": 0, "lines": [1, 2]}, {"found": 2})
        assert (found["attempt"], found["max_attempts"], found["step_config"]["tool_name"]) == (2, 2, "scanner")


def vars_of(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in state.__dataclass_fields__}


@pytest.mark.mission("D2")
def test_the_context_takes_outputs_and_merge_patches(workflows: Workflows, replayed: Replayed) -> None:
    execution_id = start(
        workflows,
        action("a"),
        action("b", parameters={"all": "{{notes}}", "text": "{{notes.first}}/{{context.n}}", "none": "{{notes.x}}"}),
        given={"n": 1, "gone": True},
    )
    do(workflows, execution_id, "a", output=[1])
    workflows.update_context(execution_id, {"notes": {"first": "x", "second": 2.5}, "gone": None})

    dispatched = workflows.dispatch(execution_id)

    notes = {"first": "x", "second": Decimal("2.5")}
    assert dispatched.context == {"n": 1, "step_0_output": [1], "notes": notes}
    assert dispatched.parameters == {"all": notes, "text": "x/1", "none": None}
    assert dispatched.warnings == ("step 'b': nothing is known as {{notes.x}}",)
    assert replayed(execution_id).accumulated_context == dispatched.context


@pytest.mark.mission("E5")
@pytest.mark.mission("B4")
def test_a_failing_step_has_n_attempts_of_m(workflows: Workflows, replayed: Replayed, event_types: EventTypes) -> None:
    execution_id = start(workflows, action("create_vm", on_failure="retry", retry_count=2), action("after"))
    for attempt in (1, 2):
        call = workflows.dispatch(execution_id)
        assert (call.attempt, call.max_attempts) == (attempt, 3)
        workflows.fail_step(execution_id, call.call_id, "no capacity", code="E_CAPACITY", details={"zone": "b"})
        assert ready(workflows, execution_id) == ["create_vm"]
    last = workflows.dispatch(execution_id)

    recorded = workflows.fail_step(execution_id, last.call_id, "no capacity", code="E_CAPACITY")

    assert recorded.status == "failed"
    state = replayed(execution_id)
    assert state.error_message == "step 'create_vm' failed: no capacity"
    assert state.error_details == {
        "code": "E_CAPACITY",
        "step_id": str(last.step_id),
        "step_name": "create_vm",
        "attempts": 3,
    }
    assert statuses(state) == {"create_vm": "failed", "after": "skipped"}
    assert [call.attempt for call in state.calls.values()] == [1, 2, 3]
    assert event_types(execution_id)[-4:] == ["StepRetried", "StepDispatched", "StepFailed", "WorkflowFailed"]


@pytest.mark.mission("E1")
def test_the_definitions_maximum_counts_where_a_step_says_nothing(workflows: Workflows, replayed: Replayed) -> None:
    execution_id = start(workflows, action("a"), action("b", retry_count=0), max_retries=1)
    assert [step.max_attempts for step in replayed(execution_id).steps.values()] == [2, 1]


def test_an_error_that_is_not_worth_a_retry_fails_at_once(workflows: Workflows, replayed: Replayed) -> None:
    execution_id = start(workflows, action("a", retry_count=5))
    workflows.fail_step(execution_id, workflows.dispatch(execution_id).call_id, "forbidden", retriable=False)
    assert replayed(execution_id).status == "failed"


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("target", "then", "skipped"),
    [
        ("continue", ["b"], []),
        ("next", ["b"], []),
        ("clean_up", ["clean_up"], ["b"]),
        ("end", [], ["b", "clean_up"]),
        (action("mend"), ["mend"], []),
    ],
)
def test_a_failed_step_goes_on_where_it_says(
    workflows: Workflows, replayed: Replayed, target: Any, then: list[str], skipped: list[str]
) -> None:
    execution_id = start(workflows, action("a", on_failure=target), action("b"), action("clean_up"))
    workflows.fail_step(execution_id, workflows.dispatch(execution_id).call_id, "no")

    assert ready(workflows, execution_id) == then
    state = replayed(execution_id)
    assert [name for name, status in statuses(state).items() if status == "skipped"] == skipped
    if then == ["mend"]:
        do(workflows, execution_id, "mend")
        assert ready(workflows, execution_id) == ["b"]
    if not then:
        workflows.complete(execution_id)
        assert replayed(execution_id).status == "completed"


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("status", "then", "target", "skipped"),
    [
        ("success", ["deploy"], "deploy", []),
        ("failure", ["roll_back"], "roll_back", ["deploy"]),
    ],
)
def test_a_condition_goes_to_the_step_that_it_names(
    ledger: Ledger,
    workflows: Workflows,
    replayed: Replayed,
    status: str,
    then: list[str],
    target: str,
    skipped: list[str],
) -> None:
    judge = {
        "name": "judge",
        "type": "condition",
        "condition": "{{previous_step.output.status}} == 'success'",
        "on_true": "deploy",
        "on_false": "roll_back",
    }
    execution_id = start(workflows, action("build"), judge, action("deploy", on_success="end"), action("roll_back"))
    do(workflows, execution_id, "build", output={"status": status})

    judged = workflows.dispatch(execution_id)

    assert (judged.open, judged.input) == (False, {"values": {"previous_step.output.status": status}})
    assert ready(workflows, execution_id) == then
    state = replayed(execution_id)
    assert state.steps[str(judged.step_id)].output_data == {"result": target == "deploy", "target": target}
    assert [name for name, each in statuses(state).items() if each == "skipped"] == skipped
    do(workflows, execution_id, *then)
    assert workflows.next_steps(execution_id).may_complete


@pytest.mark.mission("E3")
def test_a_failed_branch_fails_the_parallel_step_once_all_have_ended(workflows: Workflows, replayed: Replayed) -> None:
    both = {"name": "both", "type": "parallel", "steps": [action("left"), action("right")], "on_failure": "continue"}
    execution_id = start(workflows, both, action("after"))
    workflows.dispatch(execution_id)
    left, right = workflows.dispatch(execution_id, "left"), workflows.dispatch(execution_id, "right")

    workflows.fail_step(execution_id, left.call_id, "disk full")
    assert statuses(replayed(execution_id))["both"] == "running"
    workflows.complete_step(execution_id, right.call_id, "done")

    state = replayed(execution_id)
    assert statuses(state) == {"both": "failed", "left": "failed", "right": "completed", "after": "pending"}
    parent = next(step for step in state.steps.values() if step.step_name == "both")
    assert parent.error_message == "step 'left' failed: disk full"
    assert ready(workflows, execution_id) == ["after"]


@pytest.mark.mission("E3")
def test_a_failed_iteration_fails_the_loop_and_the_execution(workflows: Workflows, replayed: Replayed) -> None:
    loop = {"name": "each", "type": "loop", "collection": [1, 2], "steps": [action("one"), action("two")]}
    execution_id = start(workflows, loop)
    workflows.dispatch(execution_id)

    workflows.fail_step(execution_id, workflows.dispatch(execution_id, "one").call_id, "no")

    state = replayed(execution_id)
    assert (state.status, statuses(state)) == ("failed", {"each": "failed", "one": "failed", "two": "skipped"})


@pytest.mark.mission("E3")
def test_loops_within_loops_and_ways_out_of_them(workflows: Workflows, replayed: Replayed) -> None:
    inner = {
        "name": "inner",
        "type": "loop",
        "collection": "{{row}}",
        "item_variable": "cell",
        "steps": [action("show", parameters={"cell": "{{cell}}", "row": "{{row}}"}, on_failure="stop")],
    }
    outer = {
        "name": "outer",
        "type": "loop",
        "collection": "{{workflow.parameters.rows}}",
        "item_variable": "row",
        "steps": [inner],
    }
    parameters = {"rows": {"type": "array"}}
    rows = [[1, 2], [], [3, 4]]
    execution_id = start(
        workflows, outer, action("between"), action("stop"), parameters=parameters, given={"rows": rows}
    )

    seen: list[Any] = []
    while (names := ready(workflows, execution_id)) != ["stop"]:
        call = workflows.dispatch(execution_id, names[0])
        if call.step_name == "show":
            seen.append(call.parameters)
            if call.parameters["cell"] == 3:
                workflows.fail_step(execution_id, call.call_id, "enough")
            else:
                workflows.complete_step(execution_id, call.call_id, call.parameters["cell"])

    assert seen == [{"cell": 1, "row": [1, 2]}, {"cell": 2, "row": [1, 2]}, {"cell": 3, "row": [3, 4]}]
    state = replayed(execution_id)
    by_path = {step.path: step for step in state.steps.values()}
    assert sorted(by_path) == ["0", "0/0", "0/0/0", "0/0/1", "0/1", "0/2", "0/2/0", "1", "2"]
    assert by_path["0/0"].output_data == {"iterations": 2, "results": [{"show": 1}, {"show": 2}]}
    assert by_path["0/1"].output_data == {"iterations": 0, "results": []}
    assert by_path["0"].output_data == {"iterations": 3, "target": "stop"}
    assert by_path["1"].status == "skipped"


def test_a_step_within_a_loop_sees_the_steps_of_its_own_iteration(workflows: Workflows) -> None:
    loop = {
        "name": "each",
        "type": "loop",
        "collection": ["a", "b"],
        "steps": [action("make"), action("use", parameters={"made": "{{steps.make.output}}", "item": "{{item}}"})],
    }
    execution_id = start(workflows, loop)
    workflows.dispatch(execution_id)
    for item in ("a", "b"):
        do(workflows, execution_id, "make", output=f"made {item}")
        use = workflows.dispatch(execution_id, "use")
        assert use.parameters == {"made": f"made {item}", "item": item}
        workflows.complete_step(execution_id, use.call_id)


@pytest.mark.mission("E5")
def test_a_child_that_failed_fails_its_step_and_another_is_started(
    workflows: Workflows, save: Save, place: Place, replayed: Replayed
) -> None:
    save(**SETUP_VM_BACKUP)
    link = {
        "type": "workflow_link",
        "workflow_name": "setup_vm_backup",
        "parameters": {"vm_id": "vm-1"},
        "name": "link",
    }
    definition = {"name": "parent", "steps": [{**link, "retry_count": 1, "on_failure": "continue"}]}
    execution_id = workflows.start(definition=definition, drive_id=place.drive_id).execution_id
    children: list[UUID] = []
    for attempt in (1, 2):
        dispatched = workflows.dispatch(execution_id)
        assert dispatched.attempt == attempt
        assert dispatched.child_execution_id is not None
        children.append(dispatched.child_execution_id)
        workflows.cancel(children[-1], "not needed")
        workflows.collect_child(execution_id, "link")

    state = replayed(execution_id)
    (step,) = state.steps.values()
    assert (step.status, step.attempt, step.child_execution_id) == ("failed", 2, str(children[1]))
    assert step.error_message == "child execution cancelled: not needed"
    assert step.error_details == {
        "code": "child_cancelled",
        "child_execution_id": str(children[1]),
        "status": "cancelled",
    }
    assert {replayed(child).parent_execution_id for child in children} == {str(execution_id)}


def test_what_runs_in_a_step_that_fails_ends_with_it(workflows: Workflows, replayed: Replayed) -> None:
    both = {
        "name": "both",
        "type": "parallel",
        "steps": [action("left"), action("right")],
        "on_failure": action("mend"),
    }
    execution_id = start(workflows, both)
    workflows.dispatch(execution_id)
    workflows.dispatch(execution_id, "left")

    workflows.fail_step(execution_id, "both", "stopped by hand")

    state = replayed(execution_id)
    assert statuses(state) == {"both": "failed", "left": "failed", "right": "skipped", "mend": "pending"}
    assert (state.open_calls, ready(workflows, execution_id)) == (0, ["mend"])


@pytest.mark.mission("B4")
def test_a_failed_execution_is_run_again_as_a_new_one(
    workflows: Workflows, place: Place, replayed: Replayed, ledger: Ledger
) -> None:
    definition = {
        "name": "nightly",
        "timeout_minutes": 5,
        "parameters": {"depth": {"type": "integer", "default": 3}, "share": {"type": "number"}},
        "steps": [
            {"name": "both", "type": "parallel", "steps": [action("left"), action("right")]},
            action("report", retry_count=1, metadata={"team": "a"}),
        ],
    }
    failed = workflows.start(
        definition=definition,
        user_id=place.user_id,
        drive_id=place.drive_id,
        mode="night",
        budget_tokens=100,
        input={"share": 0.25},
        metadata={"ticket": 1},
    ).execution_id
    workflows.fail(failed, "the disk is full", code="E_DISK", details={"free": 0})

    again = workflows.acting_as("ada").rerun(failed, trigger_context={"why": "more disk"}).execution_id

    before, after = replayed(failed), replayed(again)
    assert (before.status, before.error_message, before.error_details) == (
        "failed",
        "the disk is full",
        {"code": "E_DISK", "free": 0},
    )
    assert (after.retry_of, after.status, after.triggered_by, after.triggered_by_kind) == (
        str(failed),
        "running",
        "ada",
        "user",
    )
    same = ("input_parameters", "workflow_metadata", "mode", "user_id", "drive_id", "budget_tokens", "workflow_name")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert after.input_parameters == {"share": Decimal("0.25"), "depth": 3}

    def shape(state: ExecutionState) -> list[tuple[Any, ...]]:
        return [
            (s.path, s.step_name, s.max_attempts, s.step_config, s.step_metadata, bool(s.parent_step_id))
            for s in state.steps.values()
        ]

    assert shape(after) == shape(before)
    assert not after.steps.keys() & before.steps.keys()
    workflows.dispatch(again)
    assert ready(workflows, again) == ["left", "right"]


@pytest.mark.mission("E4")
@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        (lambda w, e: w.fail(e, "broken"), "failed", "broken"),
        (lambda w, e: w.cancel(e, "not needed"), "cancelled", "not needed"),
        (lambda w, e: w.abort(e, "over budget"), "aborted", "over budget"),
        (lambda w, e: w.time_out(e, 60, "too slow"), "timeout", "too slow"),
        (lambda w, e: w.complete_step(e, "a") and w.complete(e, {"n": 1}, skip_remaining=True), "completed", None),
    ],
)
def test_every_end(
    workflows: Workflows, replayed: Replayed, end: Callable[[Workflows, UUID], object], status: str, error: str | None
) -> None:
    execution_id = start(workflows, action("a"), action("b"))
    workflows.dispatch(execution_id)

    end(workflows, execution_id)

    state = replayed(execution_id)
    assert (state.status, state.error_message, state.open_calls) == (status, error, 0)
    assert statuses(state)["b"] == "skipped"
    assert workflows.next_steps(execution_id).ready == ()
    # Late facts follow; they move nothing.
    workflows.log(execution_id, "seen")
    workflows.record_usage(execution_id, "late", "gpt-4o", call="a", provider="openai", input_tokens=10)
    assert replayed(execution_id).spent_tokens == 10


@pytest.mark.mission("E4")
def test_the_output_is_checked(workflows: Workflows, replayed: Replayed) -> None:
    from ledger_pipeline.errors import SchemaViolation

    execution_id = start(workflows, outputs={"vm_id": {"type": "string", "required": True}})
    with pytest.raises(SchemaViolation, match=r"output\.vm_id: is missing"):
        workflows.complete(execution_id, {})
    assert replayed(execution_id).status == "running"
    workflows.complete(execution_id, {"vm_id": "vm-1"})
    assert replayed(execution_id).output_data == {"vm_id": "vm-1"}


@pytest.mark.mission("A1")
def test_approvals_of_a_call(ledger: Ledger, workflows: Workflows, replayed: Replayed) -> None:
    execution_id = start(workflows, action("deploy"))
    call = workflows.dispatch(execution_id)
    approval = workflows.request_approval(
        execution_id, "deploy to production", requested_from="ada", call=call.call_id, details={"risk": "high"}
    )
    assert workflows.next_steps(execution_id).approvals_pending == 1

    workflows.acting_as("ada").apply_approval(execution_id, approval, "approved", "go ahead")

    state = replayed(execution_id)
    assert (state.approvals_pending, state.approved_by, state.calls[str(call.call_id)].approved_by) == (0, "ada", "ada")
    decided = state.approvals[str(approval)]
    assert (decided.status, decided.decided_by, decided.comment) == ("approved", "ada", "go ahead")


@pytest.mark.mission("B1")
def test_artifacts_of_executions_and_steps(
    ledger: Ledger, workflows: Workflows, replayed: Replayed, tmp_path: Any
) -> None:
    execution_id = start(workflows, action("write"))
    report = tmp_path / "report.pdf"
    report.write_bytes(b"%PDF savings")
    step = workflows.dispatch(execution_id)

    copied = workflows.record_artifact(
        execution_id, "report.pdf", "report", source=report, step="write", metadata={"p": 1}
    )
    elsewhere = workflows.record_artifact(execution_id, "raw.json", "metrics", uri="s3://bucket/raw.json", size_bytes=5)
    report.unlink()

    artifacts = replayed(execution_id).artifacts
    own = artifacts[str(copied)]
    assert (own.name, own.artifact_type, own.step_id, own.size_bytes, own.content_type, own.artifact_metadata) == (
        *("report.pdf", "report", str(step.step_id), 12, "application/pdf"),
        {"p": 1},
    )
    assert own.uri.startswith(f"file://{ledger.settings.home}/artifacts/")
    assert (artifacts[str(elsewhere)].uri, artifacts[str(elsewhere)].content_type) == (
        "s3://bucket/raw.json",
        "application/json",
    )
    with workflows.open_artifact(execution_id, copied) as stream:
        assert stream.read() == b"%PDF savings"


def test_a_step_that_the_plan_lacks_joins_it(workflows: Workflows, replayed: Replayed) -> None:
    execution_id = start(workflows)
    first = workflows.dispatch_unplanned(execution_id, name="look", tool_name="grep", parameters={"for": "x"})
    workflows.complete_step(execution_id, first.call_id, 3)
    second = workflows.dispatch_unplanned(
        execution_id, agent="writer", prompt="Explain {{step_0_output}}", retry_count=1
    )

    assert (second.prompt, second.step_name, second.max_attempts) == ("Explain 3", "step_1", 2)
    state = replayed(execution_id)
    assert (state.total_steps, state.progress_percentage) == (2, Decimal("50.00"))
    assert state.accumulated_context == {"step_0_output": 3}


def test_a_command_is_judged_anew_when_another_came_in_between(
    ledger: Ledger, workflows: Workflows, replayed: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"name": "both", "type": "parallel", "steps": [action("left"), action("right")]}
    execution_id = start(workflows, both)
    for name in ("both", "left", "right"):
        workflows.dispatch(execution_id, name)
    append, faster = ledger.append, [True]

    def late(*args: Any, **kwargs: Any) -> Any:
        if faster and faster.pop():
            workflows.complete_step(execution_id, "right", "r")
        return append(*args, **kwargs)

    monkeypatch.setattr(ledger, "append", late)
    workflows.complete_step(execution_id, "left", "l")
    parent = next(step for step in replayed(execution_id).steps.values() if step.step_name == "both")
    assert parent.output_data == {"left": "l", "right": "r"}

    def always_later(*args: Any, **kwargs: Any) -> Any:
        append(
            execution_id,
            [
                {
                    "event_type": "LogRecorded",
                    "occurred_at": datetime.now(UTC),
                    "log_level": "info",
                    "message": "in between",
                }
            ],
        )
        return append(*args, **kwargs)

    monkeypatch.setattr(ledger, "append", always_later)
    with pytest.raises(SequenceConflict):
        workflows.update_context(execution_id, {"a": 1})
    assert "a" not in replayed(execution_id).accumulated_context


def test_an_answer_belongs_to_what_is_asked_when_it_is_stored(
    ledger: Ledger, workflows: Workflows, replayed: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = start(workflows, action("first"), action("second"))
    workflows.request_input(execution_id, "first", schema={"type": "string"})
    append, faster = ledger.append, [True]

    def late(*args: Any, **kwargs: Any) -> Any:
        if faster and faster.pop():
            workflows.receive_input(execution_id, "early")
            workflows.request_input(execution_id, "second", schema={"type": "integer"})
        return append(*args, **kwargs)

    monkeypatch.setattr(ledger, "append", late)
    with pytest.raises(SchemaViolation, match="is 'late'; allowed: integer"):
        workflows.receive_input(execution_id, "late")

    given = {step.step_name: step.user_input for step in replayed(execution_id).steps.values()}
    assert given == {"first": "early", "second": None}
    assert replayed(execution_id).status == "paused"


@pytest.mark.mission("B1")
def test_an_artifact_that_loses_its_race_leaves_no_file(
    ledger: Ledger, workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id, artifact_id = start(workflows, action("first")), uuid.uuid4()
    append, faster = ledger.append, [True]

    def late(*args: Any, **kwargs: Any) -> Any:
        if faster and faster.pop():
            workflows.record_artifact(execution_id, "a", "log", source=b"the faster one's", artifact_id=artifact_id)
        return append(*args, **kwargs)

    folder = ledger.settings.home / "artifacts"
    before = {path for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(ledger, "append", late)
    with pytest.raises(InvalidReference):
        workflows.record_artifact(execution_id, "b", "log", source=b"the loser's", artifact_id=artifact_id)
    left = {path for path in folder.rglob("*") if path.is_file()} - before
    assert [path.read_bytes() for path in left] == [b"the faster one's"]


def test_without_a_drive_a_name_means_the_template_without_one(
    ledger: Ledger, workflows: Workflows, save: Save, replayed: Replayed
) -> None:
    name = f"kid_{uuid.uuid4().hex}"
    save(name=name, steps=[])
    alone = ledger.templates.save({"name": name, "steps": [action("only")]}).template_id
    execution_id = start(workflows, {"name": "link", "type": "workflow_link", "workflow_name": name})
    child = workflows.dispatch(execution_id, "link").child_execution_id
    assert child is not None
    assert replayed(child).template_id == str(alone)


def test_branches_that_end_at_the_same_time_end_their_step_once(
    ledger: Ledger, workflows: Workflows, replayed: Replayed, event_types: EventTypes
) -> None:
    names = [f"branch_{nth}" for nth in range(4)]
    both = {"name": "all", "type": "parallel", "steps": [action(name) for name in names]}
    execution_id = start(workflows, both, action("after"))
    workflows.dispatch(execution_id)
    for name in names:
        workflows.dispatch(execution_id, name)
    together = Barrier(len(names))

    def complete(name: str) -> None:
        with Ledger.open(ledger.settings, bring_up_to_date=False) as own:
            own.workflows.state(execution_id)
            together.wait()
            own.workflows.complete_step(execution_id, name, name)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(complete, names))

    parent = next(step for step in replayed(execution_id).steps.values() if step.step_name == "all")
    assert parent.output_data == {name: name for name in names}
    assert event_types(execution_id).count("StepCompleted") == len(names) + 1
    assert ready(workflows, execution_id) == ["after"]


def test_agents_are_found_by_their_names(ledger: Ledger, workflows: Workflows, replayed: Replayed) -> None:
    agent = uuid.uuid4()
    name = f"reviewer-{agent.hex[:6]}"
    ledger.connection.execute("INSERT INTO agents (id, name) VALUES (%s, %s)", (agent, name))
    call = {"agent_id": name, "prompt_template": "Look"}
    loop = {"name": "each", "type": "loop", "collection": [1], "steps": [call]}
    execution_id = start(workflows, call, loop, {"agent_id": str(agent), "prompt_template": "Look"})
    do(workflows, execution_id, "step_0")
    workflows.dispatch(execution_id)
    workflows.dispatch(execution_id)
    state = replayed(execution_id)
    agents = {step.path: step.agent_id for step in state.steps.values()}
    assert (agents["0"], agents["1/0"], agents["2"]) == (str(agent),) * 3
    assert {c.agent_id for c in state.calls.values() if c.agent_name == name} == {str(agent)}


def new_agent(ledger: Ledger, name: str, drive_id: uuid.UUID | None) -> str:
    agent = uuid.uuid4()
    ledger.connection.execute("INSERT INTO agents (id, name, drive_id) VALUES (%s, %s, %s)", (agent, name, drive_id))
    return str(agent)


@pytest.mark.mission("D5")
def test_an_agents_name_means_one_of_the_executions_drive_or_of_none(
    ledger: Ledger, workflows: Workflows, place: Place, replayed: Replayed
) -> None:
    def called() -> str | None:
        definition = {"name": "called", "steps": [{"name": "look", "agent_id": name, "prompt_template": "Look"}]}
        started = workflows.start(definition=definition, drive_id=place.drive_id)
        return next(iter(replayed(started.execution_id).steps.values())).agent_id

    name = f"reviewer-{uuid.uuid4().hex[:6]}"
    elsewhere = ledger.connection.execute("INSERT INTO drives (name) VALUES ('Sales') RETURNING id").fetchone()
    assert elsewhere is not None
    new_agent(ledger, name, elsewhere["id"])
    assert called() is None
    of_no_drive = new_agent(ledger, name, None)
    assert called() == of_no_drive
    own = new_agent(ledger, name, place.drive_id)
    assert called() == own
    new_agent(ledger, name, place.drive_id)
    with pytest.raises(InvalidReference, match=f"agent_id: '{name}' is the name of 2 agents"):
        called()
