"""What the lines of an Aider log mean as executions and events, without a database."""

import gzip
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_pipeline.events import TokensUpdated
from ledger_pipeline.events.fold import fold_all, initial
from ledger_pipeline_tests.ingest.aider_logs import NOON, by_execution, events_of, line, send, shape


def problems(events):
    """Every rule of the state machine that the events break."""
    found = []
    for execution in by_execution(events):
        found += fold_all(initial(), (event.to_row() for event in execution)).problems
    return found


@pytest.fixture(scope="module")
def real_lines(test_data: Path) -> list[str]:
    with gzip.open(test_data / "aider" / "aider-analytics-union.jsonl.gz", "rt") as file:
        return file.read().splitlines()


@pytest.fixture(scope="module")
def real_events(real_lines: list[str]):
    return events_of(real_lines)


def test_a_stretch_from_launched_to_exit_is_an_execution_with_a_step_for_each_message():
    log = [
        line("launched"),
        line("cli session"),
        line("message_send_starting"),
        send(),
        line("exit", reason="/exit"),
    ]
    assert shape(events_of(log)) == [
        "WorkflowCreated:1",
        "WorkflowStarted",
        "LogRecorded:2",
        "StepDispatched:3",
        "TokensUpdated:4",
        "StepCompleted",
        "WorkflowCompleted:5",
    ]


def test_launched_ends_the_open_stretch_of_that_user_only():
    log = [line("launched", "ada"), line("launched", "bob"), line("launched", "ada", NOON + 1)]
    first, bob, second = by_execution(events_of(log))
    assert shape(first) == ["WorkflowCreated:1", "WorkflowStarted", "ExecutionAborted"]
    assert first[-1].reason == "superseded"
    assert shape(bob) == ["WorkflowCreated:2", "WorkflowStarted"]
    assert shape(second) == ["WorkflowCreated:3", "WorkflowStarted"]


def test_lines_outside_any_stretch_open_one_implicit_execution_until_launched():
    log = [line("exit", reason="/exit"), line("repo"), send(), line("launched")]
    ended, implicit, launched = by_execution(events_of(log))
    assert shape(ended) == ["WorkflowCreated", "WorkflowStarted", "WorkflowCompleted:1"]
    assert shape(implicit)[:3] == ["WorkflowCreated", "WorkflowStarted", "LogRecorded:2"]
    assert shape(implicit)[-1] == "ExecutionAborted"
    assert shape(launched) == ["WorkflowCreated:4", "WorkflowStarted"]


def test_a_line_without_a_user_opens_an_implicit_execution_even_when_it_is_launched():
    (execution,) = by_execution(events_of([line("launched", None), line("cli session", None)]))
    assert shape(execution) == ["WorkflowCreated", "WorkflowStarted", "LogRecorded:1", "LogRecorded:2"]
    assert {event.operator_id for event in execution} == {None}


def test_a_send_without_a_start_dispatches_its_step_synthetically():
    events = events_of([line("launched"), send()])
    assert shape(events)[2:] == ["StepDispatched", "TokensUpdated:2", "StepCompleted"]


def test_an_exception_fails_the_open_step_and_is_an_error_in_the_log_without_one():
    log = [line("launched"), line("message_send_starting"), *[line("message_send_exception", exception="no route")] * 2]
    events = events_of(log)
    assert shape(events)[2:] == ["StepDispatched:2", "StepFailed:3", "LogRecorded:4"]
    assert (events[-2].error_message, events[-1].message, events[-1].log_level) == ("no route", "no route", "error")


def test_a_start_without_a_result_fails_before_the_next_start_and_before_a_completion():
    log = [line("launched"), *[line("message_send_starting")] * 2, line("exit", reason="Completed --message")]
    assert shape(events_of(log))[2:] == [
        "StepDispatched:2",
        "StepFailed",
        "StepDispatched:3",
        "StepFailed",
        "WorkflowCompleted:4",
    ]


@pytest.mark.parametrize(
    ("reason", "end", "kept"),
    [
        ("/exit", "WorkflowCompleted", lambda end: end.output["reason"]),
        ("Listed models", "WorkflowCompleted", lambda end: end.output["reason"]),
        ("Control-C", "WorkflowCancelled", lambda end: end.reason),
        ("Keyboard interrupt during model warnings", "WorkflowCancelled", lambda end: end.reason),
        ("Unknown edit format", "WorkflowFailed", lambda end: end.error_message),
        ("ValueError during coder creation", "WorkflowFailed", lambda end: end.error_message),
    ],
)
def test_the_reason_of_an_exit_says_how_the_execution_ended_and_is_kept(reason, end, kept):
    last = events_of([line("launched"), line("exit", reason=reason)])[-1]
    assert (last.event_type, kept(last)) == (end, reason)


def test_what_a_cancellation_cannot_hold_stands_in_a_log_entry_before_it():
    events = events_of([line("launched"), line("exit", reason="Control-C", os="Darwin")])
    assert shape(events)[2:] == ["LogRecorded", "WorkflowCancelled:2"]
    assert events[-2].details == {"os": "Darwin"}


