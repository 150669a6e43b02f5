"""What an append takes, what it refuses, and what it leaves behind."""

import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger_pipeline import events
from ledger_pipeline.errors import AppendRefused, EpochMismatch, InvalidInput, InvalidTime, SequenceConflict
from ledger_pipeline.events.schema import GENESIS_HASH, chain, leaf_of
from ledger_pipeline.hot.append import append, append_many, last_sequences
from ledger_pipeline.hot.database import Connection, connect, translated
from ledger_pipeline.hot.leaves import make_leaves_ahead

NOW = datetime.now(UTC)
CALL = uuid.uuid4()
OTHER_CALL = uuid.uuid4()


def stored(connection: Connection, execution_id: UUID) -> int:
    row = connection.execute(
        "SELECT count(*) AS n FROM workflow_events WHERE execution_id = %s", (execution_id,)
    ).fetchone()
    assert row is not None
    return row["n"]


def projected(connection: Connection, execution_id: UUID) -> dict[str, Any]:
    row = connection.execute(
        "SELECT *, status::text AS status FROM workflow_executions WHERE id = %s", (execution_id,)
    ).fetchone()
    assert row is not None
    return row


def log(message: str = "hello") -> events.LogRecorded:
    return events.LogRecorded(occurred_at=NOW, log_level="info", message=message)


def usage(model_call_id: str = "call-1", **fields: Any) -> events.TokensUpdated:
    priced = {"cost_usd": "0.01", "pricing_status": "priced"}
    return events.TokensUpdated(occurred_at=NOW, model="m", model_call_id=model_call_id, **(priced | fields))


def test_sequences_are_gapless_and_fields_are_filled(
    connection: Connection, running_execution: UUID, steps: list[UUID]
) -> None:
    append(
        connection,
        running_execution,
        [events.StepDispatched(occurred_at=NOW, step_id=steps[0], call_id=uuid.uuid4()), log()],
    )
    rows = connection.execute(
        "SELECT sequence, workflow_name, mode, step_name, attempt, execution_kind, recorded_at, week"
        " FROM workflow_events WHERE execution_id = %s ORDER BY sequence",
        (running_execution,),
    ).fetchall()
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    assert {(row["workflow_name"], row["mode"], row["execution_kind"]) for row in rows} == {
        ("nightly", "batch", "workflow")
    }
    assert [(row["step_name"], row["attempt"]) for row in rows[2:]] == [("step_0", 1), (None, None)]
    assert all(row["week"].weekday() == 0 for row in rows)


@pytest.mark.mission("A3")
def test_leaf_and_hash_are_those_of_the_canonical_text(
    connection: Connection, running_execution: UUID, steps: list[UUID]
) -> None:
    call = uuid.uuid4()
    append(
        connection,
        running_execution,
        [
            events.StepDispatched(
                occurred_at=NOW, step_id=steps[0], call_id=call, input={"ü": "☃", "n": Decimal("1.50")}
            ),
            usage(call_id=call, step_id=steps[0], input_tokens=3, recorded_cost_usd="1e-7"),
            events.LogRecorded(occurred_at=NOW, log_level="error", message="two\nlines", details={"a": [None, True]}),
        ],
    )
    previous = GENESIS_HASH
    for row in connection.execute(
        "SELECT *, payload::text AS payload, leaf(workflow_events) AS again FROM workflow_events"
        " WHERE execution_id = %s ORDER BY sequence",
        (running_execution,),
    ):
        assert row["leaf"] == row["again"] == leaf_of(row)
        previous = chain(previous, row["leaf"])
        assert row["hash"] == previous
    head = connection.execute("SELECT head_hash FROM execution_heads WHERE id = %s", (running_execution,)).fetchone()
    assert head == {"head_hash": previous}


def test_the_canonical_text_depends_on_no_setting_of_the_session(
    connection: Connection, running_execution: UUID
) -> None:
    connection.execute(
        "SET datestyle = 'German'; SET timezone = 'Asia/Tokyo'; SET extra_float_digits = 0; SET lc_time = 'C'"
    )
    append(connection, running_execution, [log()])
    for row in connection.execute("SELECT leaf, leaf(workflow_events) AS again FROM workflow_events"):
        assert row["leaf"] == row["again"]
    connection.execute("RESET ALL; SET search_path = ledger, public")


