"""What each event type does to a state; which moves are legal is the state machine's to say (`states.RULES`)."""

from collections.abc import Callable
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID

from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.events.draft import ADD_USD, Draft, EventRow, text_id
from ledger_pipeline.events.enums import CallStatus, Decision, StepStatus, StepType
from ledger_pipeline.events.merge_patch import merge_into
from ledger_pipeline.events.state import ApprovalState, ArtifactState, CallState, StepState
from ledger_pipeline.events.states import RULES

Payload = dict[str, Any]
Reducer = Callable[[Draft, EventRow, Payload], None]

TOKEN_COLUMNS = tuple(f"{kind}_tokens" for kind in USAGE_KINDS)
"""The disjoint buckets; requests are counted apart and are not tokens."""

_tokens_of = itemgetter(*TOKEN_COLUMNS)

_AT_COMPLETION = {StepStatus.PENDING: StepStatus.SKIPPED}
_AT_OTHER_ENDS = {
    StepStatus.PENDING: StepStatus.SKIPPED,
    StepStatus.RUNNING: StepStatus.FAILED,
    StepStatus.RETRYING: StepStatus.FAILED,
}


def _object(payload: Payload, name: str) -> Any:
    """A member that is an object; absent and null are empty."""
    value = payload.get(name)
    return {} if value is None else value


def _details(payload: Payload, code: str | None) -> Any:
    details = _object(payload, "error_details")
    return {**details, "code": code} if code is not None and isinstance(details, dict) else details


def _uuid_text(value: Any) -> str | None:
    return None if value is None else str(UUID(value))


def _planned_step(entry: Any) -> StepState:
    """The step of a plan entry; raises ValueError, TypeError or KeyError for what is none."""
    order, attempts = entry["step_order"], entry.get("max_attempts", 1)
    if type(order) is not int or type(attempts) is not int:
        raise TypeError("step_order and max_attempts are integers")
    return StepState(
        id=str(UUID(entry["step_id"])),
        path=str(entry["path"]),
        step_order=order,
        step_name=str(entry["step_name"]),
        step_type=str(entry.get("step_type", StepType.ACTION.value)),
        parent_step_id=_uuid_text(entry.get("parent_step_id")),
        template_step_id=_uuid_text(entry.get("template_step_id")),
        agent_id=_uuid_text(entry.get("agent_id")),
        agent_name=entry.get("agent_name"),
        max_attempts=attempts,
        step_config=_object(entry, "config"),
        step_metadata=_object(entry, "metadata"),
    )


def _planned_steps(draft: Draft, row: EventRow, entries: Any) -> list[StepState]:
    steps: list[StepState] = []
    if not isinstance(entries, list):
        draft.problem(row, "its plan is not a list")
        return steps
    for index, entry in enumerate(entries):
        try:
            steps.append(_planned_step(entry))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            draft.problem(row, f"plan entry {index} is not one: {error!r}")
    return steps


def _workflow_created(draft: Draft, row: EventRow, payload: Payload) -> None:
    state = draft.state
    state.id = text_id(row["execution_id"])
    for name in ("execution_kind", "workflow_name", "workflow_type", "template_version", "mode", "agent_name"):
        setattr(state, name, row[name])
    for name in ("template_id", "drive_id", "customer_id", "user_id", "agent_id"):
        setattr(state, name, text_id(row[name]))
    for name in ("retry_of", "parent_execution_id", "parent_step_id"):
        setattr(state, name, text_id(row[name]))
    for name in ("triggered_by", "triggered_by_kind", "budget_usd", "budget_tokens"):
        setattr(state, name, row[name])
    state.input_parameters = _object(payload, "parameters")
    state.trigger_context = _object(payload, "trigger_context")
    state.workflow_metadata = _object(payload, "metadata")
    draft.replace_context(payload.get("input") or state.input_parameters)
    draft.add_steps(row, _planned_steps(draft, row, payload.get("plan", [])))


