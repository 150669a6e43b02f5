"""`fold(state, event) -> state`, pure and total: the one meaning of an execution's history.

Total: every event of every type gives a state, in any order and from a damaged log too. An event that breaks a rule is
noted in `state.problems` and applied as far as it can be, because the log says that it happened; what an append can
have written gives no problem.
"""

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, cast

from ledger_pipeline.events.catalogue import ENVELOPE, EVENT_TYPES, typed_columns
from ledger_pipeline.events.draft import Draft, EventRow
from ledger_pipeline.events.reducers import REDUCERS, TOKEN_COLUMNS, Payload
from ledger_pipeline.events.state import ExecutionState, initial
from ledger_pipeline.events.states import RULES
from ledger_pipeline.events.upcasters import UPCASTERS, upcast

__all__ = [
    "FOLD_COLUMNS",
    "REDUCER_VERSION",
    "ExecutionState",
    "fold",
    "fold_all",
    "fold_columns",
    "initial",
    "parse_json",
]

REDUCER_VERSION = 2
"""Raised by every change that gives another state or another state text: snapshots of other versions are ignored."""

_OF_EACH = ("sequence", "event_type", "event_version", "occurred_at", "payload", "step_id", "call_id", "operator_id")
FOLD_COLUMNS: tuple[str, ...] = (
    "execution_id",
    *_OF_EACH,
    *("execution_kind", "workflow_name", "workflow_type", "template_id", "template_version", "mode", "drive_id"),
    *("customer_id", "user_id", "agent_id", "agent_name", "triggered_by", "triggered_by_kind", "retry_of"),
    *("parent_execution_id", "parent_step_id", "budget_usd", "budget_tokens", "reason", "error_code", "error_message"),
    *(
        "attempt",
        "tool_name",
        "next_attempt",
        "child_execution_id",
        "model",
        *TOKEN_COLUMNS,
        "cost_usd",
        "estimated_cost_usd",
    ),
    *("approval_id", "approval_subject", "requested_from", "decision", "decision_comment", "artifact_id"),
    *("artifact_type", "artifact_name", "uri", "size_bytes", "content_type", "sha256"),
)
"""The columns that a fold may read; a reader may leave out the others."""

_WITH_ENVELOPE = {"WorkflowCreated", "StepDispatched"}


def fold_columns(event_type: str) -> Sequence[str]:
    """Those of `FOLD_COLUMNS` that the fold reads of an event of this type."""
    if any(of_type == event_type for of_type, _ in UPCASTERS):
        return FOLD_COLUMNS
    event_class = EVENT_TYPES.get(event_type)
    own = typed_columns(event_class) if event_class else ()
    wanted = {*_OF_EACH, *(typed.name for typed in own)}
    return tuple(name for name in FOLD_COLUMNS if name in wanted or (name in ENVELOPE and event_type in _WITH_ENVELOPE))


MAX_DEPTH = 200
"""Levels of a payload that is read; the interpreter's own limit would depend on who calls."""

# Python refuses to make integers of more than 4,300 digits, which a payload may hold.
_WIDEST_INT = 4_000
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _WIDEST_INT else Decimal(digits)


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal)
_WIDE_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal, parse_int=_integer)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def parse_json(text: str, max_depth: int = 2 * MAX_DEPTH) -> Any:
    """The value of a JSON text with exact numbers; raises ValueError for what is none and for one nested too deeply."""
    if text.count("[") + text.count("{") > max_depth and _depth(text) > max_depth:
        raise ValueError(f"is nested deeper than {max_depth} levels")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _WIDE_DECODER.decode(text)


def _payload(draft: Draft, row: EventRow) -> Payload:
    text: str = row["payload"]
    if text == "{}":
        return {}
    try:
        # Deeper than an append takes: what was stored before there was that bound is read as well.
        value = parse_json(text)
    except ValueError as error:
        draft.problem(row, f"its payload can't be read: {error}")
        return {}
    if not isinstance(value, dict):
        draft.problem(row, "its payload is not a JSON object")
        return {}
    return cast("Payload", value)


def _current(draft: Draft, row: EventRow) -> EventRow:
    try:
        return upcast(row)
    except (ValueError, TypeError, LookupError) as error:  # of a damaged log
        draft.problem(row, f"can't be read as the current version: {error!r}")
        return row


def _apply(draft: Draft, row: EventRow) -> None:
    state = draft.state
    event_type: str = row["event_type"]
    if UPCASTERS:
        row = _current(draft, row)
    if row["sequence"] != state.last_sequence + 1:
        draft.problem(row, f"follows sequence {state.last_sequence}")
    rule = RULES.get(event_type)
    if rule is None:
        draft.problem(row, "is no event type of this version")
    else:
        if row["event_version"] != EVENT_TYPES[event_type].version:
            draft.problem(row, f"version {row['event_version']} is not known here")
        if rule.execution_from:
            if state.id is None:
                draft.problem(row, "before the execution was created")
            elif state.position not in rule.execution_from:
                draft.problem(row, f"the execution is {state.position}")
        elif state.id is not None:
            draft.problem(row, "the execution exists already")
        if rule.execution_to is not None:
            state.position, state.status = rule.execution_to, rule.execution_to.status
        REDUCERS[event_type](draft, row, _payload(draft, row))
    draft.mark(row)


def fold(state: ExecutionState, row: EventRow) -> ExecutionState:
    """The state after one more event; `state` itself stays as it is."""
    return fold_all(state, (row,))


def fold_all(state: ExecutionState, rows: Iterable[EventRow]) -> ExecutionState:
    """The state after more events, given in sequence order: the same as folding one by one, without the copies."""
    draft = Draft(state)
    for row in rows:
        _apply(draft, row)
    return draft.finish()