def test_expected_sequence_must_be_the_last_one(connection: Connection, running_execution: UUID) -> None:
    with pytest.raises(SequenceConflict, match="1 was expected, but the execution's last sequence is 2"):
        append(connection, running_execution, [log()], expected_sequence=1)
    assert append(connection, running_execution, [log()], expected_sequence=2).last_sequence == 3


def test_a_key_answers_a_repetition_as_the_first_time(connection: Connection, running_execution: UUID) -> None:
    first = append(connection, running_execution, [log()], idempotency_key="k")
    again = append(connection, running_execution, [log()], idempotency_key="k")
    assert (again.first_sequence, again.last_sequence, again.repeated) == (3, 3, True)
    assert not first.repeated
    with pytest.raises(AppendRefused, match="'k' was used for other events"):
        append(connection, running_execution, [log("other")], idempotency_key="k")
    assert stored(connection, running_execution) == 3


def test_append_is_its_transactions_first_write(module_ledger_url: str, running_execution: UUID) -> None:
    with connect(module_ledger_url) as other:
        other.execute("SELECT pg_current_xact_id()")
        with pytest.raises(AppendRefused, match="first write"):
            append(other, running_execution, [log()])
        other.rollback()
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(AppendRefused, match="READ COMMITTED"):
            append(other, running_execution, [log()])


Build = Callable[[list[UUID]], list[events.Event]]
REFUSED: list[tuple[str, Build, str]] = [
    ("created twice", lambda s: [events.WorkflowCreated(occurred_at=NOW)], "exists already"),
    (
        "started twice",
        lambda s: [events.WorkflowStarted(occurred_at=NOW)],
        "not allowed while the execution is running",
    ),
    ("resumed while running", lambda s: [events.WorkflowResumed(occurred_at=NOW)], "allowed while: paused"),
    ("input unasked", lambda s: [events.InputReceived(occurred_at=NOW, step_id=s[0])], "allowed while: awaiting_input"),
    (
        "resumed while awaiting input",
        lambda s: [
            events.InputRequested(occurred_at=NOW, step_id=s[0]),
            events.WorkflowResumed(occurred_at=NOW),
        ],
        "is awaiting_input",
    ),
    (
        "foreign step",
        lambda s: [events.StepSkipped(occurred_at=NOW, step_id=uuid.uuid4())],
        "not a step of this execution",
    ),
    (
        "completed before dispatched",
        lambda s: [events.StepCompleted(occurred_at=NOW, step_id=s[0], call_id=CALL)],
        "is pending; allowed while: running",
    ),
    (
        "retried beyond the maximum",
        lambda s: [
            events.StepDispatched(occurred_at=NOW, step_id=s[0], call_id=CALL),
            events.StepFailed(occurred_at=NOW, step_id=s[0], call_id=CALL, error_message="no"),
            events.StepRetried(occurred_at=NOW, step_id=s[0], next_attempt=2),
            events.StepDispatched(occurred_at=NOW, step_id=s[0], call_id=OTHER_CALL),
            events.StepFailed(occurred_at=NOW, step_id=s[0], call_id=OTHER_CALL, error_message="no"),
            events.StepRetried(occurred_at=NOW, step_id=s[0], next_attempt=3),
        ],
        "beyond the step's maximum of 2",
    ),
    (
        "an attempt left out",
        lambda s: [
            events.StepDispatched(occurred_at=NOW, step_id=s[0], call_id=CALL),
            events.StepFailed(occurred_at=NOW, step_id=s[0], call_id=CALL, error_message="no"),
            events.StepRetried(occurred_at=NOW, step_id=s[0], next_attempt=3),
        ],
        "3 was given, but the next one is 2",
    ),
    (
        "a call used twice",
        lambda s: [
            events.StepDispatched(occurred_at=NOW, step_id=s[0], call_id=CALL),
            events.StepDispatched(occurred_at=NOW, step_id=s[1], call_id=CALL),
        ],
        "was used before",
    ),
    (
        "a call of another step",
        lambda s: [
            events.StepDispatched(occurred_at=NOW, step_id=s[0], call_id=CALL),
            events.StepDispatched(occurred_at=NOW, step_id=s[1], call_id=OTHER_CALL),
            events.StepCompleted(occurred_at=NOW, step_id=s[1], call_id=CALL),
        ],
        "belongs to another step",
    ),
    (
        "completed with an open call",
        lambda s: [
            events.StepDispatched(occurred_at=NOW, step_id=s[0], call_id=CALL),
            events.WorkflowCompleted(occurred_at=NOW),
        ],
        "1 agent call",
    ),
    (
        "decided unasked",
        lambda s: [events.ApprovalApplied(occurred_at=NOW, approval_id=CALL, decision="approved")],
        "is not requested; allowed while: pending",
    ),
    (
        "decided twice",
        lambda s: [
            events.ApprovalRequested(occurred_at=NOW, approval_id=CALL, approval_subject="deploy"),
            events.ApprovalApplied(occurred_at=NOW, approval_id=CALL, decision="rejected"),
            events.ApprovalApplied(occurred_at=NOW, approval_id=CALL, decision="approved"),
        ],
        "is rejected",
    ),
    ("a second usage", lambda s: [usage(), usage()], "has its usage recorded already"),
    ("a usage of no call", lambda s: [usage(call_id=CALL)], "is not a call of this execution"),
    (
        "a correction outside a re-pricing run",
        lambda s: [
            events.CostRecalculated(
                occurred_at=NOW,
                target_event_id=CALL,
                target_execution_id=CALL,
                target_occurred_at=NOW,
                model_call_id="c",
                model="m",
                difference_usd="-1",
                reason="late price",
            )
        ],
        "kind repricing",
    ),
    (
        "tomorrow's event",
        lambda s: [events.LogRecorded(occurred_at=NOW + timedelta(days=1), log_level="info", message="x")],
        "ahead",
    ),
    (
        "a step after the end",
        lambda s: [
            events.WorkflowCancelled(occurred_at=NOW, reason="no longer needed"),
            events.StepSkipped(occurred_at=NOW, step_id=s[0]),
        ],
        r"has ended \(cancelled\): only late facts",
    ),
]


