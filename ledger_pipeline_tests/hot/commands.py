"""Commands on executions, sensible or not, and what the rules say of each: the model of the append."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st

from ledger_pipeline.events.catalogue import CLIENT_COLUMNS
from ledger_pipeline.events.states import RULES, CallMove
from ledger_pipeline_tests.events.histories import START, Walk

Draw = Callable[[Any], Any]
Row = dict[str, Any]
Fields = dict[str, Any]

OBJECTS = {
    "WorkflowCreated": ("input", "parameters", "trigger_context", "metadata"),
    "WorkflowFailed": ("error_details",),
    "StepDispatched": ("config",),
    "StepFailed": ("error_details",),
    "InputRequested": ("input_schema",),
    "ApprovalRequested": ("details",),
    "TokensUpdated": ("metadata",),
    "ContextUpdated": ("patch",),
    "ArtifactRecorded": ("metadata",),
    "LogRecorded": ("details",),
}
"""Members of a payload that must be objects."""
WRONG_VALUES: list[tuple[str, Any]] = [
    ("occurred_at", "x"),
    ("occurred_at", "infinity"),
    ("occurred_at", datetime(1969, 12, 31, tzinfo=UTC)),
    ("user_id", "x"),
    ("attempt", "two"),
    ("attempt", 0),
    ("attempt", 2**31),
    ("source_line", 2**63),
    ("operator_id", ""),
    ("operator_id", "a\x1fb"),
    ("operator_kind", "robot"),
    ("event_version", 2),
    ("event_version", "one"),
    ("event_type", "LogWritten"),
    ("budget_usd", "NaN"),
    ("payload", "{"),
    ("payload", "[1]"),
    ("payload", '{"a":"\\u0000"}'),
    ("payload", '{"a":1e200000}'),
]
"""What no column takes, of an event that has none of its own."""


def wrong_payloads(draw: Draw) -> tuple[str, str]:
    """An event type, and a payload that its class would refuse."""
    event_type = draw(st.sampled_from([*OBJECTS, "StepDispatched", "IterationStarted"]))
    if event_type in ("StepDispatched", "IterationStarted") and draw(st.booleans()):
        entry = {"step_id": str(uuid4()), "path": "90", "step_order": 90, "step_name": "s"}
        name = draw(st.sampled_from(list(entry)))
        entry[name] = draw(st.sampled_from([None, True, "", [], {}]))
        member = {"StepDispatched": ("plan_entry", entry), "IterationStarted": ("steps", [entry])}[event_type]
        return event_type, json.dumps(dict([member]))
    name = draw(st.sampled_from(OBJECTS.get(event_type, ("steps",))))
    return event_type, f'{{"{name}":{draw(st.sampled_from(["3", "null", "[1]", chr(34) * 2, "-0.0", "false"]))}}}'


def sent(row: Row) -> Row:
    """What a client sends of an event row; the ledger numbers it."""
    return {name: row[name] for name in CLIENT_COLUMNS if name not in ("event_id", "sequence")}


def any_fields(draw: Draw, event_type: str, walk: Walk, others: Sequence[Walk]) -> Fields:
    """Fields of the type's form, that name steps, calls and approvals of this execution, of another one, or of none."""
    walks = (walk, walk, walk, *others)
    anybody = draw(st.sampled_from(walks)).state

    def one_of(known: Sequence[Any]) -> Any:
        return draw(st.sampled_from([*known, *known, uuid4()]))

    step, call = one_of(list(anybody.steps)), one_of(list(anybody.calls))
    if call in anybody.calls and draw(st.booleans()):
        step = anybody.calls[call].step_id
    rule = RULES[event_type]
    fields: Fields = {"step_id": step} if rule.step_from or draw(st.booleans()) else {}
    if rule.call is not None or draw(st.integers(0, 3)) == 0:
        fields["call_id"] = call
    match event_type:
        case "WorkflowFailed":
            fields["error_message"] = "no"
        case "StepDispatched":
            fields["call_id"] = draw(st.sampled_from([uuid4(), uuid4(), uuid4(), call]))
            if draw(st.booleans()):
                entry = walk.plan(draw(st.sampled_from([None, *walk.state.steps])), 1)[0]
                if draw(st.booleans()):
                    entry["step_id"] = step
                fields |= {"plan_entry": entry, "step_id": draw(st.sampled_from([entry["step_id"], step]))}
        case "StepFailed":
            fields["error_message"] = "no"
        case "StepRetried":
            known = walk.state.steps.get(str(step))
            fields["next_attempt"] = max(2, (known.attempt if known else 1) + draw(st.sampled_from([0, 1, 1, 1, 2])))
        case "BranchTaken":
            fields |= {"branch_condition": "x", "branch_result": "true"}
        case "IterationStarted":
            fields |= {"iteration_index": 0, "steps": []}
        case "ChildExecutionLinked":
            fields["child_execution_id"] = uuid4()
        case "InputRequested" | "InputReceived":
            fields["step_id"] = step
        case "ApprovalRequested" | "ApprovalApplied":
            fields["approval_id"] = one_of(list(anybody.approvals))
            fields |= {"approval_subject": "deploy"} if event_type == "ApprovalRequested" else {"decision": "approved"}
        case "TokensUpdated":
            used = [row["model_call_id"] for row in walk.rows if row["model_call_id"]]
            fields |= {"model_call_id": str(one_of(used)), "model": "m1", "input_tokens": 5}
            fields |= {"pricing_status": "priced", "cost_usd": "0.000000000001"}
        case "CostRecalculated":
            fields |= {"target_event_id": uuid4(), "target_execution_id": uuid4(), "target_occurred_at": START}
            fields |= {"model_call_id": "c", "model": "m1", "difference_usd": "-1", "reason": "new price"}
        case "BudgetExceeded":
            fields["budget_unit"] = "usd"
        case "ContextUpdated":
            fields["patch"] = {"a": draw(st.sampled_from([None, 1, {"b": None}]))}
        case "ArtifactRecorded":
            fields["artifact_id"] = one_of(list(anybody.artifacts))
            fields |= {"artifact_type": "report", "artifact_name": "r", "uri": "file:r"}
        case "LogRecorded":
            fields |= {"log_level": "info", "message": "hello"}
        case _:
            pass
    return fields


