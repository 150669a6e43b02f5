"""Whatever a definition says and however its calls end, an execution comes to an end, and its history is legal."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from ledger_pipeline.errors import InvalidDefinition
from ledger_pipeline.events.catalogue import EVENT_COLUMNS
from ledger_pipeline.events.enums import StepStatus, StepType
from ledger_pipeline.events.fold import fold
from ledger_pipeline.events.state import ExecutionState, initial
from ledger_pipeline.events.states import ExecutionState as Position
from ledger_pipeline.ingest.simulate import simulate
from ledger_pipeline.templates import read_definition
from ledger_pipeline.workflows.closing import complete_step, fail_step
from ledger_pipeline.workflows.dispatching import Given, dispatch
from ledger_pipeline.workflows.ending import complete
from ledger_pipeline.workflows.ids import uuid7
from ledger_pipeline.workflows.next_steps import next_steps
from ledger_pipeline.workflows.recording import Operator, Recording
from ledger_pipeline.workflows.starting import Workflow, begin, create
from ledger_pipeline_tests.workflows.definitions import action

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def recording_of(document: dict[str, Any], given_input: Any = None) -> Recording:
    recording = Recording(initial(), NOW, Operator("tester"), uuid7)
    create(recording, uuid.uuid4(), Workflow(read_definition(document).definition), given_input, None)
    begin(recording)
    return recording


def statuses(state: ExecutionState) -> dict[str, str]:
    return {step.path: str(step.status) for step in state.steps.values()}


def work_off(recording: Recording) -> None:
    while ready := next_steps(recording.state).ready:
        dispatched, _ = dispatch(recording, ready[0].step_id, Given())
        if dispatched.work:
            complete_step(recording, dispatched.call_id, dispatched.step_name, None)


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (
            {"type": "loop", "name": "l", "collection": [1, 2], "steps": [action("a", on_success="end"), action("b")]},
            {"0": "completed", "0/0": "completed", "0/1": "skipped", "1": "skipped", "2": "skipped"},
        ),
        (
            {"type": "loop", "name": "l", "collection": [1, 2], "steps": [action("a", on_success="z")]},
            {"0": "completed", "0/0": "completed", "1": "skipped", "2": "completed"},
        ),
        (
            {"type": "parallel", "name": "p", "steps": [action("a", on_success="end"), action("b")]},
            {"0": "completed", "0/0": "completed", "0/1": "completed", "1": "skipped", "2": "skipped"},
        ),
        (
            {"type": "condition", "name": "c", "condition": "true", "on_true": action("a", on_success="z")},
            {"0": "completed", "0/0": "completed", "1": "skipped", "2": "completed"},
        ),
        (
            {"type": "condition", "name": "c", "condition": "false", "on_true": action("a"), "on_false": "end"},
            {"0": "completed", "0/0": "skipped", "1": "skipped", "2": "skipped"},
        ),
    ],
)
def test_targets_lead_out_of_what_holds_them(inner: dict[str, Any], expected: dict[str, str]) -> None:
    recording = recording_of({"name": "out", "steps": [inner, action("y"), action("z")]})

    work_off(recording)

    assert statuses(recording.state) == expected
    assert next_steps(recording.state).may_complete


@pytest.mark.mission("E3")
def test_what_comes_next_is_answered_for_executions_that_were_recorded_otherwise() -> None:
    by_execution: dict[Any, list[Any]] = {}
    for event in simulate(30, 10, 7, NOW, lambda usage: usage):
        row = dict.fromkeys(EVENT_COLUMNS) | event.to_row()
        rows = by_execution.setdefault(row["execution_id"], [])
        rows.append(row | {"sequence": len(rows) + 1, "execution_kind": row["execution_kind"] or "workflow"})
    for rows in by_execution.values():
        state = initial()
        for row in rows:
            state = fold(state, row)
            assert next_steps(state).status == state.status


names = st.sampled_from(["next", "end", "s0", "s1", "s2", "s3"])
failures = st.sampled_from(["fail", "continue", "retry", "next", "end", "s2", "s3"])


@st.composite
def steps(draw: Any, depth: int) -> dict[str, Any]:
    """A step without a name; inside of it others, as deep as is left."""
    kind = draw(st.sampled_from(["action", "condition", "parallel", "loop"] if depth else ["action", "condition"]))
    inner = steps(depth - 1) if depth else st.just({"type": "action", "tool_name": "leaf"})
    step: dict[str, Any] = {"type": kind}
    if kind == "condition":
        step["condition"] = draw(st.sampled_from(["true", "false", "{{n}} > 1", "{{previous_step.output}} == 'x'"]))
    if kind == "action":
        step |= {"tool_name": "t", "parameters": {"p": "{{n}}"}, "retry_count": draw(st.integers(0, 1))}
    if kind in ("parallel", "loop"):
        step["steps"] = draw(st.lists(inner, min_size=1, max_size=3))
    if kind == "loop":
        step["collection"] = draw(st.lists(st.integers(0, 3), max_size=3))
    for field in ("on_true", "on_false") if kind == "condition" else ("on_success",):
        if draw(st.integers(0, 2)) == 0:
            step[field] = draw(names | inner)
    if draw(st.integers(0, 2)) == 0:
        step["on_failure"] = draw(failures | inner)
    return step


@pytest.mark.mission("E3")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_course_ends_and_is_legal(data: st.DataObject) -> None:
    line = data.draw(st.lists(steps(2), min_size=1, max_size=4))
    document = {"name": "any", "steps": [{**step, "name": f"s{nth}"} for nth, step in enumerate(line)]}
    try:
        recording = recording_of(document, {"n": data.draw(st.integers(0, 2))})
    except InvalidDefinition:
        reject()
    for _ in range(400):
        state = recording.state
        if state.position.ended:
            break
        now = next_steps(state)
        actions = [call for call in now.running if call.step_type is StepType.ACTION]
        if not now.ready and not actions:
            # Nothing is left to wait for: it may complete.
            assert now.may_complete, statuses(state)
            complete(recording, None, skip_remaining=False)
        elif now.ready and (not actions or data.draw(st.booleans())):
            dispatch(recording, data.draw(st.sampled_from(now.ready)).step_id, Given())
        else:
            call = data.draw(st.sampled_from(actions))
            if data.draw(st.integers(0, 3)):
                complete_step(recording, call.call_id, "x", None)
            else:
                fail_step(recording, call.call_id, "no")
    state = recording.state
    assert state.problems == ()
    assert state.position in (Position.COMPLETED, Position.FAILED)
    assert {step.status for step in state.steps.values()} <= {
        StepStatus.COMPLETED,
        StepStatus.FAILED,
        StepStatus.SKIPPED,
    }
    assert len(state.steps) == len({step.path for step in state.steps.values()})