@pytest.mark.parametrize(("build", "message"), [(b, m) for _, b, m in REFUSED], ids=[name for name, _, _ in REFUSED])
def test_refused_with_a_reason_and_nothing_stored(
    connection: Connection, running_execution: UUID, steps: list[UUID], build: Build, message: str
) -> None:
    before = projected(connection, running_execution)
    with pytest.raises(InvalidInput, match=message):
        append(connection, running_execution, build(steps))
    # The bulk path refuses the same, and so as a whole.
    bulk = [event.to_row() | {"execution_id": running_execution} for event in build(steps)]
    with pytest.raises(InvalidInput, match=message):
        append_many(connection, bulk)
    assert stored(connection, running_execution) == 2
    assert projected(connection, running_execution) == before
    assert connection.execute("SELECT count(*) AS n FROM append_staging").fetchone() == {"n": 0}


def test_an_unknown_execution_is_named(connection: Connection) -> None:
    with pytest.raises(AppendRefused, match="does not exist; its first event must be WorkflowCreated"):
        append(connection, uuid.uuid4(), [log()])


def test_an_unknown_customer_is_named(connection: Connection) -> None:
    execution_id = uuid.uuid4()
    with pytest.raises(AppendRefused, match="customer_id"):
        append(connection, execution_id, [events.WorkflowCreated(occurred_at=NOW, customer_id=uuid.uuid4())])
    assert stored(connection, execution_id) == 0


@pytest.mark.mission("A1")
def test_dispatch_opens_a_call_and_completion_or_failure_closes_it(
    connection: Connection, running_execution: UUID, steps: list[UUID]
) -> None:
    def statuses() -> list[str]:
        rows = connection.execute(
            "SELECT status::text FROM executions WHERE execution_id = %s ORDER BY id", (running_execution,)
        ).fetchall()
        return [row["status"] for row in rows]

    first, second = sorted((uuid.uuid4(), uuid.uuid4()))
    append(connection, running_execution, [events.StepDispatched(occurred_at=NOW, step_id=steps[0], call_id=first)])
    append(connection, running_execution, [events.StepDispatched(occurred_at=NOW, step_id=steps[1], call_id=second)])
    assert statuses() == ["running", "running"]
    append(
        connection,
        running_execution,
        [
            events.StepCompleted(occurred_at=NOW, step_id=steps[0], call_id=first),
            events.StepFailed(occurred_at=NOW, step_id=steps[1], call_id=second, error_message="no"),
        ],
    )
    assert statuses() == ["completed", "failed"]


