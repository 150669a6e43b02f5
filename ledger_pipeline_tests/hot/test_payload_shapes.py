"""What append judges of a raw payload: a shape that the event's class refuses is not stored, and the rest replays."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger_pipeline.errors import AppendRefused, InvalidInput, LedgerError
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.events.payload import parse_payload
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline_tests.hot.commands import OBJECTS
from ledger_pipeline_tests.hot.conftest import NOW

NO_COLD = Path("/nonexistent")
STEP = "00000000-0000-4000-8000-0000000000aa"
"""Stands for the step of an example; each gets an id of its own."""
CALL = "00000000-0000-4000-8000-0000000000bb"
FIELDS: dict[str, dict[str, Any]] = {
    "WorkflowCreated": {},
    "WorkflowFailed": {"error_code": "E1", "error_message": "no"},
    "StepDispatched": {"step_id": STEP, "call_id": CALL, "tool_name": "sh"},
    "StepFailed": {"step_id": STEP, "call_id": CALL, "error_code": "E1", "error_message": "no"},
    "StepCompleted": {"step_id": STEP, "call_id": CALL},
    "IterationStarted": {"step_id": STEP, "iteration_index": 0},
    "InputRequested": {"step_id": STEP},
    "ApprovalRequested": {"approval_id": CALL, "approval_subject": "deploy"},
    "TokensUpdated": {"model_call_id": "c", "model": "m", "pricing_status": "priced", "cost_usd": "0.01"}
    | dict.fromkeys((*(f"{kind}_tokens" for kind in USAGE_KINDS), "requests"), 0),
    "ContextUpdated": {},
    "ArtifactRecorded": {"artifact_id": CALL, "artifact_type": "report", "artifact_name": "r", "uri": "file:r"},
    "LogRecorded": {"log_level": "info", "message": "x"},
}
ENTRIES = {"WorkflowCreated": "plan", "IterationStarted": "steps", "StepDispatched": "plan_entry"}


@pytest.fixture(scope="module")
def connection(module_ledger_url: str) -> Iterator[Connection]:
    """One connection for all tests: the plans of an append, which take most of a first one, are kept."""
    with connect(module_ledger_url, autocommit=True) as opened:
        yield opened


def entry(**changed: str | None) -> str:
    """The JSON text of a plan entry; `None` leaves a member out."""
    members = {"step_id": f'"{STEP}"', "path": '"7"', "step_order": "7", "step_name": '"s"', **changed}
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items() if text is not None) + "}"


def histories(event_type: str, payload: str) -> tuple[UUID, list[dict[str, Any]], dict[str, Any]]:
    """An execution's rows up to where the event is legal, and the event with its payload."""
    execution_id, step, call = uuid.uuid4(), str(uuid.uuid4()), str(uuid.uuid4())

    def own(text: str) -> str:
        return text.replace(STEP, step).replace(CALL, call).replace(STEP.upper(), step.upper())

    def row(name: str, text: str = "{}") -> dict[str, Any]:
        given = {key: own(value) if isinstance(value, str) else value for key, value in FIELDS.get(name, {}).items()}
        return given | {"execution_id": execution_id, "event_type": name, "occurred_at": NOW, "payload": own(text)}

    if event_type == "WorkflowCreated":
        return execution_id, [], row(event_type, payload)
    brings = '"plan_entry"' in payload or '"steps"' in payload
    plan = "" if '"plan_entry"' in payload else entry(path='"0"', step_order="0")
    before = [row("WorkflowCreated", '{"input":{"a":1},"plan":[' + plan + "]}"), row("WorkflowStarted")]
    if event_type in ("StepFailed", "StepCompleted", "IterationStarted"):
        before.append(row("StepDispatched"))
    if event_type == "IterationStarted" and brings:
        payload = payload.replace(STEP, str(uuid.uuid4()))
    return execution_id, before, row(event_type, payload)


def refused(connection: Connection, event_type: str, payload: str, fault: str) -> None:
    """Neither way in stores the event, and nothing of what came with it."""
    execution_id, before, event = histories(event_type, payload)
    with pytest.raises(AppendRefused) as caught:
        append(connection, execution_id, [*before, event])
    assert str(caught.value).startswith(f"{event_type}: {fault}"), caught.value
    with pytest.raises(AppendRefused):
        append_many(connection, [*before, event])
    for table in ("workflow_events", "execution_heads", "workflow_executions"):
        key = "execution_id" if table == "workflow_events" else "id"
        assert connection.execute(f"SELECT FROM {table} WHERE {key} = %s", (execution_id,)).rowcount == 0


