"""Random commands, legal and illegal: a legal one changes the rows that the model predicts, an illegal one none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql

from ledger_pipeline.errors import InvalidInput, LedgerError, SequenceConflict
from ledger_pipeline.events.catalogue import EVENT_COLUMNS, EVENT_TYPES, EventRow
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.events.states import ENDED, RULES
from ledger_pipeline.hot.append import append, append_many
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.replay.projection_tables import TABLES, compare
from ledger_pipeline_tests.events.histories import START, Walk
from ledger_pipeline_tests.hot.commands import WRONG_VALUES, Row, any_fields, ids_of, refusal, sent, wrong_payloads

NO_COLD = Path("/nonexistent")
MOST_EXECUTIONS = 3
ENDS = {name for name, each in RULES.items() if each.execution_to in ENDED}


def digest(connection: Connection) -> dict[str, Any]:
    """Count and hash of every table's rows."""
    names = connection.execute(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition ORDER BY 1"
    ).fetchall()
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL(
            "SELECT {} AS name, count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) AS rows FROM {} t"
        ).format(sql.Literal(row["name"]), sql.Identifier(row["name"]))
        for row in names
    )
    return {row["name"]: row["rows"] for row in connection.execute(query).fetchall()}


class Commands(RuleBasedStateMachine):
    """A few executions of a real ledger beside the model of each: its walk through the rules."""

    connection: Connection

    def __init__(self) -> None:
        super().__init__()
        self.walks: list[Walk] = []
        self.keys: list[tuple[str, Walk, list[Row]]] = []
        self.changed = False
        self.digest: dict[str, Any] | None = None

    def send(self, walk: Walk, rows: list[Row], *, many: bool = False, **options: Any) -> None:
        if many:
            append_many(self.connection, rows)
        else:
            append(self.connection, walk.execution_id, rows, **options)

    def refused(
        self,
        *,
        error: type[LedgerError] = InvalidInput,
        many: bool = False,
        walk: Walk,
        rows: list[Row],
        **options: Any,
    ) -> None:
        """The append is refused, and no row of any table has changed."""
        before = self.digest = self.digest or digest(self.connection)
        with pytest.raises(error):
            self.send(walk, rows, many=many, **options)
        assert digest(self.connection) == before

    def others(self, walk: Walk) -> list[Walk]:
        return [other for other in self.walks if other is not walk]

    def chosen(self, data: st.DataObject) -> Walk:
        walk: Walk = data.draw(st.sampled_from(self.walks))
        walk.draw = data.draw
        return walk

    def go_on(self, walk: Walk, data: st.DataObject, most: int = 4) -> list[Row]:
        """Takes the model some legal steps further; answers their rows."""
        start = len(walk.rows)
        for _ in range(data.draw(st.integers(1, most))):
            event_type = data.draw(st.sampled_from(walk.legal()))
            # Ends are seldom, so that histories grow.
            if event_type in ENDS and data.draw(st.integers(0, 3)):
                continue
            walk.append(event_type, **walk.fields(event_type))
        return [sent(row) for row in walk.rows[start:]]

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """There is an execution."""
        self.create(data)

    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        """A new execution, with a plan of some steps, perhaps at once with what follows."""
        if len(self.walks) == MOST_EXECUTIONS:
            return
        walk = Walk(data.draw, uuid4())
        kind = data.draw(st.sampled_from(["workflow", "workflow", "repricing"]))
        walk.append("WorkflowCreated", execution_kind=kind, plan=walk.plan(None, data.draw(st.integers(0, 3))))
        if data.draw(st.booleans()):
            walk.append("WorkflowStarted")
        append(self.connection, walk.execution_id, [sent(row) for row in walk.rows], expected_sequence=0)
        self.walks.append(walk)
        self.changed = True

    @rule(data=st.data())
    def append_legal_events(self, data: st.DataObject) -> None:
        """Some legal events, perhaps with the expected sequence, perhaps under a key."""
        walk = self.chosen(data)
        before = len(walk.rows)
        rows = self.go_on(walk, data)
        key = data.draw(st.sampled_from([None, f"key {before}"])) if rows else None
        expected = data.draw(st.sampled_from([None, before]))
        stored = append(self.connection, walk.execution_id, rows, expected_sequence=expected, idempotency_key=key)
        assert (stored.first_sequence, stored.last_sequence, stored.repeated) == (before + 1, len(walk.rows), False)
        if key:
            self.keys.append((key, walk, rows))
        self.changed = True

    @rule(data=st.data(), history=st.booleans())
    def append_legal_events_of_many(self, data: st.DataObject, history: bool) -> None:
        """Legal events of all executions in one bulk append."""
        rows: list[Row] = []
        for walk in self.walks:
            walk.draw = data.draw
            rows += self.go_on(walk, data, most=3)
        # An execution's events keep their order, whatever lies between them.
        order = data.draw(st.permutations([row["execution_id"] for row in rows]))
        queues = {
            walk.execution_id: [row for row in rows if row["execution_id"] == walk.execution_id] for walk in self.walks
        }
        assert append_many(self.connection, [queues[each].pop(0) for each in order], history=history) == len(rows)
        self.changed = True

    @rule(data=st.data(), many=st.booleans())
    def append_anything(self, data: st.DataObject, many: bool) -> None:
        """Any event with any references: the ledger takes it exactly when the rules do."""
        walk = self.chosen(data)
        event_type = data.draw(st.sampled_from([name for name in EVENT_TYPES if name != "WorkflowCreated"]))
        if event_type in ENDS and data.draw(st.integers(0, 3)):
            event_type = "StepCompleted"
        fields = any_fields(data.draw, event_type, walk, self.others(walk))
        reason = refusal(event_type, fields, walk, self.others(walk))
        if reason is None:
            walk.append(event_type, **fields)
            rows = [sent(walk.rows[-1])]
            self.send(walk, rows, many=many)
            self.changed = True
            return
        self.refused(walk=walk, rows=[self.row(walk, event_type, fields)], many=many)

    def row(self, walk: Walk, event_type: str, fields: dict[str, Any]) -> Row:
        event = EVENT_TYPES[event_type].model_validate({"occurred_at": START, **fields})
        return dict.fromkeys(EVENT_COLUMNS) | event.to_row() | {"execution_id": walk.execution_id}

    @rule(data=st.data(), many=st.booleans())
    def append_a_batch_with_one_illegal_event(self, data: st.DataObject, many: bool) -> None:
        """One illegal event among legal ones: none is stored, of no execution."""
        walk = self.chosen(data)
        position, steps = walk.state.position, list(walk.state.steps)
        bad = self.row(walk, "WorkflowCreated", {})
        if steps and position not in ENDED:
            bad = data.draw(
                st.sampled_from(
                    [
                        bad,
                        self.row(walk, "StepSkipped", {"step_id": uuid4()}),
                        self.row(walk, "StepCompleted", {"step_id": steps[0], "call_id": uuid4()}),
                    ]
                )
            )
        good = self.row(walk, "LogRecorded", {"log_level": "info", "message": "never stored"})
        rows = data.draw(st.permutations([good, good, bad]))
        if many:
            other = data.draw(st.sampled_from(self.walks))
            rows = [self.row(other, "LogRecorded", {"log_level": "info", "message": "nor this"}), *rows]
        self.refused(walk=walk, rows=list(rows), many=many)

    @rule(data=st.data())
    def append_at_the_wrong_place(self, data: st.DataObject) -> None:
        """A wrong sequence, a wrong time, an execution that doesn't exist."""
        walk = self.chosen(data)
        row = self.row(walk, "LogRecorded", {"log_level": "info", "message": "never stored"})
        wrong = len(walk.rows) + data.draw(st.sampled_from([-1, 1, 2]))
        ahead = datetime.now(UTC) + timedelta(hours=1)
        case = data.draw(st.integers(0, 4))
        if case == 0:
            self.refused(walk=walk, rows=[row], expected_sequence=wrong, error=SequenceConflict)
        elif case == 1:
            self.refused(walk=walk, rows=[row | {"sequence": wrong + 1}], error=SequenceConflict)
        elif case == 2:
            self.refused(walk=walk, rows=[row | {"occurred_at": ahead}])
        elif case == 3:
            self.refused(walk=walk, rows=[row | {"occurred_at": datetime(1969, 12, 31, tzinfo=UTC)}])
        else:
            self.refused(walk=walk, rows=[row | {"execution_id": uuid4()}], many=True)

    @rule(data=st.data(), many=st.booleans(), unjudged=st.booleans())
    def append_a_wrong_value(self, data: st.DataObject, many: bool, unjudged: bool) -> None:
        """A value that its column can't take, also where nothing but the database has looked at it."""
        walk = self.chosen(data)
        name, value = data.draw(st.sampled_from(WRONG_VALUES))
        good = self.row(walk, "LogRecorded", {"log_level": "info", "message": "never stored"})
        bad = (EventRow if unjudged else dict)({**good, name: value})
        self.refused(walk=walk, rows=data.draw(st.permutations([good, bad])), many=many)

    @rule(data=st.data(), many=st.booleans())
    def append_a_wrong_payload(self, data: st.DataObject, many: bool) -> None:
        """A payload of another shape than its event's class has, of an event that is legal or isn't."""
        walk = self.chosen(data)
        event_type, payload = wrong_payloads(data.draw)
        fields = {} if event_type == "WorkflowCreated" else any_fields(data.draw, event_type, walk, self.others(walk))
        row = self.row(walk, event_type, fields | ({"plan_entry": None} if event_type == "StepDispatched" else {}))
        self.refused(walk=walk, rows=[{**row, "payload": payload}], many=many)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def repeat_a_request(self, data: st.DataObject) -> None:
        """The same key: the same content is answered as the first time, other content refused; nothing changes."""
        key, walk, rows = data.draw(st.sampled_from(self.keys))
        before = digest(self.connection)
        assert append(self.connection, walk.execution_id, rows, idempotency_key=key).repeated
        assert digest(self.connection) == before
        self.refused(walk=walk, rows=[*rows, rows[0]], idempotency_key=key)

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        """Every row, of events, heads and projections, is the one predicted."""
        if not self.changed:
            return
        self.changed, self.digest = False, None
        ids = ids_of(self.walks)
        predicted: dict[str, list[Row]] = {table.name: [] for table in TABLES}
        for walk in self.walks:
            for name, rows in state_as_rows(walk.state, walk.rows).items():
                predicted[name] += rows
            assert walk.state.problems == ()
            predicted["usage_keys"] += [
                {"execution_id": walk.execution_id, "model_call_id": row["model_call_id"]}
                for row in walk.rows
                if row["event_type"] == "TokensUpdated"
            ]
            predicted["execution_heads"].append(
                {
                    "id": walk.execution_id,
                    "execution_kind": walk.state.execution_kind,
                    "state": walk.state.position,
                    "last_sequence": len(walk.rows),
                    "open_calls": walk.state.open_calls,
                    "ended": walk.state.position.ended,
                    "pruned_at": None,
                }
            )
        for table in TABLES:
            assert compare(self.connection, table, ids, predicted[table.name]) == (0, []), table.name
        stored = self.connection.execute(
            "SELECT execution_id, sequence, event_type, payload::text AS payload FROM workflow_events"
            " WHERE execution_id = ANY (%s) ORDER BY execution_id, sequence",
            (ids,),
        ).fetchall()
        assert stored == [
            {name: row[name] for name in ("execution_id", "sequence", "event_type", "payload")}
            for walk in sorted(self.walks, key=lambda each: each.execution_id)
            for row in walk.rows
        ]
        report = check_projections(self.connection, NO_COLD, ids)
        assert report.ok, report.first


@pytest.mark.slow
@pytest.mark.mission("A9")
@pytest.mark.mission("A2")
def test_legal_commands_change_what_is_predicted_and_illegal_ones_nothing(module_ledger_url: str) -> None:
    with connect(module_ledger_url, autocommit=True) as connection:
        machine = type("CommandsOnALedger", (Commands,), {"connection": connection})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=10,
                stateful_step_count=30,
                deadline=None,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