def _workflow_started(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.started_at = row["occurred_at"]


def _paused(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.paused_at = row["occurred_at"]


def _resumed(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.resumed_at = row["occurred_at"]


def _workflow_completed(draft: Draft, row: EventRow, payload: Payload) -> None:
    if draft.state.open_calls:
        draft.problem(row, f"{draft.state.open_calls} calls are open")
    draft.state.output_data = payload.get("output")
    draft.state.completed_at = draft.state.ended_at = row["occurred_at"]
    draft.end_steps(_AT_COMPLETION, row["occurred_at"])


def _end(draft: Draft, row: EventRow) -> None:
    draft.state.ended_at = row["occurred_at"]
    draft.abort_calls(row["occurred_at"])
    draft.end_steps(_AT_OTHER_ENDS, row["occurred_at"])


def _workflow_failed(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.failed_at = row["occurred_at"]
    draft.state.error_message = row["error_message"]
    draft.state.error_details = _details(payload, row["error_code"])
    _end(draft, row)


def _workflow_cancelled(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.cancelled_at = row["occurred_at"]
    draft.state.error_message = row["reason"]
    _end(draft, row)


def _workflow_timed_out(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.timed_out_at = row["occurred_at"]
    draft.state.error_message = row["reason"]
    _end(draft, row)


def _execution_aborted(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.aborted_at = row["occurred_at"]
    draft.state.error_message = row["reason"]
    _end(draft, row)


def _step_dispatched(draft: Draft, row: EventRow, payload: Payload) -> None:
    if payload.get("plan_entry") is not None:
        draft.add_steps(row, _planned_steps(draft, row, [payload["plan_entry"]]))
    step = draft.move_step(row, RULES["StepDispatched"])
    if step is None:
        return
    state = draft.state
    state.current_step_id, state.current_step_order = step.id, step.step_order
    if step.started_at is None:
        step.started_at = row["occurred_at"]
    step.input_data = payload.get("input")
    step.step_config = payload.get("config") or step.step_config
    step.tool_name = row["tool_name"]
    step.tool_parameters = payload.get("tool_parameters")
    call = CallState(
        id=str(row["call_id"]),
        step_id=step.id,
        attempt=row["attempt"] or step.attempt,
        started_at=row["occurred_at"],
        agent_id=text_id(row["agent_id"]),
        agent_name=row["agent_name"],
        tool_name=row["tool_name"],
        triggered_by=row["operator_id"],
    )
    if draft.add(row, "calls", call):
        state.open_calls += 1


def _step_completed(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.close_call(row, CallStatus.COMPLETED)
    step = draft.move_step(row, RULES["StepCompleted"])
    if step is None:
        return
    step.output_data = payload.get("output")
    step.tool_result = payload.get("tool_result")
    step.completed_at = row["occurred_at"]
    step.error_message = step.error_details = None
    if step.parent_step_id is None:
        draft.context()[f"step_{step.step_order}_output"] = payload.get("output")


def _step_failed(draft: Draft, row: EventRow, payload: Payload) -> None:
    call = draft.close_call(row, CallStatus.FAILED)
    if call is not None:
        call.error_message = row["error_message"]
    step = draft.move_step(row, RULES["StepFailed"])
    if step is not None:
        step.error_message = row["error_message"]
        step.error_details = _details(payload, row["error_code"])
        step.completed_at = row["occurred_at"]


def _step_retried(draft: Draft, row: EventRow, payload: Payload) -> None:
    step = draft.move_step(row, RULES["StepRetried"])
    if step is not None:
        attempt = row["next_attempt"]
        if attempt != step.attempt + 1 or attempt > step.max_attempts:
            draft.problem(row, f"attempt {attempt} after {step.attempt} of {step.max_attempts}")
        step.attempt = attempt
        step.completed_at = None


def _step_skipped(draft: Draft, row: EventRow, payload: Payload) -> None:
    step = draft.move_step(row, RULES["StepSkipped"])
    if step is not None:
        step.completed_at = row["occurred_at"]


def _branch_taken(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.move_step(row, RULES["BranchTaken"])


def _iteration_started(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.move_step(row, RULES["IterationStarted"])
    draft.add_steps(row, _planned_steps(draft, row, payload.get("steps", [])))


def _child_execution_linked(draft: Draft, row: EventRow, payload: Payload) -> None:
    step = draft.move_step(row, RULES["ChildExecutionLinked"])
    if step is not None:
        step.child_execution_id = text_id(row["child_execution_id"])


def _input_requested(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.step(row)
    draft.state.paused_at = row["occurred_at"]


def _input_received(draft: Draft, row: EventRow, payload: Payload) -> None:
    step = draft.step(row)
    if step is not None:
        step.user_input = payload.get("user_input")
    draft.state.resumed_at = row["occurred_at"]


def _approval_requested(draft: Draft, row: EventRow, payload: Payload) -> None:
    approval = ApprovalState(
        id=str(row["approval_id"]),
        subject=row["approval_subject"],
        requested_at=row["occurred_at"],
        step_id=text_id(row["step_id"]),
        call_id=text_id(row["call_id"]),
        requested_from=row["requested_from"],
        details=_object(payload, "details"),
    )
    if draft.add(row, "approvals", approval):
        draft.state.approvals_pending += 1


def _approval_applied(draft: Draft, row: EventRow, payload: Payload) -> None:
    approval = draft.approval(row)
    if approval is None:
        return
    if approval.status == "pending":
        draft.state.approvals_pending -= 1
    else:
        draft.problem(row, f"approval {approval.id} is {approval.status}")
    approval.status = row["decision"]
    approval.decided_at = row["occurred_at"]
    approval.decided_by = row["operator_id"]
    approval.comment = row["decision_comment"]
    if row["decision"] == Decision.APPROVED and row["operator_id"] is not None:
        draft.state.approved_by = row["operator_id"]
        if row["call_id"] is not None and (call := draft.call(row)) is not None:
            call.approved_by = row["operator_id"]


def _tokens_updated(draft: Draft, row: EventRow, payload: Payload) -> None:
    state = draft.state
    tokens: int = sum(filter(None, _tokens_of(row)))
    cost: Decimal | None = row["cost_usd"]
    estimate: Decimal | None = row["estimated_cost_usd"]
    call = None if row["call_id"] is None else draft.call(row)
    for spender in (state,) if call is None else (state, call):
        spender.spent_tokens += tokens
        if cost is not None:
            spender.total_cost = ADD_USD(spender.total_cost, cost)
        if estimate is not None:
            spender.estimated_cost = ADD_USD(spender.estimated_cost, estimate)
    if call is not None:
        call.model = row["model"]
        call.input_tokens += row["input_tokens"] or 0
        call.output_tokens += row["output_tokens"] or 0


def _nothing(draft: Draft, row: EventRow, payload: Payload) -> None:
    """A fact that the state does not hold: CostRecalculated corrects another event, BudgetExceeded repeats a total."""


def _context_updated(draft: Draft, row: EventRow, payload: Payload) -> None:
    patch = payload.get("patch")
    if isinstance(patch, dict):
        merge_into(draft.context(), patch)
    else:
        draft.problem(row, "its patch is not an object")


def _artifact_recorded(draft: Draft, row: EventRow, payload: Payload) -> None:
    artifact = ArtifactState(
        id=str(row["artifact_id"]),
        artifact_type=row["artifact_type"],
        name=row["artifact_name"],
        uri=row["uri"],
        recorded_at=row["occurred_at"],
        step_id=text_id(row["step_id"]),
        size_bytes=row["size_bytes"],
        content_type=row["content_type"],
        sha256=row["sha256"],
        artifact_metadata=_object(payload, "metadata"),
    )
    draft.add(row, "artifacts", artifact)


def _log_recorded(draft: Draft, row: EventRow, payload: Payload) -> None:
    draft.state.log_entries += 1


REDUCERS: dict[str, Reducer] = {
    "WorkflowCreated": _workflow_created,
    "WorkflowStarted": _workflow_started,
    "WorkflowPaused": _paused,
    "WorkflowResumed": _resumed,
    "WorkflowCompleted": _workflow_completed,
    "WorkflowFailed": _workflow_failed,
    "WorkflowCancelled": _workflow_cancelled,
    "WorkflowTimedOut": _workflow_timed_out,
    "ExecutionAborted": _execution_aborted,
    "StepDispatched": _step_dispatched,
    "StepCompleted": _step_completed,
    "StepFailed": _step_failed,
    "StepRetried": _step_retried,
    "StepSkipped": _step_skipped,
    "BranchTaken": _branch_taken,
    "IterationStarted": _iteration_started,
    "ChildExecutionLinked": _child_execution_linked,
    "InputRequested": _input_requested,
    "InputReceived": _input_received,
    "ApprovalRequested": _approval_requested,
    "ApprovalApplied": _approval_applied,
    "TokensUpdated": _tokens_updated,
    "CostRecalculated": _nothing,
    "BudgetExceeded": _nothing,
    "ContextUpdated": _context_updated,
    "ArtifactRecorded": _artifact_recorded,
    "LogRecorded": _log_recorded,
}
"""The reducer of every event type."""