def replays(connection: Connection, execution_id: UUID) -> None:
    """The rows of an execution are what its events give."""
    report = check_projections(connection, NO_COLD, [execution_id])
    assert report.ok, report.first


@pytest.mark.mission("A2")
@pytest.mark.parametrize("value", ["3", "null", "[1]", '"x"', "-0.0", "false"])
@pytest.mark.parametrize(
    ("event_type", "member"), [(name, member) for name, members in OBJECTS.items() for member in members]
)
def test_a_member_that_must_be_an_object_is_nothing_else(
    connection: Connection, event_type: str, member: str, value: str
) -> None:
    refused(connection, event_type, f'{{"{member}":{value}}}', f"payload.{member}: must be an object")


@pytest.mark.mission("A2")
def test_a_context_event_brings_its_patch(connection: Connection) -> None:
    refused(connection, "ContextUpdated", "{}", "payload.patch: must be an object")


WRONG_ENTRIES = [
    ("3", ": must be an object"),
    ("[]", ": must be an object"),
    (entry(step_id=None), ".step_id: must be a UUID"),
    (entry(step_id='"x"'), ".step_id: must be a UUID"),
    (entry(step_id="null"), ".step_id: must be a UUID"),
    (entry(path=None), ".path: must be numbers"),
    (entry(path='"0/"'), ".path: must be numbers"),
    (entry(path='"0\\n"'), ".path: must be numbers"),
    (entry(step_order=None), ".step_order: must be a whole number"),
    (entry(step_order='"0"'), ".step_order: must be a whole number"),
    (entry(step_order="-1"), ".step_order: must be a whole number"),
    (entry(step_order="0.5"), ".step_order: must be a whole number"),
    (entry(step_order="99999999999"), ".step_order: must be a whole number"),
    (entry(step_name=None), ".step_name: must be a text"),
    (entry(step_name='""'), ".step_name: must be a text"),
    (entry(step_name="7"), ".step_name: must be a text"),
    (entry(step_type="null"), ".step_type: is not known; allowed: action"),
    (entry(step_type='"other"'), ".step_type: is not known; allowed: action"),
    (entry(max_attempts="null"), ".max_attempts: must be a whole number"),
    (entry(max_attempts="0"), ".max_attempts: must be a whole number"),
    (entry(parent_step_id="5"), ".parent_step_id: must be a UUID"),
    (entry(template_step_id='"x"'), ".template_step_id: must be a UUID"),
    (entry(agent_id="true"), ".agent_id: must be a UUID"),
    (entry(agent_name="1"), ".agent_name: must be a text"),
    (entry(config="null"), ".config: must be an object"),
    (entry(metadata="[]"), ".metadata: must be an object"),
]


@pytest.mark.mission("A2")
@pytest.mark.parametrize(("text", "fault"), WRONG_ENTRIES)
@pytest.mark.parametrize(("event_type", "member"), ENTRIES.items())
def test_a_plan_entry_of_another_form_is_named_by_place_and_field(
    connection: Connection, event_type: str, member: str, text: str, fault: str
) -> None:
    if member == "plan_entry":
        refused(connection, event_type, f'{{"plan_entry":{text}}}', f"payload.plan_entry[0]{fault}")
    else:
        other = entry(step_id=f'"{uuid.uuid4()}"', path='"8"')
        refused(connection, event_type, f'{{"{member}":[{other},{text}]}}', f"payload.{member}[1]{fault}")


@pytest.mark.mission("A2")
@pytest.mark.parametrize(("event_type", "member"), [("WorkflowCreated", "plan"), ("IterationStarted", "steps")])
@pytest.mark.parametrize("value", ["3", "{}", "null", '"x"'])
def test_a_plan_is_a_list(connection: Connection, event_type: str, member: str, value: str) -> None:
    refused(connection, event_type, f'{{"{member}":{value}}}', f"payload.{member}: must be a list of plan entries")


def nested(levels: int, opening: str, innermost: str) -> str:
    """A value within so many lists or objects."""
    inside, closing = {"[": ("[", "]"), "{": ('{"a":', "}")}[opening]
    return inside * levels + innermost + closing * levels


@pytest.mark.mission("A2")
@pytest.mark.parametrize("opening", ["[", "{"])
@pytest.mark.parametrize("innermost", ["1", "[]", "{}", "null"])
@pytest.mark.parametrize("event_type", ["LogRecorded", "StepCompleted", "ContextUpdated"])
def test_two_hundred_levels_are_taken_and_replay_and_no_more_are(
    connection: Connection, event_type: str, opening: str, innermost: str
) -> None:
    frame = {
        "LogRecorded": '{"details":{"d":%s}}',
        "StepCompleted": '{"output":{"o":%s}}',
        "ContextUpdated": '{"patch":{"p":%s}}',
    }[event_type]
    # The payload itself, the member's value, and an innermost list or object are levels too.
    levels = 200 - 2 - (innermost in ("[]", "{}"))
    execution_id, before, event = histories(event_type, frame % nested(levels, opening, innermost))
    append(connection, execution_id, [*before, event])
    replays(connection, execution_id)
    deeper = frame % nested(levels + 1, opening, innermost)
    refused(connection, event_type, deeper, "payload: is nested deeper than 200 levels")