@pytest.mark.mission("A11")
def test_a_workflow_without_steps_runs_and_completes(connection: Connection, created_execution: UUID) -> None:
    append(
        connection,
        created_execution,
        [events.WorkflowStarted(occurred_at=NOW), events.WorkflowCompleted(occurred_at=NOW)],
    )
    row = projected(connection, created_execution)
    assert (row["status"], row["total_steps"], row["progress_percentage"]) == ("completed", 0, 100)


def test_late_facts_follow_an_end_and_move_totals_only(connection: Connection, running_execution: UUID) -> None:
    append(connection, running_execution, [events.WorkflowFailed(occurred_at=NOW, error_message="out of memory")])
    append(connection, running_execution, [usage(), log()])
    row = projected(connection, running_execution)
    assert (row["status"], row["total_cost"], row["error_message"]) == ("failed", Decimal("0.01"), "out of memory")


class TestBudget:
    def breaches(self, connection: Connection, execution_id: UUID) -> list[tuple[int, str]]:
        rows = connection.execute(
            "SELECT sequence, coalesce(total_usd::text, total_tokens::text) AS total FROM budget_exceeded_events"
            " WHERE execution_id = %s ORDER BY 1",
            (execution_id,),
        ).fetchall()
        return [(row["sequence"], row["total"]) for row in rows]

    @pytest.fixture
    def limited(self, connection: Connection) -> UUID:
        execution_id = uuid.uuid4()
        append(
            connection,
            execution_id,
            [
                events.WorkflowCreated(occurred_at=NOW, budget_usd="0.025", budget_tokens=100),
                events.WorkflowStarted(occurred_at=NOW),
            ],
        )
        return execution_id

    def test_exceeded_once_right_after_the_usage_that_crosses(self, connection: Connection, limited: UUID) -> None:
        append(connection, limited, [usage(str(n)) for n in range(4)])
        append(connection, limited, [usage(str(n)) for n in range(4, 8)])
        assert self.breaches(connection, limited) == [(6, "0.030000000000")]

    def test_an_estimate_counts_and_both_units_may_cross_at_once(self, connection: Connection, limited: UUID) -> None:
        over = usage("1", cost_usd=None, estimated_cost_usd="1", pricing_status="unpriced", input_tokens=101)
        append(connection, limited, [over, log()])
        assert self.breaches(connection, limited) == [(4, "1.000000000000"), (5, "101")]

    def test_reaching_the_budget_is_not_exceeding_it(self, connection: Connection, limited: UUID) -> None:
        append(connection, limited, [usage("1", cost_usd="0.025")])
        assert self.breaches(connection, limited) == []

    def test_what_the_batch_brings_itself_is_not_added(self, connection: Connection, limited: UUID) -> None:
        own = events.BudgetExceeded(occurred_at=NOW, budget_unit="usd", limit_usd="0.025", total_usd="0.03")
        append(connection, limited, [usage("1", cost_usd="0.03"), own, log()], expected_sequence=2)
        assert self.breaches(connection, limited) == [(4, "0.030000000000")]


