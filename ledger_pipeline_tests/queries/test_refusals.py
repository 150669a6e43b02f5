"""Wrong filters, cursors, page sizes and ids: each refused by its name, with what is allowed."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ledger_pipeline import events
from ledger_pipeline.errors import (
    InvalidCursor,
    InvalidFilter,
    InvalidIdentifier,
    InvalidInput,
    InvalidPageSize,
    NotFound,
)
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.pages import Page, Request
from ledger_pipeline.queries.answers import Queries
from ledger_pipeline.queries.executions import KEY
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.queries.conftest import NOW


@pytest.fixture(scope="module")
def ledger(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with three small executions."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url))
    with Ledger.open(settings) as opened:
        for _ in range(3):
            opened.append(
                uuid4(),
                [events.WorkflowCreated(occurred_at=NOW, workflow_name="w"), events.WorkflowStarted(occurred_at=NOW)],
            )
        yield opened


@pytest.fixture(scope="module")
def queries(ledger: Ledger) -> Queries:
    """Its answers."""
    return ledger.queries


def answers(queries: Queries) -> list[Callable[..., Page[Any]]]:
    of_marts = [queries.cost_by_mode, queries.billing, queries.metrics]
    return [queries.executions, queries.running, queries.audit, queries.errors, *of_marts]


@pytest.mark.mission("C3")
@pytest.mark.parametrize("size", [0, -1, 501, "50", 1.5, True, None])
def test_a_page_size_is_from_1_to_500(queries: Queries, size: Any) -> None:
    for answer in answers(queries):
        with pytest.raises(InvalidPageSize, match=r"^page_size: must be a whole number from 1 to 500"):
            answer(page_size=size)


@pytest.mark.mission("C3")
@pytest.mark.parametrize("cursor", ["", "x", "☃", "e30", "W10", "WyJleGVjdXRpb25zIl0", "A" * 10_000, "null"])
def test_a_cursor_that_is_none_is_refused(queries: Queries, cursor: str) -> None:
    for answer in answers(queries):
        with pytest.raises(InvalidCursor, match=r"^cursor: "):
            answer(cursor=cursor)


@pytest.mark.mission("C3")
def test_a_cursor_of_another_answer_or_of_other_filters_is_refused(queries: Queries) -> None:
    cursor = queries.executions(page_size=1).next_cursor
    with pytest.raises(InvalidCursor, match=r"^cursor: it belongs to another answer or to other filters"):
        queries.running(cursor=cursor)
    with pytest.raises(InvalidCursor, match=r"^cursor: it belongs to another answer or to other filters"):
        queries.executions(cursor=cursor, mode="batch")


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=5))
def test_no_altered_cursor_gets_past_its_reader(values: list[Any]) -> None:
    genuine = Request.of("executions", {}, None, 1, KEY).page([1, 2], lambda _: (None, UUID(int=1))).next_cursor
    assert genuine
    of_answer, digest, *_ = json.loads(base64.urlsafe_b64decode(genuine + "=="))
    forged = base64.urlsafe_b64encode(json.dumps([of_answer, digest, *values]).encode()).decode()
    try:
        request = Request.of("executions", {}, forged, 1, KEY)
    except InvalidInput:
        return
    assert request.after
    assert isinstance(request.after[1], UUID)


@pytest.mark.mission("C3")
@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"user": "me"}, "^user: .*UUID.*got 'me'"),
        ({"status": "done"}, "^status: .*pending.*timeout.*got 'done'"),
        ({"workflow_type": "x"}, "^workflow_type: .*cost_analysis"),
        ({"mode": ""}, "^mode: .*at least 1"),
        ({"mode": "a\0b"}, "^mode: .*printable"),
        ({"started_from": "yesterday"}, "^started_from: .*datetime"),
        ({"started_to": "2026-01-01T00:00:00"}, "^started_to: .*timezone"),
        ({"colour": "red"}, "^colour: not a filter of executions; allowed: user, drive, "),
    ],
)
def test_a_wrong_filter_is_named(queries: Queries, filters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        queries.executions(**filters)


@pytest.mark.mission("C3")
def test_an_event_type_that_is_none_is_refused_with_those_that_are(queries: Queries) -> None:
    with pytest.raises(InvalidFilter, match=r"^event_type: .*allowed: WorkflowCreated, .*got 'Created'"):
        queries.audit(event_type="Created")


@pytest.mark.mission("C3")
def test_ids_that_are_none_and_executions_that_are_not_there(queries: Queries) -> None:
    for answer in (queries.execution, queries.artifacts, queries.statistics):
        with pytest.raises(InvalidIdentifier, match=r"_id: 'x' is not a UUID"):
            answer("x")
    unknown = uuid4()
    for question in (
        lambda: queries.execution(unknown),
        lambda: queries.artifacts(unknown),
        lambda: queries.audit(execution=unknown),
    ):
        with pytest.raises(NotFound, match=f"execution {unknown} does not exist"):
            question()


@pytest.mark.mission("C3")
def test_answers_of_the_marts_say_how_to_get_them(queries: Queries) -> None:
    for answer in (queries.cost_by_mode, queries.billing, queries.metrics):
        with pytest.raises(NotFound, match="ledger-pipeline daily"):
            answer()


@pytest.mark.mission("C3")
def test_pages_hold_every_execution_once_also_while_others_are_added(ledger: Ledger) -> None:
    before = {one.execution_id for one in ledger.queries.executions(page_size=500).items}
    seen: list[UUID] = []
    cursor = None
    while True:
        page = ledger.queries.executions(page_size=1, cursor=cursor)
        seen += [one.execution_id for one in page.items]
        ledger.append(uuid4(), [events.WorkflowCreated(occurred_at=NOW)])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