@pytest.mark.mission("A2")
@pytest.mark.parametrize("innermost", ["1", "[]", "{}", "null"])
def test_the_event_classes_draw_the_bound_where_the_database_does(innermost: str) -> None:
    levels = 200 - 2 - (innermost in ("[]", "{}"))
    assert parse_payload(f'{{"details":{{"d":{nested(levels, "[", innermost)}}}}}')
    with pytest.raises(InvalidInput, match="nested deeper than 200 levels"):
        parse_payload(f'{{"details":{{"d":{nested(levels + 1, "[", innermost)}}}}}')


ANY_TEXT = st.sampled_from(
    [
        *(
            "null",
            "true",
            "0",
            "1",
            "1e0",
            "10e-1",
            "-0",
            "-0.0",
            "1E2",
            "2.50",
            "1.0",
            '""',
            '"x"',
            '"7"',
            "[]",
            "[1,null]",
        ),
        *("{}", '{"a":null}', '{"a":{"b":[-0.0,1e5]},"a":2}', f'"{STEP}"', f'"{STEP.upper()}"', '"condition"', '"0/1"'),
    ]
)
OBJECT_TEXT = st.sampled_from(["{}", '{"a":{"b":1e0}}', '{"a":null,"b":{"c":null}}', '{"a":{"b":-0.0}}'])
NAMES = ("step_id", "path", "step_order", "step_name", "step_type", "parent_step_id", "template_step_id")
MORE_NAMES = ("agent_id", "agent_name", "max_attempts", "config", "metadata", "unheard_of")
LIKELY: dict[str, tuple[str, ...]] = {
    "step_order": ("0", "1e0", "1E2", "-0"),
    "max_attempts": ("2", "1e0", "10e-1"),
    "config": ("{}", '{"a":-0.0}'),
    "step_id": (f'"{STEP}"', f'"{STEP.upper()}"'),
}


@st.composite
def any_entry(draw: Callable[[Any], Any]) -> str:
    """A plan entry with a few members of any kind, most of them such as could be taken."""
    chosen = draw(st.lists(st.sampled_from(NAMES + MORE_NAMES), max_size=3, unique=True))
    return entry(
        **{
            name: draw(st.sampled_from(LIKELY[name]) if name in LIKELY and draw(st.integers(0, 2)) else ANY_TEXT)
            for name in chosen
        }
    )


@st.composite
def any_payload(draw: Callable[[Any], Any]) -> tuple[str, str]:
    """An event type, and a payload with members that the type reads, of any kind, perhaps twice."""
    event_type = draw(st.sampled_from(sorted(FIELDS)))
    names = [
        *OBJECTS.get(event_type, ()),
        "output",
        "input",
        "tool_result",
        "tool_parameters",
        "item",
        "trigger_context",
    ]
    members = [
        f'"{name}":{draw(ANY_TEXT | OBJECT_TEXT | OBJECT_TEXT)}'
        for name in draw(st.lists(st.sampled_from(names), max_size=3))
    ]
    if event_type in ENTRIES and draw(st.booleans()):
        text = draw(any_entry())
        members.append(f'"{ENTRIES[event_type]}":' + (text if event_type == "StepDispatched" else f"[{text}]"))
    if event_type == "ContextUpdated" and draw(st.integers(0, 3)):
        members.append(f'"patch":{draw(OBJECT_TEXT)}')
    return event_type, "{" + ",".join(members) + "}"


@pytest.mark.mission("A9")
@pytest.mark.mission("A2")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(case=("WorkflowCreated", '{"plan":[' + entry(step_order="1e0", max_attempts="10e-1") + "]}"))
@example(case=("WorkflowCreated", '{"plan":[' + entry(step_id=f'"{STEP.upper()}"') + "]}"))
@example(case=("StepDispatched", '{"plan_entry":' + entry(parent_step_id=f'"{STEP.upper()}"') + "}"))
@given(case=any_payload())
def test_whatever_payload_is_taken_replays(connection: Connection, case: tuple[str, str]) -> None:
    execution_id, before, event = histories(*case)
    try:
        append(connection, execution_id, [*before, event])
    except LedgerError:
        return
    replays(connection, execution_id)