class TestBulk:
    def test_a_budget_breach_of_the_past_finds_its_leaf(self, connection: Connection) -> None:
        old = datetime(2023, 2, 1, 12, tzinfo=UTC)
        execution_id = uuid.uuid4()
        created = events.WorkflowCreated(execution_id=execution_id, occurred_at=old, budget_usd="0.001")
        over = usage().model_copy(update={"execution_id": execution_id, "occurred_at": old})
        assert append_many(connection, [created, over], history=True) == 3

    def executions(self, count: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for _ in range(count):
            execution_id = uuid.uuid4()
            for event in (
                events.WorkflowCreated(occurred_at=NOW),
                events.WorkflowStarted(occurred_at=NOW),
                events.WorkflowCompleted(occurred_at=NOW),
            ):
                rows.append(event.to_row() | {"execution_id": execution_id})
        return rows

    def test_many_executions_in_batches(self, connection: Connection) -> None:
        seen: list[int] = []
        rows = self.executions(10)
        assert append_many(connection, rows, batch_size=7, progress=seen.append) == 30
        assert seen == sorted(seen)
        assert seen[-1] == 30
        assert list(last_sequences(connection, {row["execution_id"] for row in rows}).values()) == [3] * 10

    def test_a_bad_event_leaves_nothing_of_its_batch_and_of_what_follows_on_it(self, connection: Connection) -> None:
        rows = self.executions(6)
        for row in rows:  # all in one of the two lanes
            row["execution_id"] = UUID(int=row["execution_id"].int & ~1)
        rows.insert(8, rows[0])
        with pytest.raises(AppendRefused, match="exists already"):
            append_many(connection, rows, batch_size=6)
        assert [stored(connection, rows[nth]["execution_id"]) for nth in (0, 3, 6, 10, 13, 16)] == [3, 3, 0, 0, 0, 0]
        left = connection.execute("SELECT count(*) AS staged FROM append_staging").fetchone()
        assert left == {"staged": 0}

    def test_a_given_sequence_is_an_assertion(self, connection: Connection) -> None:
        rows = self.executions(1)
        rows[2]["sequence"] = 4
        with pytest.raises(SequenceConflict, match="4 was expected, but the next one is 3"):
            append_many(connection, rows)

    def test_history_goes_to_the_week_it_occurred_in(self, connection: Connection) -> None:
        old = datetime(2024, 2, 29, 12, tzinfo=UTC)
        rows = [row | {"occurred_at": old} for row in self.executions(1)]
        append_many(connection, rows, history=True)
        found = connection.execute(
            "SELECT DISTINCT week::text, leaf = leaf(workflow_events) AS same"
            " FROM workflow_events WHERE execution_id = %s",
            (rows[0]["execution_id"],),
        )
        assert found.fetchall() == [{"week": "2024-02-26", "same": True}]

    def test_a_live_event_stays_in_the_present_week_and_an_execution_never_goes_back(
        self, connection: Connection, created_execution: UUID
    ) -> None:
        old = datetime(2024, 2, 29, 12, tzinfo=UTC)
        append_many(
            connection,
            [events.LogRecorded(execution_id=created_execution, occurred_at=old, log_level="info", message="late")],
            history=True,
        )
        weeks = connection.execute(
            "SELECT count(DISTINCT week) AS weeks FROM workflow_events WHERE execution_id = %s", (created_execution,)
        ).fetchone()
        assert weeks == {"weeks": 1}

    def test_refused_inside_a_transaction(self, module_ledger_url: str) -> None:
        with connect(module_ledger_url) as other:
            other.execute("SELECT 1")
            with pytest.raises(InvalidInput, match="outside a transaction"):
                append_many(other, [])


def test_writers_of_one_execution_leave_no_gap(module_ledger_url: str, running_execution: UUID) -> None:
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with connect(module_ledger_url, autocommit=True) as own:
                for _ in range(10):
                    append(own, running_execution, [log(), log()])
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failures
    with connect(module_ledger_url) as reading:
        rows = reading.execute(
            "SELECT sequence, tx, recorded_at FROM workflow_events WHERE execution_id = %s ORDER BY sequence",
            (running_execution,),
        ).fetchall()
    assert [row["sequence"] for row in rows] == list(range(1, 83))
    # The order of transactions and of the server's times is that of the sequence.
    assert [row["tx"] for row in rows] == sorted(row["tx"] for row in rows)
    assert [row["recorded_at"] for row in rows] == sorted(row["recorded_at"] for row in rows)


def test_another_database_is_refused_until_adopted(connection: Connection, running_execution: UUID) -> None:
    connection.execute("UPDATE ledger_epochs SET system_identifier = 'another server'")
    with pytest.raises(EpochMismatch, match="adopt"):
        append(connection, running_execution, [log()])
    connection.execute("SELECT adopt('restored from a backup')")
    append(connection, running_execution, [log()])
    row = connection.execute(
        "SELECT epoch FROM workflow_events WHERE execution_id = %s ORDER BY sequence DESC LIMIT 1", (running_execution,)
    ).fetchone()
    current = connection.execute("SELECT current_epoch AS epoch FROM ledger_state").fetchone()
    assert row == current


def test_a_missing_leaf_fails_loudly(connection: Connection, running_execution: UUID) -> None:
    leaf = connection.execute("SELECT leaf_table('LogRecorded', week_of(now())) AS leaf").fetchone()
    assert leaf is not None
    connection.execute(f"DROP TABLE {leaf['leaf']}")
    with pytest.raises(AppendRefused, match="migrate"):
        append(connection, running_execution, [log()])
    make_leaves_ahead(connection, NOW)
    append(connection, running_execution, [log()])


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ('{"a":"\\u0000"}', "^events.0..payload: is .*allowed: the JSON text of an object"),
        ("[1]", "must be a JSON object"),
        ("{", "^events.0..payload: is '{'; allowed: the JSON text of an object"),
        ('{"a":1e200000}', "^events.0..payload: is .*allowed: the JSON text of an object"),
    ],
)
def test_a_payload_that_cannot_be_stored_is_refused(
    connection: Connection, running_execution: UUID, payload: str, fault: str
) -> None:
    with pytest.raises(InvalidInput, match=fault):
        append(connection, running_execution, [log().to_row() | {"payload": payload}])
    assert stored(connection, running_execution) == 2