def refusal(event_type: str, fields: Fields, walk: Walk, others: Sequence[Walk]) -> str | None:
    """Why the rules forbid the event now; None when they allow it."""
    state, rule = walk.state, RULES[event_type]
    step_id, call_id = fields.get("step_id"), fields.get("call_id")
    entry = fields.get("plan_entry")
    step = state.steps.get(str(step_id))
    call = state.calls.get(str(call_id))
    everybody = [walk.state, *(other.state for other in others)]
    if state.position not in rule.execution_from:
        return "the execution's state"
    if event_type == "WorkflowCompleted" and state.open_calls:
        return "open calls"
    if entry is not None:
        if any(str(entry["step_id"]) in each.steps for each in everybody):
            return "a planned step's id is taken"
        if any(entry["path"] == known.path for known in state.steps.values()):
            return "a planned step's path is taken"
    planned = entry is not None and str(entry["step_id"]) == str(step_id)
    if step_id is not None and step is None and not planned:
        return "the step is not of this execution"
    if rule.step_from and (step.status if step else "pending") not in rule.step_from:
        return "the step's status"
    if event_type == "StepRetried":
        assert step is not None
        if not step.attempt + 1 == fields["next_attempt"] <= step.max_attempts:
            return "the attempt"
    if rule.call is CallMove.OPENS:
        if any(str(call_id) in each.calls for each in everybody):
            return "the call's id is taken"
    elif call_id is not None:
        if call is None:
            return "the call is not of this execution"
        if rule.call is CallMove.CLOSES and call.status != "running":
            return "the call has ended"
        if step_id is not None and call.step_id != str(step_id):
            return "the call is another step's"
    return _refusal_of_subject(event_type, fields, walk, everybody)


def _refusal_of_subject(event_type: str, fields: Fields, walk: Walk, everybody: Sequence[Any]) -> str | None:
    state = walk.state
    approval = str(fields.get("approval_id"))
    match event_type:
        case "ApprovalRequested" if any(approval in each.approvals for each in everybody):
            return "the approval's id is taken"
        case "ApprovalApplied" if approval not in state.approvals or state.approvals[approval].status != "pending":
            return "the approval is not pending"
        case "TokensUpdated" if any(
            row["model_call_id"] == fields["model_call_id"] and row["event_type"] == event_type for row in walk.rows
        ):
            return "the model call has its usage"
        case "ArtifactRecorded" if any(str(fields["artifact_id"]) in each.artifacts for each in everybody):
            return "the artifact's id is taken"
        case "CostRecalculated" if state.execution_kind != "repricing":
            return "the execution's kind"
        case _:
            return None


def ids_of(walks: Sequence[Walk]) -> list[UUID]:
    """The executions of walks."""
    return [walk.execution_id for walk in walks]
