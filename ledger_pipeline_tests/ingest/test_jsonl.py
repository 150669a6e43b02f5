"""The interchange format in and out of a ledger: round trip, whole executions, and what is refused."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pyarrow as pa
import pytest

from ledger_pipeline import events
from ledger_pipeline.errors import AppendRefused, InvalidInput
from ledger_pipeline.events.catalogue import EVENT_COLUMNS, SERVER_COLUMNS
from ledger_pipeline.events.schema import ARROW_SCHEMA
from ledger_pipeline.hot.append import append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.aider import import_aider
from ledger_pipeline.ingest.intake import Intake
from ledger_pipeline.ingest.jsonl import export_jsonl, export_rows, import_jsonl
from ledger_pipeline.ingest.result import ImportResult
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline_tests.ingest import aider_logs
from ledger_pipeline_tests.ingest.ledger_files import EXECUTION, OTHER, begun, event, usage, written

EVENT_ROWS = """
SELECT execution_id, sequence, to_jsonb(e) - 'payload' AS columns, payload::text AS payload
FROM workflow_events AS e ORDER BY execution_id, sequence
"""


@pytest.fixture
def import_file(connection: Connection, tmp_path: Path) -> Callable[[Path], ImportResult]:
    return lambda path: import_jsonl(connection, path, tmp_path / "rejects")


@pytest.fixture
def other_connection(make_ledger: Callable[[], str]) -> Iterator[Connection]:
    with connect(make_ledger(), autocommit=True) as opened:
        yield opened


def kept_by_a_round_trip(connection: Connection) -> list[tuple]:
    """Every event without what a ledger assigns."""
    return [
        (
            row["execution_id"],
            row["sequence"],
            {name: value for name, value in row["columns"].items() if name not in SERVER_COLUMNS},
            row["payload"],
        )
        for row in connection.execute(EVENT_ROWS)
    ]


def stored(connection: Connection) -> list[tuple[UUID, int, str]]:
    query = "SELECT execution_id, sequence, event_type FROM workflow_events ORDER BY execution_id, sequence"
    return [tuple(row.values()) for row in connection.execute(query)]


def event_rows(connection: Connection) -> list[dict]:
    columns = ", ".join(EVENT_COLUMNS).replace("payload", "payload::text AS payload")
    return connection.execute(f"SELECT {columns} FROM workflow_events ORDER BY tx, execution_id, sequence").fetchall()


def a_bit_of_everything(connection: Connection, tmp_path: Path) -> None:
    """Aider sessions, and an execution with awkward text, a budget breach and exact payloads."""
    log = [
        text for n in range(40) for text in (aider_logs.line("launched", time=aider_logs.NOON + n), aider_logs.send())
    ]
    import_aider(connection, load_book(connection), aider_logs.written(tmp_path / "log.jsonl", log), tmp_path)
    at = {"execution_id": EXECUTION, "occurred_at": "2025-01-07T09:00:00.000001Z"}
    rows = [
        events.WorkflowCreated(**at, workflow_name='a "b"\n\u2028\x7f', budget_tokens=100, parameters={"ü": 1}),
        events.WorkflowStarted(**at),
        events.TokensUpdated(
            **at, model_call_id="c", model="m", input_tokens=101, cost_usd="0.1", pricing_status="priced", requests=2
        ),
        events.BudgetExceeded(**at, budget_unit="tokens", limit_tokens=100, total_tokens=101, model_call_id="c"),
        events.LogRecorded(**at, log_level="info", message="x"),
    ]
    texts = [None, None, None, None, '{ "details": {"a": 1.50, "a": 2e2} }']
    given = [row.to_row() | ({"payload": text} if text else {}) for row, text in zip(rows, texts, strict=True)]
    append_many(connection, given, history=True)


def test_a_round_trip_changes_only_what_a_ledger_assigns(connection, other_connection, tmp_path):
    a_bit_of_everything(connection, tmp_path)
    file = tmp_path / "export.jsonl"
    with file.open("wb") as out:
        count = export_rows(event_rows(connection), out)
    result = import_jsonl(other_connection, file, tmp_path / "rejects")
    assert (result.events, result.new_events, result.rejects) == (count, count, 0)
    assert kept_by_a_round_trip(other_connection) == kept_by_a_round_trip(connection)
    assert import_jsonl(other_connection, file, tmp_path / "rejects").new_events == 0


def test_batches_of_the_feed_and_rows_are_written_alike(connection, tmp_path):
    a_bit_of_everything(connection, tmp_path)
    rows = event_rows(connection)
    texts = [{n: str(v) if isinstance(v, UUID) else v for n, v in row.items()} for row in rows]
    batches = pa.Table.from_pylist(texts, schema=ARROW_SCHEMA).to_batches(max_chunksize=50)
    from_rows, from_batches = io.BytesIO(), io.BytesIO()
    assert export_rows(rows, from_rows) == export_jsonl(batches, from_batches) == len(rows)
    assert from_batches.getvalue() == from_rows.getvalue()


def test_hand_written_lines_are_numbered_priced_and_imported_once(import_file, connection, tmp_path):
    lines = [*begun(), usage(), event("WorkflowCompleted", output={"n": 1})]
    file = written(tmp_path / "hand.jsonl", lines)
    assert import_file(file).new_events == 4
    assert [sequence for _, sequence, _ in stored(connection)] == [1, 2, 3, 4]
    (row,) = connection.execute("SELECT * FROM workflow_events WHERE event_type = 'TokensUpdated'").fetchall()
    assert row["pricing_status"] is not None
    assert row["workflow_name"] == "invoice"
    assert import_file(file).new_events == 0


def test_a_grown_file_adds_only_what_is_new(import_file, connection, tmp_path):
    file = written(tmp_path / "hand.jsonl", begun())
    import_file(file)
    written(file, [*begun(), *begun(OTHER), usage()])
    assert import_file(file).new_events == 3
    assert len(stored(connection)) == 5


def test_a_line_that_goes_on_with_an_execution_gives_its_sequence(import_file, tmp_path):
    import_file(written(tmp_path / "hand.jsonl", begun()))
    with pytest.raises(InvalidInput, match=r"sequence: is missing; .* the next is 3"):
        import_file(written(tmp_path / "more.jsonl", [usage()]))
    assert import_file(written(tmp_path / "more.jsonl", [usage(sequence=3)])).new_events == 1
    assert import_file(written(tmp_path / "more.jsonl", [usage(sequence=3)])).new_events == 0


FAULTS = [
    (event("Invented"), "event_type: 'Invented' is not known"),
    (event("WorkflowPaused", occurred_at="2025-01-07T09:00:00"), "timezone"),
    (event("WorkflowPaused", occurred_at="2999-01-07T09:00:00Z"), "lies in the future"),
    (usage(input_tokens=-1, model_call_id="call-2"), "input_tokens: Input should be greater than or equal to 0"),
    (usage(), "model_call_id: 'call-1' has its usage already"),
    (event("WorkflowPaused", sequence=9), "sequence: 9 was given, but the next of its execution is 4"),
    (event("WorkflowCreated"), "the execution exists already"),
    (event("StepCompleted", step_id=str(OTHER), call_id=str(OTHER)), "is not of this execution"),
    (event("WorkflowResumed"), "the execution is running"),
]


def test_an_execution_with_a_faulty_line_is_put_aside_whole_and_the_others_are_imported(
    import_file, connection, tmp_path
):
    for n, (fault, reason) in enumerate(FAULTS):
        sound, file = UUID(int=n + 1), tmp_path / f"{n}.jsonl"
        lines = [*begun(), *begun(sound), usage(), fault, usage(sound), event("WorkflowCancelled")]
        result = import_file(written(file, lines))
        assert (result.lines, result.new_events, result.rejects) == (8, 3, 5)
        assert [reject.line for reject in result.first_rejects] == [1, 2, 5, 6, 8]
        assert reason in result.first_rejects[3].reason
        assert "line 6 of its execution can't be imported" in result.first_rejects[0].reason
        assert result.rejects_file is not None
        assert result.rejects_file.read_text().splitlines() == [lines[n - 1] for n in (1, 2, 5, 6, 8)]
    assert {execution for execution, _, _ in stored(connection)} == {UUID(int=n + 1) for n in range(len(FAULTS))}


def test_a_file_of_which_nothing_can_be_imported_is_refused_and_leaves_no_trace(import_file, connection, tmp_path):
    refused_files = [
        (["no JSON"], "line 1: not valid JSON"),
        ([event("WorkflowStarted", uuid4())], "does not exist; its first event must be WorkflowCreated"),
        ([*begun(), event("WorkflowCompleted"), event("WorkflowStarted")], "the execution is completed"),
        ([*begun(), event("Invented")], "event_type: 'Invented' is not known"),
        ([""], "it holds no line"),
    ]
    for lines, reason in refused_files:
        with pytest.raises(InvalidInput) as refused:
            import_file(written(tmp_path / "hand.jsonl", lines))
        assert reason in str(refused.value)
    assert stored(connection) == []
    assert not (tmp_path / "rejects").exists() or list((tmp_path / "rejects").iterdir()) == []


def test_a_late_fact_follows_an_end_and_nothing_else_does(import_file, connection, tmp_path):
    ended = [*begun(), event("WorkflowCompleted"), usage()]
    assert import_file(written(tmp_path / "hand.jsonl", ended)).new_events == 4
    more = event("WorkflowPaused", sequence=5)
    with pytest.raises(InvalidInput, match="only late facts"):
        import_file(written(tmp_path / "more.jsonl", [more]))
    assert len(stored(connection)) == 4


def test_what_only_the_database_can_judge_is_refused_as_a_batch(import_file, connection, tmp_path):
    import_file(written(tmp_path / "hand.jsonl", begun()))
    unknown_step = event("StepSkipped", step_id=str(OTHER), sequence=3)
    with pytest.raises(AppendRefused, match="StepSkipped"):
        import_file(written(tmp_path / "more.jsonl", [*begun(OTHER), unknown_step]))
    assert len(stored(connection)) == 2


def test_another_history_under_the_same_ids_is_refused(import_file, connection, tmp_path):
    import_file(written(tmp_path / "hand.jsonl", begun()))
    altered = [begun()[0], event("WorkflowStarted", occurred_at="2025-01-08T00:00:00Z"), usage()]
    with pytest.raises(InvalidInput, match="another event at sequence 2"):
        import_file(written(tmp_path / "hand.jsonl", altered))
    assert len(stored(connection)) == 2


def test_a_budget_breach_stays_with_the_usage_that_it_follows(import_file, connection, tmp_path, monkeypatch):
    monkeypatch.setitem(Intake.__init__.__kwdefaults__, "batch_events", 4)
    created = event("WorkflowCreated", workflow_name="x", budget_tokens=1000)
    breach = event("BudgetExceeded", budget_unit="tokens", limit_tokens=1000, total_tokens=1280, model_call_id="call-1")
    spent = [created, begun()[1], usage(), *begun(OTHER), breach, event("WorkflowCompleted")]
    assert import_file(written(tmp_path / "hand.jsonl", spent)).new_events == 7
    assert [kind for execution, _, kind in stored(connection) if execution == EXECUTION] == [
        "WorkflowCreated",
        "WorkflowStarted",
        "TokensUpdated",
        "BudgetExceeded",
        "WorkflowCompleted",
    ]


@pytest.mark.slow
def test_a_file_of_several_batches_is_imported_whole(import_file, tmp_path):
    lines: list[str] = []
    for n in range(3_000):
        execution = UUID(int=n + 1)
        calls = [usage(execution, model_call_id=str(c), pricing_status="priced", cost_usd="0.01") for c in range(4)]
        logs = [event("LogRecorded", execution, log_level="info", message="x", payload=json.dumps({"details": {}}))] * 3
        lines += [*begun(execution), *calls, *logs, event("WorkflowCompleted", execution)]
    assert import_file(written(tmp_path / "many.jsonl", lines)).new_events == 30_000
