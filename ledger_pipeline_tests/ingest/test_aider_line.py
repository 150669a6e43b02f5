"""Which lines of an Aider log are malformed, and how they are named."""

import pytest

from ledger_pipeline_tests.ingest.aider_logs import NOON, line, rejects_of, send


@pytest.mark.parametrize(
    ("malformed", "reason"),
    [
        ('{"event": "exit", "proper', "not valid JSON"),
        ("\x00\x01\x02", "not valid JSON"),
        ("[]", "must be a JSON object, not list"),
        ("17", "must be a JSON object, not int"),
        ('{"role": "user"}', "no event, properties, user_id, time"),
        ('{"event": "exit", "event": "exit"}', "'event' occurs twice"),
        (line("exit").replace("{}", '"none"'), "properties: must be an object"),
        (line(""), "event: must be a text"),
        (line("exit", 17), "user_id: must be a text"),  # type: ignore[arg-type]
        (line("exit", "a\x1fb"), "user_id: must not contain"),
        (line("exit", time=None), "time: must be seconds"),  # type: ignore[arg-type]
        (line("exit", time="noon"), "time: must be seconds"),  # type: ignore[arg-type]
        (line("exit", time=True), "time: must be seconds"),
        (line("exit", time=-5), "time: must be seconds"),
        (line("exit", time=float("nan")), "time: must be seconds"),
        (line("exit", time=NOON * 1000), "lies in the future"),
        (line("exit").replace(str(NOON), "1e300"), "lies in the future"),
        (line("exit").replace(str(NOON), "1e99999999999999999999"), "a number beyond every bound"),
        (send(prompt_tokens=-1), "prompt_tokens: must be a whole number"),
        (send(prompt_tokens=1.5), "prompt_tokens: must be a whole number"),
        (send(completion_tokens=10**13), "completion_tokens: must be a whole number"),
        (send(completion_tokens=None), "completion_tokens: must be a whole number"),
        (send(cost=-0.1), "cost: must be a number of USD"),
        (send(cost=float("inf")), "Infinity is not a JSON number"),
        (send(cost=1e300), "cost: must be a number of USD"),
        (send(cost="free"), "cost: must be a number of USD"),
        (send(main_model=None), "main_model: must be a text"),
        (send(main_model=""), "main_model: must be a text"),
        (line("message_send_exception", exception="a\x00b"), "U+0000"),
        (line("message_send_exception", exception="\ud800"), "a lone surrogate"),
        (line("repo", num_files=float("nan")), "NaN is not a JSON number"),
        (line("repo").replace("{}", '{"a":' + "[" * 3_000 + "]" * 3_000 + "}"), "nested deeper"),
        (line("repo").replace("{}", '{"a":' + "[" * 101 + "]" * 101 + "}"), "nested deeper"),
    ],
)
def test_a_malformed_line_is_named_with_its_reason_and_the_others_stand(malformed: str, reason: str):
    rejects = rejects_of([line("launched"), malformed, line("exit", reason="/exit")])
    assert list(rejects) == [2]
    assert reason in rejects[2]


@pytest.mark.parametrize(
    "unusual",
    [
        line("a new kind of event", extra={"deep": [1, 2.50]}),
        line("exit"),
        line("exit", reason=17),
        line("message_send_exception"),
        line("message_send_exception", exception="a\x1fb"),
        line("launched", ""),
        line("launched", time=NOON + 0.5),
        send(cost=None),
        send().replace('"time"', '"more": 1, "time"'),
    ],
)
def test_an_unusual_line_is_not_malformed(unusual: str):
    assert rejects_of([unusual]) == {}


def test_blank_lines_are_neither_events_nor_rejects():
    assert rejects_of(["", line("launched"), "   "]) == {}
