"""Random legal histories of one execution: walks through the state machine's rules."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from ledger_pipeline.events import EVENT_TYPES, Event
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.fold import ExecutionState, fold, initial
from ledger_pipeline.events.states import RULES

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
EXECUTION = UUID(int=1)

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
_objects = st.dictionaries(st.sampled_from("abc"), _json, max_size=3)
_usd = st.decimals(0, 1000, places=12)


class Walk:
    """The history so far, and what may come next."""

    def __init__(self, draw: Callable[[Any], Any], execution_id: UUID) -> None:
        self.draw = draw
        self.execution_id = execution_id
        self.rows: list[dict[str, Any]] = []
        self.state: ExecutionState = initial()
        self._ids = execution_id.int << 32
        self._time = START

    def id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids % 2**128)

    def steps(self, *statuses: str) -> list[str]:
        return [s.id for s in self.state.steps.values() if s.status in statuses]

    def calls(self, step: str) -> list[str]:
        return [c.id for c in self.state.calls.values() if c.step_id == step and c.status == "running"]

    def plan(self, parent: str | None, count: int) -> list[dict[str, Any]]:
        siblings = sum(s.parent_step_id == parent for s in self.state.steps.values())
        path = f"{self.state.steps[parent].path}/" if parent else ""
        return [
            {
                "step_id": self.id(),
                "path": f"{path}{order}",
                "step_order": order,
                "step_name": f"step {path}{order}",
                "max_attempts": self.draw(st.integers(1, 3)),
                **({"parent_step_id": parent} if parent else {}),
                **({"config": self.draw(_objects)} if self.draw(st.booleans()) else {}),
            }
            for order in range(siblings, siblings + count)
        ]

    def append(self, event_type: str, **fields: Any) -> None:
        """Adds an event as the store would hold it."""
        self._time += timedelta(milliseconds=self.draw(st.integers(-5_000, 10_000)))
        event: Event = EVENT_TYPES[event_type].model_validate({"occurred_at": self._time, **fields})
        step = self.state.steps.get(str(event.step_id))
        row: dict[str, Any] = dict.fromkeys(EVENT_COLUMNS) | event.to_row()
        row |= {"execution_id": self.execution_id, "sequence": len(self.rows) + 1}
        row["execution_kind"] = row["execution_kind"] or self.state.execution_kind
        row |= {"attempt": step.attempt if step else None, "step_name": step.step_name if step else None}
        self.rows.append(row)
        self.state = fold(self.state, row)

    def legal(self) -> list[str]:
        """Event types that the rules allow now, and that have something to act on."""
        allowed: list[str] = []
        for event_type, rule in RULES.items():
            if self.state.position not in rule.execution_from:
                continue
            if rule.step_from and event_type != "StepDispatched" and not self.candidates(event_type):
                continue
            if event_type in ("InputRequested", "InputReceived") and not self.state.steps:
                continue
            if event_type == "ApprovalApplied" and not self.state.approvals_pending:
                continue
            if event_type == "WorkflowCompleted" and self.state.open_calls:
                continue
            if event_type == "CostRecalculated" and self.state.execution_kind != "repricing":
                continue
            allowed.append(event_type)
        return allowed

    def candidates(self, event_type: str) -> list[str]:
        """Steps on which the event is legal."""
        steps = self.steps(*RULES[event_type].step_from)
        if event_type == "StepRetried":
            steps = [s for s in steps if self.state.steps[s].attempt < self.state.steps[s].max_attempts]
        return steps

    def fields(self, event_type: str) -> dict[str, Any]:
        """Fields that make the event legal now."""
        draw, fields = self.draw, dict[str, Any]()
        if draw(st.booleans()):
            fields["operator_id"] = draw(st.sampled_from(["ada", "grace"]))
        if RULES[event_type].step_from:
            candidates = self.candidates(event_type)
            if candidates and not (event_type == "StepDispatched" and draw(st.integers(0, 4)) == 0):
                fields["step_id"] = draw(st.sampled_from(candidates))
            else:
                parent = draw(st.sampled_from([None, *self.state.steps]))
                fields["plan_entry"] = self.plan(parent, 1)[0]
                fields["step_id"] = fields["plan_entry"]["step_id"]
        step = str(fields.get("step_id"))
        match event_type:
            case "StepDispatched":
                fields |= {"call_id": self.id(), "input": draw(_json), "tool_name": draw(st.sampled_from([None, "sh"]))}
                fields |= {"config": draw(_objects)} if draw(st.booleans()) else {}
            case "StepCompleted":
                fields |= {"call_id": self.calls(step)[0], "output": draw(_json), "tool_result": draw(_json)}
            case "StepFailed":
                fields |= {"call_id": self.calls(step)[0], "error_message": "no", "error_details": draw(_objects)}
                fields["error_code"] = draw(st.sampled_from([None, "E1"]))
            case "WorkflowFailed":
                fields |= {"error_message": "no", "error_code": draw(st.sampled_from([None, "E1"]))}
            case "WorkflowCancelled" | "WorkflowTimedOut" | "ExecutionAborted" | "StepSkipped":
                fields["reason"] = draw(st.sampled_from([None, "because"]))
            case "WorkflowCompleted":
                fields["output"] = draw(_json)
            case "StepRetried":
                fields["next_attempt"] = self.state.steps[step].attempt + 1
            case "BranchTaken":
                fields |= {"branch_condition": "x", "branch_result": "true"}
            case "IterationStarted":
                fields |= {"iteration_index": 0, "item": draw(_json), "steps": self.plan(step, draw(st.integers(0, 2)))}
            case "ChildExecutionLinked":
                fields["child_execution_id"] = self.id()
            case "InputRequested":
                fields["step_id"] = draw(st.sampled_from(list(self.state.steps)))
            case "InputReceived":
                asked = next(r for r in reversed(self.rows) if r["event_type"] == "InputRequested")
                fields |= {"step_id": asked["step_id"], "user_input": draw(_json)}
            case "ApprovalRequested":
                fields |= {"approval_id": self.id(), "approval_subject": "deploy"}
                fields |= self._of_call()
            case "ApprovalApplied":
                pending = [a for a in self.state.approvals.values() if a.status == "pending"]
                approval = draw(st.sampled_from(pending))
                fields |= {"approval_id": approval.id, "decision": draw(st.sampled_from(["approved", "rejected"]))}
                fields |= {"step_id": approval.step_id, "call_id": approval.call_id}
            case "TokensUpdated":
                fields |= {"model_call_id": f"call-{len(self.rows)}", "model": draw(st.sampled_from(["m1", "m2"]))}
                fields |= {"input_tokens": draw(st.integers(0, 10**6)), "reasoning_tokens": draw(st.integers(0, 9))}
                priced = draw(st.booleans())
                fields |= {"pricing_status": "priced" if priced else "unpriced"}
                fields |= {"cost_usd" if priced else "estimated_cost_usd": draw(_usd)}
                fields |= self._of_call()
            case "CostRecalculated":
                fields |= {"target_event_id": self.id(), "target_execution_id": self.id(), "target_occurred_at": START}
                fields |= {"model_call_id": "c", "model": "m1", "difference_usd": Decimal(-1), "reason": "new price"}
            case "BudgetExceeded":
                fields["budget_unit"] = "usd"
            case "ContextUpdated":
                fields["patch"] = draw(_objects)
            case "ArtifactRecorded":
                fields |= {"artifact_id": self.id(), "artifact_type": "report", "artifact_name": "r", "uri": "file:r"}
            case "LogRecorded":
                fields |= {"log_level": "info", "message": "hello", "details": draw(_objects), **self._of_call()}
            case _:
                pass
        return fields

    def _of_call(self) -> dict[str, Any]:
        if not self.state.calls or not self.draw(st.booleans()):
            return {}
        call = self.draw(st.sampled_from(list(self.state.calls.values())))
        return {"call_id": call.id, "step_id": call.step_id}


@st.composite
def legal_histories(
    draw: Callable[[Any], Any], max_events: int = 40, execution_id: UUID = EXECUTION
) -> list[dict[str, Any]]:
    """Event rows of one execution in sequence order, as a store holds them but for its own columns."""
    walk = Walk(draw, execution_id)
    plan = walk.plan(None, draw(st.integers(0, 4)))
    kind = draw(st.sampled_from(["workflow", "workflow", "repricing"]))
    given = {"plan": plan, "input": draw(_objects), "parameters": draw(_objects), "workflow_name": "w"}
    walk.append("WorkflowCreated", execution_kind=kind, **given)
    for _ in range(draw(st.integers(0, max_events - 1))):
        event_type = draw(st.sampled_from(walk.legal()))
        # Ends are drawn seldom enough for histories to grow.
        if RULES[event_type].execution_to in ("failed", "cancelled", "timeout", "aborted") and draw(st.integers(0, 5)):
            continue
        walk.append(event_type, **walk.fields(event_type))
    return walk.rows
