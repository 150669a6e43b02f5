"""What holds of the fold for every history."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_pipeline.events.catalogue import EVENT_COLUMNS, EVENT_TYPES
from ledger_pipeline.events.enums import StepStatus
from ledger_pipeline.events.fold import FOLD_COLUMNS, fold, fold_all, fold_columns, initial
from ledger_pipeline.events.merge_patch import merge_patch
from ledger_pipeline.events.state_rows import state_as_rows
from ledger_pipeline.events.state_text import state_from_text, state_hash, state_text
from ledger_pipeline_tests.events.histories import EXECUTION, legal_histories

histories = legal_histories()
quick = settings(max_examples=60, deadline=None)


@quick
@given(histories)
def test_a_legal_history_has_no_problem(rows: list[dict[str, Any]]) -> None:
    state = fold_all(initial(), rows)
    assert state.problems == ()
    assert state.last_sequence == len(rows)


@quick
@given(histories)
def test_folding_all_is_folding_one_by_one(rows: list[dict[str, Any]]) -> None:
    state = initial()
    for row in rows:
        before = state_text(state)
        after = fold(state, row)
        assert state_text(state) == before
        state = after
    assert state == fold_all(initial(), rows)


@quick
@given(histories, st.data())
def test_folding_on_from_a_snapshot_is_folding_from_the_start(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    snapshot = state_text(fold_all(initial(), rows[:cut]))
    resumed = fold_all(state_from_text(snapshot), rows[cut:])
    assert state_text(resumed) == state_text(fold_all(initial(), rows))


@quick
@given(histories)
def test_a_state_survives_its_text(rows: list[dict[str, Any]]) -> None:
    state = fold_all(initial(), rows)
    text = state_text(state)
    assert state_from_text(text) == state
    assert state_text(state_from_text(text)) == text
    assert len(state_hash(text)) == 32


@quick
@given(histories)
def test_only_the_named_columns_are_read(rows: list[dict[str, Any]]) -> None:
    assert all(set(fold_columns(row["event_type"])) <= set(FOLD_COLUMNS) for row in rows)
    narrow = [{name: row[name] for name in fold_columns(row["event_type"])} for row in rows]
    assert fold_all(initial(), narrow) == fold_all(initial(), rows)


@quick
@given(histories)
def test_ids_as_text_and_as_uuids_give_the_same_state(rows: list[dict[str, Any]]) -> None:
    as_text = [{name: str(v) if type(v).__name__ == "UUID" else v for name, v in row.items()} for row in rows]
    assert state_text(fold_all(initial(), as_text)) == state_text(fold_all(initial(), rows))


@quick
@given(histories)
def test_counts_kept_on_the_way_are_those_of_a_recount(rows: list[dict[str, Any]]) -> None:
    state = fold_all(initial(), rows)
    top = [step for step in state.steps.values() if step.parent_step_id is None]
    assert state.total_steps == len(top)
    assert state.steps_done == sum(step.status in (StepStatus.COMPLETED, StepStatus.SKIPPED) for step in top)
    assert state.open_calls == sum(call.status == "running" for call in state.calls.values())
    assert state.approvals_pending == sum(approval.status == "pending" for approval in state.approvals.values())
    assert state.total_cost == sum(row["cost_usd"] or 0 for row in rows)
    assert len(state_as_rows(state, rows)["execution_log"]) == state.log_entries


_loose = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_loose_json = st.recursive(
    _loose, lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=2), x, max_size=2)
)
_PAYLOADS = {
    "empty": "{}",
    "no object": "[]",
    "no json": "{",
    "plan of nothing": '{"plan":[{}]}',
    "plan that is none": '{"plan":7}',
    "plan of no uuid": '{"plan":[{"step_id":"x"}]}',
    "null steps": '{"steps":null}',
    "lone surrogate": '{"output":"\\ud800"}',
    "large number": '{"output":1e5}',
    "long integer": '{"output":' + "9" * 5000 + "}",
    "patch that is none": '{"patch":[]}',
    "details that are none": '{"error_details":[1]}',
    "deep": "[" * 100_000,
    "deep object": '{"output":' + "[" * 190 + "]" * 190 + "}",
}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*EVENT_TYPES, "FromTheFuture"]), st.sampled_from(list(_PAYLOADS)), st.integers(0, 3)
        ),
        max_size=12,
    )
)
def test_every_sequence_of_events_has_a_state(events: list[tuple[str, str, int]]) -> None:
    base: dict[str, Any] = dict.fromkeys(EVENT_COLUMNS) | {"occurred_at": datetime(2026, 3, 2, tzinfo=UTC)}
    base |= {"execution_id": EXECUTION, "step_id": EXECUTION, "call_id": EXECUTION, "approval_id": EXECUTION}
    base |= {"next_attempt": 2, "artifact_id": EXECUTION}
    rows = [base | {"event_type": t, "payload": _PAYLOADS[p], "sequence": n} for t, p, n in events]
    state = fold_all(initial(), rows)
    assert state_text(state_from_text(state_text(state))) == state_text(state)
    assert len(state.problems) <= 20


@given(_loose_json, _loose_json)
def test_a_merge_patch_changes_neither_argument(target: Any, patch: Any) -> None:
    before = repr((target, patch))
    merge_patch(target, patch)
    assert repr((target, patch)) == before
