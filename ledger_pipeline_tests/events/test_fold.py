"""What each event type does to the state."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline.events import EVENT_TYPES
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.diagram import state_machine_document
from ledger_pipeline.events.fold import ExecutionState, fold_all, initial
from ledger_pipeline.events.merge_patch import merge_patch
from ledger_pipeline.events.reducers import REDUCERS
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.events.state_text import state_text

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
EXECUTION, FIRST, SECOND, INNER, CALL, CALL_2, APPROVAL = (UUID(int=n) for n in range(1, 8))
PLAN = [
    {"step_id": FIRST, "path": "0", "step_order": 0, "step_name": "fetch", "max_attempts": 2, "config": {"a": 1}},
    {"step_id": SECOND, "path": "1", "step_order": 1, "step_name": "report"},
    {"step_id": INNER, "path": "1/0", "step_order": 0, "step_name": "part", "parent_step_id": SECOND},
]
Given = tuple[str, dict[str, Any]]


def at(n: int) -> datetime:
    """When the n-th event occurred."""
    return START + timedelta(minutes=n - 1)


def rows(*events: Given) -> list[dict[str, Any]]:
    """Event rows, a minute apart."""
    stored: list[dict[str, Any]] = []
    for n, (event_type, fields) in enumerate(events, start=1):
        event = EVENT_TYPES[event_type].model_validate({"occurred_at": at(n)} | fields)
        stored.append(dict.fromkeys(EVENT_COLUMNS) | event.to_row() | {"execution_id": EXECUTION, "sequence": n})
    return stored


def after(*events: Given) -> ExecutionState:
    """The state after these events, which must be legal."""
    state = fold_all(initial(), rows(*events))
    assert state.problems == ()
    return state


def created(**fields: Any) -> Given:
    return "WorkflowCreated", {"plan": PLAN, "execution_kind": "workflow", **fields}


def dispatched(step: UUID = FIRST, call: UUID = CALL, **fields: Any) -> Given:
    return "StepDispatched", {"step_id": step, "call_id": call, **fields}


def completed(step: UUID = FIRST, call: UUID = CALL, **fields: Any) -> Given:
    return "StepCompleted", {"step_id": step, "call_id": call, **fields}


def failed(step: UUID = FIRST, call: UUID = CALL, **fields: Any) -> Given:
    return "StepFailed", {"step_id": step, "call_id": call, "error_message": "no", **fields}


def of(event_type: str, **fields: Any) -> Given:
    return event_type, fields


STARTED = (created(), of("WorkflowStarted"))
RUNNING = (*STARTED, dispatched())


def test_every_event_type_has_a_reducer() -> None:
    assert list(REDUCERS) == list(EVENT_TYPES)


def test_an_execution_begins_pending_with_its_plan() -> None:
    state = after(created(parameters={"x": 1}, workflow_name="w", budget_usd=Decimal(5), metadata={"m": 1}))
    assert (state.id, state.status, state.workflow_name) == (str(EXECUTION), "pending", "w")
    assert [(step.path, step.status, step.attempt) for step in state.steps.values()] == [
        ("0", "pending", 1),
        ("1", "pending", 1),
        ("1/0", "pending", 1),
    ]
    assert state.total_steps == 2
    assert state.progress_percentage == Decimal("0.00")
    assert state.budget_usd == Decimal(5)
    assert state.workflow_metadata == {"m": 1}


@pytest.mark.parametrize(("given", "context"), [({"i": 1}, {"i": 1}), ({}, {"p": 1})])
def test_the_context_begins_as_the_input_else_as_the_parameters(given: dict[str, int], context: dict[str, int]) -> None:
    assert after(created(input=given, parameters={"p": 1})).accumulated_context == context


def test_an_execution_may_have_no_steps() -> None:
    state = after(("WorkflowCreated", {}), of("WorkflowStarted"), of("WorkflowCompleted", output={"ok": True}))
    assert (state.status, state.progress_percentage, state.output_data) == ("completed", 100, {"ok": True})


def test_pausing_and_resuming_keep_their_last_times() -> None:
    state = after(*STARTED, of("WorkflowPaused"), of("WorkflowResumed"), of("WorkflowPaused"))
    assert (state.status, state.paused_at, state.resumed_at) == ("paused", at(5), at(4))


def test_dispatching_opens_a_call_and_runs_the_step() -> None:
    state = after(*STARTED, dispatched(input={"q": 1}, tool_name="sh", tool_parameters=[1], operator_id="ada"))
    step, call = state.steps[str(FIRST)], state.calls[str(CALL)]
    assert (step.status, step.started_at, step.input_data, step.step_config) == ("running", at(3), {"q": 1}, {"a": 1})
    assert (step.tool_name, step.tool_parameters) == ("sh", [1])
    assert (call.status, call.step_id, call.attempt, call.triggered_by) == ("running", str(FIRST), 1, "ada")
    assert (state.current_step_id, state.current_step_order, state.open_calls) == (str(FIRST), 0, 1)


def test_a_configuration_given_at_dispatch_replaces_the_planned_one() -> None:
    assert after(*STARTED, dispatched(config={"b": 2})).steps[str(FIRST)].step_config == {"b": 2}


def test_a_dispatch_with_a_plan_entry_adds_the_step() -> None:
    extra = UUID(int=99)
    entry = {"step_id": extra, "path": "2", "step_order": 2, "step_name": "extra"}
    state = after(*STARTED, dispatched(extra, plan_entry=entry))
    assert (state.total_steps, state.steps[str(extra)].status) == (3, "running")


def test_completing_a_top_level_step_adds_its_output_to_the_context() -> None:
    state = after(*RUNNING, completed(output={"n": Decimal("1.50")}, tool_result="done"))
    step, call = state.steps[str(FIRST)], state.calls[str(CALL)]
    assert (step.status, step.output_data, step.tool_result) == ("completed", {"n": Decimal("1.50")}, "done")
    assert step.completed_at == call.ended_at == at(4)
    assert state.accumulated_context == {"step_0_output": {"n": Decimal("1.50")}}
    assert (state.progress_percentage, state.open_calls, call.status) == (Decimal("50.00"), 0, "completed")


def test_a_nested_step_leaves_context_and_progress_alone() -> None:
    state = after(*STARTED, dispatched(INNER), completed(INNER, output=1))
    assert (state.accumulated_context, state.progress_percentage) == ({}, 0)


def test_a_step_without_output_adds_null_to_the_context() -> None:
    assert after(*RUNNING, completed()).accumulated_context == {"step_0_output": None}


def test_a_failed_step_can_be_retried_and_then_complete() -> None:
    failure = (*RUNNING, failed(error_code="E1", error_details={"d": 1}))
    step = after(*failure).steps[str(FIRST)]
    assert (step.status, step.error_message, step.error_details) == ("failed", "no", {"d": 1, "code": "E1"})
    retried = (*failure, of("StepRetried", step_id=FIRST, next_attempt=2))
    step = after(*retried).steps[str(FIRST)]
    assert (step.status, step.attempt, step.completed_at, step.error_message) == ("retrying", 2, None, "no")
    state = after(*retried, dispatched(call=CALL_2), completed(call=CALL_2))
    step = state.steps[str(FIRST)]
    assert (step.status, step.error_message, step.error_details, step.started_at) == ("completed", None, None, at(3))
    assert [(call.status, call.attempt) for call in state.calls.values()] == [("failed", 1), ("completed", 2)]


def test_a_retry_beyond_the_maximum_is_a_problem() -> None:
    state = fold_all(initial(), rows(*RUNNING, failed(), of("StepRetried", step_id=FIRST, next_attempt=3)))
    assert [problem.what for problem in state.problems] == ["StepRetried: attempt 3 after 1 of 2"]


def test_a_skipped_step_counts_as_progress() -> None:
    state = after(*STARTED, of("StepSkipped", step_id=FIRST))
    assert (state.steps[str(FIRST)].status, state.progress_percentage) == ("skipped", 50)
    assert state.steps[str(FIRST)].completed_at == at(3)


def test_progress_is_rounded_half_up_to_two_places() -> None:
    plan = [{"step_id": UUID(int=50 + n), "path": str(n), "step_order": n, "step_name": "s"} for n in range(800)]
    state = after(created(plan=plan), of("WorkflowStarted"), of("StepSkipped", step_id=UUID(int=50)))
    assert state.progress_percentage == Decimal("0.13")


def test_an_iteration_adds_its_steps_below_the_loop() -> None:
    inner = {"step_id": UUID(int=77), "path": "0/0", "step_order": 0, "step_name": "i", "parent_step_id": FIRST}
    state = after(*RUNNING, of("IterationStarted", step_id=FIRST, iteration_index=0, item="x", steps=[inner]))
    assert state.steps[str(UUID(int=77))].parent_step_id == str(FIRST)
    assert state.total_steps == 2


def test_a_branch_changes_nothing_but_the_last_events() -> None:
    state = after(*RUNNING, of("BranchTaken", step_id=FIRST, branch_condition="c", branch_result="true"))
    assert state.events[-1] == (4, "BranchTaken", at(4))
    assert state.steps == after(*RUNNING).steps


def test_a_child_execution_is_linked_to_its_step() -> None:
    child = UUID(int=500)
    state = after(*RUNNING, of("ChildExecutionLinked", step_id=FIRST, child_execution_id=child))
    assert state.steps[str(FIRST)].child_execution_id == str(child)


def test_waiting_for_input_is_a_pause_that_the_input_ends() -> None:
    asked = (*RUNNING, of("InputRequested", step_id=FIRST))
    assert (after(*asked).status, after(*asked).position) == ("paused", "awaiting_input")
    state = after(*asked, of("InputReceived", step_id=FIRST, user_input={"yes": True}))
    assert (state.status, state.resumed_at) == ("running", at(5))
    assert state.steps[str(FIRST)].user_input == {"yes": True}


@pytest.mark.parametrize(("decision", "approved_by"), [("approved", "grace"), ("rejected", None)])
def test_approvals_are_counted_and_decided(decision: str, approved_by: str | None) -> None:
    asked = (*RUNNING, of("ApprovalRequested", approval_id=APPROVAL, approval_subject="deploy", call_id=CALL))
    assert after(*asked).approvals_pending == 1
    decided = {"approval_id": APPROVAL, "decision": decision, "operator_id": "grace", "decision_comment": "well"}
    state = after(*asked, of("ApprovalApplied", call_id=CALL, **decided))
    approval = state.approvals[str(APPROVAL)]
    assert (approval.status, approval.decided_by, approval.comment) == (decision, "grace", "well")
    assert (state.approvals_pending, state.approved_by) == (0, approved_by)
    assert state.calls[str(CALL)].approved_by == approved_by


def test_usage_adds_to_the_execution_and_to_its_call() -> None:
    usage = {"model": "m", "pricing_status": "priced", "input_tokens": 10, "cache_read_tokens": 5, "output_tokens": 2}
    state = after(
        *RUNNING,
        of("TokensUpdated", model_call_id="1", cost_usd=Decimal("0.1"), call_id=CALL, **usage),
        of("TokensUpdated", model_call_id="2", estimated_cost_usd=Decimal("0.2"), **usage),
    )
    call = state.calls[str(CALL)]
    assert (state.spent_tokens, state.total_cost, state.estimated_cost) == (34, Decimal("0.1"), Decimal("0.2"))
    assert (call.spent_tokens, call.total_cost, call.estimated_cost, call.model) == (17, Decimal("0.1"), 0, "m")
    assert (call.input_tokens, call.output_tokens) == (10, 2)


def test_money_is_summed_exactly_whatever_the_callers_precision() -> None:
    usage = {"model": "m", "pricing_status": "priced"}
    costs = [Decimal("999999999999.999999999999"), Decimal("0.000000000001"), Decimal("999999999999")]
    events = [of("TokensUpdated", model_call_id=str(n), cost_usd=cost, **usage) for n, cost in enumerate(costs)]
    assert after(*STARTED, *events).total_cost == Decimal("1999999999999")


def test_context_updates_are_merge_patches() -> None:
    state = after(
        created(input={"a": {"b": 1, "c": 2}, "d": 3}), of("ContextUpdated", patch={"a": {"b": None}, "d": 4})
    )
    assert state.accumulated_context == {"a": {"c": 2}, "d": 4}


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_gives_the_results_of_the_rfc(target: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(target, patch) == merged


def test_completion_skips_what_is_pending() -> None:
    state = after(*RUNNING, completed(), of("WorkflowCompleted", output=7))
    assert [step.status for step in state.steps.values()] == ["completed", "skipped", "skipped"]
    assert state.steps[str(SECOND)].completed_at == at(5)
    assert (state.status, state.progress_percentage, state.output_data) == ("completed", 100, 7)
    assert state.completed_at == state.ended_at == at(5)


@pytest.mark.parametrize(
    ("event", "status", "field", "message"),
    [
        (of("WorkflowFailed", error_message="broken", error_code="E"), "failed", "failed_at", "broken"),
        (of("WorkflowCancelled", reason="enough"), "cancelled", "cancelled_at", "enough"),
        (of("WorkflowTimedOut", reason="late"), "timeout", "timed_out_at", "late"),
        (of("ExecutionAborted"), "aborted", "aborted_at", None),
    ],
)
def test_every_other_end_closes_what_is_open(event: Given, status: str, field: str, message: str | None) -> None:
    state = after(*RUNNING, event)
    assert [step.status for step in state.steps.values()] == ["failed", "skipped", "skipped"]
    assert all(step.completed_at == at(4) for step in state.steps.values())
    assert (state.calls[str(CALL)].status, state.calls[str(CALL)].ended_at) == ("aborted", at(4))
    assert (state.status, state.error_message, state.open_calls) == (status, message, 0)
    assert getattr(state, field) == state.ended_at == at(4)
    assert state.error_details == ({"code": "E"} if status == "failed" else None)


def test_late_facts_move_totals_artifacts_and_log_but_no_status() -> None:
    ended = (*RUNNING, of("WorkflowCancelled"))
    state = after(
        *ended,
        of("TokensUpdated", model_call_id="1", model="m", pricing_status="priced", cost_usd=Decimal(1), call_id=CALL),
        of("BudgetExceeded", budget_unit="usd"),
        of("ArtifactRecorded", artifact_id=UUID(int=9), artifact_type="report", artifact_name="r", uri="file:r"),
        of("LogRecorded", log_level="info", message="hello", step_id=FIRST),
    )
    assert (state.status, state.total_cost, len(state.artifacts), state.log_entries) == ("cancelled", 1, 1, 1)
    assert state.calls[str(CALL)].total_cost == 1


def test_a_recalculated_cost_leaves_its_own_execution_alone() -> None:
    finding = {"target_event_id": CALL, "target_execution_id": CALL, "target_occurred_at": START, "model": "m"}
    recalculated = of("CostRecalculated", model_call_id="1", difference_usd=Decimal(-1), reason="new price", **finding)
    assert after(*STARTED, recalculated).total_cost == 0


def test_the_last_twenty_events_are_kept() -> None:
    state = after(*RUNNING, *[of("LogRecorded", log_level="info", message="m", call_id=CALL) for _ in range(30)])
    assert [mark.sequence for mark in state.events] == list(range(14, 34))
    assert [mark.sequence for mark in state.calls[str(CALL)].events] == list(range(14, 34))


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([of("WorkflowStarted")], "WorkflowStarted: before the execution was created"),
        ([created(), created(plan=[])], "WorkflowCreated: the execution exists already"),
        ([created(), dispatched()], "StepDispatched: the execution is pending"),
        ([*RUNNING, dispatched(call=CALL_2)], f"StepDispatched: step {FIRST} is running"),
        (
            [*RUNNING, completed(), of("WorkflowCompleted"), of("WorkflowStarted")],
            "WorkflowStarted: the execution is completed",
        ),
        ([*RUNNING, of("WorkflowCompleted")], "WorkflowCompleted: 1 calls are open"),
        ([*STARTED, dispatched(UUID(int=88))], f"StepDispatched: step {UUID(int=88)} is not of this execution"),
        ([*RUNNING, completed(call=CALL_2)], f"StepCompleted: call {CALL_2} is not of this execution"),
    ],
)
def test_what_no_append_writes_is_noted_and_applied_as_far_as_it_can_be(events: list[Given], what: str) -> None:
    state = fold_all(initial(), rows(*events))
    assert [problem.what for problem in state.problems] == [what]
    assert state.last_sequence == len(events)


def test_a_gap_in_the_sequence_is_noted() -> None:
    state = fold_all(initial(), [row for row in rows(*RUNNING) if row["sequence"] != 2])
    assert state.problems[0] == (3, "StepDispatched: follows sequence 1")


def test_the_text_of_a_state_is_canonical() -> None:
    text = state_text(after(created(plan=[], input={"ü": Decimal("1.10"), "a": 2})))
    assert '"accumulated_context":{"a":2,"\\u00fc":1.10}' in text
    assert '"total_cost":"0.000000000000"' in text
    assert '"events":[[1,"WorkflowCreated","2026-03-02T09:00:00.000000Z"]]' in text


def test_log_rows_are_those_of_the_events() -> None:
    events = rows(
        *RUNNING, of("LogRecorded", log_level="error", message="m", details={"d": 1}, step_id=FIRST, step_name="fetch")
    )
    log = state_as_rows(fold_all(initial(), events), events)["execution_log"]
    assert [(row["sequence"], row["step_index"], row["step_name"], row["details"]) for row in log] == [
        (4, 0, "fetch", {"d": 1})
    ]


def test_the_diagram_in_the_docs_is_current(pytestconfig: pytest.Config) -> None:
    document = pytestconfig.rootpath / "docs" / "state-machine.md"
    assert document.read_text() == state_machine_document(), "write state_machine_document() to docs/state-machine.md"


@pytest.mark.mission("A9")
@pytest.mark.parametrize("levels", [201, 230])
def test_a_payload_of_before_there_was_a_bound_is_read_as_well(levels: int) -> None:
    stored = rows(created(), ("WorkflowStarted", {}), dispatched(), completed())
    stored[-1]["payload"] = '{"output":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"
    state = fold_all(initial(), stored)
    assert state.problems == ()
    assert state_text(state).count("[" * (levels - 1)) == 2  # of the step and of the context