def test_a_model_warning_is_a_warning():
    assert events_of([line("model warning", main_model="x")])[-1].log_level == "warning"


def test_recorded_costs_are_rounded_to_twelve_places_and_keep_their_text():
    text = send().replace("0.0005", "1.2345678901235e-05")
    event = next(e for e in events_of([text]) if isinstance(e, TokensUpdated))
    assert event.recorded_cost_usd == Decimal("0.000012345679")
    assert '"recorded_cost":"1.2345678901235e-05"' in event.to_row()["payload"]
    assert '"cost":1.2345678901235e-05' in event.to_row()["payload"]


def test_a_recorded_cost_of_zero_is_zero_and_a_missing_one_is_none():
    log = [send(cost=0), send(cost=0.0), send(cost=None)]
    assert [e.recorded_cost_usd for e in events_of(log) if isinstance(e, TokensUpdated)] == [0, 0, None]


def test_identical_lines_are_distinct_events():
    log = [line("launched"), send(), send(), line("launched"), send(), line("exit", reason="/exit")]
    events = events_of(log * 2)
    assert len({event.event_id for event in events}) == len(events)
    assert len(by_execution(events)) == 4


def test_ties_within_a_second_keep_the_order_of_the_file():
    log = [line("launched"), line("command_add"), line("command_drop"), line("command_add")]
    assert [event.message for event in events_of(log)[2:]] == ["command_add", "command_drop", "command_add"]


def test_ids_do_not_depend_on_the_name_of_the_file_nor_on_the_lines_of_others():
    own = [line("launched"), send(), line("exit", reason="/exit")]
    others = [line("launched", "bob"), send("bob")]
    alone = [event.event_id for event in events_of(own, "a.jsonl")]
    among_others = events_of([others[0], *own, others[1]], "b.jsonl")
    assert [event.event_id for event in among_others if event.operator_id == "ada"] == alone


def test_an_event_id_stands_for_everything_before_it():
    log = [line("launched"), line("command_add"), line("command_drop")]
    altered = [line("launched"), line("command_ask"), line("command_drop")]
    assert events_of(log)[-1].event_id != events_of(altered)[-1].event_id


NAMES = ["launched", "exit", "message_send_starting", "message_send", "message_send_exception", "repo", "model warning"]
EXITS = ["/exit", "Control-C", "Unknown edit format"]


def made_line(name: str, user: str | None, seconds: int, reason: str) -> str:
    match name:
        case "message_send":
            return send(user, NOON + seconds)
        case "exit":
            return line(name, user, NOON + seconds, reason=reason)
        case _:
            return line(name, user, NOON + seconds)


LOGS = st.lists(
    st.builds(
        made_line,
        st.sampled_from(NAMES),
        st.sampled_from(["ada", "bob", None]),
        st.integers(-3, 3),
        st.sampled_from(EXITS),
    ),
    max_size=40,
)


@given(LOGS)
@settings(max_examples=150, deadline=None)
def test_any_order_of_lines_gives_legal_executions_that_carry_each_line_once(log: list[str]):
    events = events_of(log)
    assert problems(events) == []
    assert [event.source_line for event in events if event.source_line] == list(range(1, len(log) + 1))
    assert len({event.event_id for event in events}) == len(events)


@given(LOGS, st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_a_grown_log_begins_with_the_events_of_the_shorter_one(log: list[str], length: int):
    before = events_of(log[:length])
    assert events_of(log)[: len(before)] == before


def test_each_real_line_is_carried_by_exactly_one_event(real_lines, real_events):
    lines = [event.source_line for event in real_events if event.source_line]
    assert len(real_lines) == 39_572
    assert sorted(lines) == list(range(1, 39_573))


def test_the_real_log_sums_to_what_it_says(real_events):
    usage = [event for event in real_events if isinstance(event, TokensUpdated)]
    assert len(usage) == 5_563
    assert sum(event.input_tokens for event in usage) == 73_020_005
    assert sum(event.output_tokens for event in usage) == 2_956_951
    recorded = sum((event.recorded_cost_usd for event in usage), Decimal(0))
    assert abs(recorded - Decimal("10182.700381635998")) <= Decimal("1e-9")
    assert sum(event.recorded_cost_usd == 0 for event in usage) == 1_143


def test_the_real_log_gives_legal_executions(real_events):
    assert problems(real_events) == []
    assert len({event.event_id for event in real_events}) == len(real_events) == 59_443


def test_the_synthetic_starts_of_the_real_log(real_lines, real_events):
    created = [event for event in real_events if event.event_type == "WorkflowCreated"]
    assert Counter(event.source_line is None for event in created) == {False: 6_542, True: 1_502 + 11}
    dispatched = Counter(e.source_line is None for e in real_events if e.event_type == "StepDispatched")
    # 986 sends have no start since their user's last launch; the start of 49 more lies before an exit.
    assert dispatched == {False: 5_556, True: 986 + 49}


@pytest.mark.parametrize("length", [999, 20_000])
def test_the_grown_real_log_begins_with_the_events_of_the_shorter_one(real_lines, real_events, length):
    before = events_of(real_lines[:length])
    assert real_events[: len(before)] == before