@pytest.mark.mission("B5")
def test_an_owner_with_hot_executions_cannot_be_deleted(connection: Connection) -> None:
    customer, execution_id = uuid.uuid4(), uuid.uuid4()
    connection.execute("INSERT INTO customers (id, name) VALUES (%s, 'Acme')", (customer,))
    append(connection, execution_id, [events.WorkflowCreated(occurred_at=NOW, customer_id=customer)])
    with pytest.raises(psycopg.Error, match="has events in the hot store"):
        connection.execute("DELETE FROM customers WHERE id = %s", (customer,))
    assert projected(connection, execution_id)["customer_id"] == customer


def test_a_time_that_no_reader_can_hold_is_refused(connection: Connection, running_execution: UUID) -> None:
    for time in ("0044-03-15T00:00:00Z BC", "-infinity", "1969-12-31T23:59:59Z"):
        with pytest.raises(InvalidTime, match=r"^events.0..occurred_at: is .*; allowed: a time with its zone"):
            append(connection, running_execution, [log().to_row() | {"occurred_at": time}])


def test_an_event_without_a_place_of_its_own_is_refused(connection: Connection, running_execution: UUID) -> None:
    given = [
        {"execution_id": str(running_execution), "event_type": "LogRecorded", "occurred_at": NOW.isoformat()}
        | {"log_level": "info", "message": "x", "ordinal": ordinal}
        for ordinal in (0, None)
    ]
    with pytest.raises(psycopg.Error, match="ordinal: each event"):
        connection.execute("SELECT append(%s, %s::json)", (running_execution, json.dumps(given)))


@pytest.mark.mission("A2")
def test_a_value_in_a_column_of_another_type_is_refused_in_bulk_too(
    connection: Connection, running_execution: UUID
) -> None:
    foreign = log().to_row() | {"execution_id": running_execution, "cost_usd": Decimal(5)}
    with pytest.raises(InvalidInput, match="cost_usd: is no column of LogRecorded; leave it out"):
        append_many(connection, [foreign])
    assert stored(connection, running_execution) == 2


def test_a_batch_whose_staging_is_gone_is_refused(connection: Connection) -> None:
    with pytest.raises(psycopg.Error, match="3 events were staged, but 0 are there"):
        connection.execute("SELECT append_staged(%s, false, 3)", (uuid.uuid4(),))


class TestABatchOfSeveralExecutions:
    def test_an_approval_is_decided_by_its_own_execution_only(self, connection: Connection) -> None:
        one, other, approval = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        rows = [
            *(events.WorkflowCreated(execution_id=each, occurred_at=NOW) for each in (one, other)),
            *(events.WorkflowStarted(execution_id=each, occurred_at=NOW) for each in (one, other)),
            events.ApprovalRequested(execution_id=one, occurred_at=NOW, approval_id=approval, approval_subject="spend"),
            events.ApprovalApplied(execution_id=other, occurred_at=NOW, approval_id=approval, decision="approved"),
        ]
        with pytest.raises(AppendRefused, match=r"approval_id: .* is not requested; allowed while: pending"):
            append_many(connection, rows)
        assert [stored(connection, each) for each in (one, other)] == [0, 0]

    def test_a_session_that_gives_its_own_ordinals_cannot_turn_the_order_round(self, connection: Connection) -> None:
        execution_id = uuid.uuid4()
        with pytest.raises(AppendRefused, match="ordinal: must be 0 or more"), translated():
            connection.execute(
                "SELECT append(%(id)s, (SELECT json_agg(json_build_object('execution_id', %(id)s::text,"
                " 'ordinal', e.nth, 'event_type', e.event_type, 'occurred_at', now()))"
                " FROM (VALUES (-8, 'WorkflowCreated'), (-4, 'WorkflowStarted')) e (nth, event_type)))",
                {"id": execution_id},
            )
        assert stored(connection, execution_id) == 0
