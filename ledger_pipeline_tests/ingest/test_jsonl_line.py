"""One line of the interchange format: what is read, what is refused and why, without a database."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.ingest.jsonl_line import event_row, format_row, parse_line
from ledger_pipeline.ingest.lines import SourceLine
from ledger_pipeline_tests.ingest.ledger_files import EXECUTION, event, usage

LATEST = datetime(2030, 1, 1, tzinfo=UTC)


def parsed(text: str):
    return parse_line(SourceLine(2, text.encode()), LATEST)


def test_the_payload_keeps_its_text_byte_for_byte():
    text = '{ "details": {"b": 1.50, "a": 1e2, "a": 2} }'
    content = parsed(event("LogRecorded", log_level="info", message="x", payload=text))
    assert event_row(content.event, content.payload)["payload"] == text


def test_members_of_the_payload_may_stand_beside_the_columns_and_keep_their_numbers():
    text = event("LogRecorded", log_level="info", message="x", details={"a": 1}).replace('"a": 1', '"a": 1.50e-07')
    content = parsed(text)
    assert event_row(content.event, content.payload)["payload"] == '{"details":{"a":1.50e-07}}'


def test_money_is_read_exactly_from_text_and_from_numbers():
    assert parsed(usage(cost_usd="0.000000000001")).event.cost_usd == Decimal("1e-12")
    assert parsed(usage(cost_usd=0.1)).event.cost_usd == Decimal("0.1")


def test_what_a_ledger_assigns_is_ignored_and_null_means_left_out():
    text = usage(week="2025-01-06", epoch=9, tx=1, recorded_at="x", leaf="00", hash="00", cost_usd=None, requests=None)
    assert parsed(text).event.requests == 1


def test_a_row_is_written_with_money_as_text_and_times_in_utc():
    row = event_row(parsed(usage(cost_usd="1.5", occurred_at="2025-01-07T10:00:00.5+01:00")).event, "{}")
    written = json.loads(format_row(row))
    assert written["cost_usd"] == "1.500000000000"
    assert written["occurred_at"] == "2025-01-07T09:00:00.500000Z"
    assert written["execution_id"] == str(EXECUTION)
    assert written["payload"] == "{}"
    assert "estimated_cost_usd" not in written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"event_type": "LogRecorded", "event_type": "LogRecorded"}', "'event_type' occurs twice"),
        ("{}", "event_type: must be a text"),
        (event("Invented"), "event_type: 'Invented' is not known; allowed: WorkflowCreated"),
        (event("WorkflowStarted", "no-uuid"), "execution_id: Input should be a valid UUID"),
        (event("WorkflowStarted", occurred_at=None), "occurred_at: must be a text"),
        (event("WorkflowStarted", occurred_at=1_730_000_000), "occurred_at: must be a text"),
        (event("WorkflowStarted", occurred_at="2025-01-07T09:00:00"), "timezone"),
        (event("WorkflowStarted", occurred_at="2031-01-07T09:00:00Z"), "lies in the future"),
        (event("WorkflowStarted", sequence=0), "sequence: Input should be greater than or equal to 1"),
        (event("WorkflowStarted", colour="red"), "colour: Extra inputs are not permitted"),
        (event("WorkflowStarted", model="gpt-4o"), "model: Extra inputs are not permitted"),
        (event("WorkflowStarted", payload={}), "payload: must be a text that holds the JSON object"),
        (event("WorkflowStarted", payload='{"reason": "x"}'), "payload: reason is not a member"),
        (event("LogRecorded", log_level="info", message="x", payload="[]"), "payload: must be a JSON object"),
        (event("LogRecorded", log_level="info", message="x", payload='{"details": {"a": NaN}}'), "not a JSON number"),
        (event("LogRecorded", log_level="info", message="x", payload='{"details": {"a": "\\u0000"}}'), "U+0000"),
        (event("LogRecorded", log_level="info", message="x", details={}, payload='{"details": {}}'), "give it once"),
        (event("LogRecorded", log_level="loud", message="x"), "log_level: Input should be 'debug'"),
        (event("LogRecorded", log_level="info", message=""), "message"),
        (event("LogRecorded", log_level="info", message="a\x1fb"), "U+001F"),
        (usage(input_tokens=-1), "input_tokens: Input should be greater than or equal to 0"),
        (usage(input_tokens=10**13), "input_tokens: Input should be less than or equal to"),
        (usage(cost_usd="NaN"), "cost_usd: Input should be a finite number"),
        (usage(cost_usd="-1"), "cost_usd"),
        (usage(cost_usd="0.0000000000001"), "more than 12 decimal places"),
    ],
)
def test_a_malformed_line_is_refused_with_its_reason(text: str, reason: str):
    with pytest.raises(InvalidInput) as refused:
        parsed(text)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_hand_written_lines_of_the_documentation_are_well_formed():
    text = (Path(__file__).parents[2] / "docs" / "interchange.md").read_text()
    block = text.split("### Writing it by hand")[1].split("```json\n")[1].split("```")[0]
    types = [parsed(line).event.event_type for line in block.splitlines()]
    assert types == ["WorkflowCreated", "WorkflowStarted", "TokensUpdated", "WorkflowCompleted"]
