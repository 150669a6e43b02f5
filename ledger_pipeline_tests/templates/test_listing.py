"""Templates listed by what they have, page by page, and what each answer costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.enums import TemplateStatus
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.templates import Templates
from ledger_pipeline_tests.templates.conftest import new_row
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, VM_DEPLOYMENT, framed


@pytest.fixture
def saved(templates: Templates, drive: UUID, user: UUID) -> list[str]:
    """Three templates of a drive, by name, the newest first."""
    templates.save(CODE_REVIEW, drive_id=drive, created_by=user)
    templates.save({**VM_DEPLOYMENT, "status": "draft"}, drive_id=drive)
    templates.save(framed("empty"), drive_id=drive)
    return ["empty", "vm_deployment", "code_review_workflow"]


def names(templates: Templates, **filters: Any) -> list[str]:
    """The names of the templates that filters leave."""
    return [item["name"] for item in templates.list(**filters).items]


@pytest.mark.mission("C3")
def test_templates_of_a_drive_come_with_their_steps_and_their_creator(
    templates: Templates, drive: UUID, user: UUID, saved: list[str]
) -> None:
    page = templates.list(drive_id=drive)
    assert [item["name"] for item in page.items] == saved
    review = page.items[-1]
    assert review["creator"]["id"] == str(user)
    assert [step["agent_id"] for step in review["steps"]] == [step["agentId"] for step in CODE_REVIEW["steps"]]
    assert (page.items[0]["creator"], page.items[0]["steps"], page.next_cursor) == (None, [], None)


@pytest.mark.mission("C3")
@pytest.mark.usefixtures("saved")
def test_filters_leave_what_they_say(templates: Templates, drive: UUID, user: UUID) -> None:
    assert names(templates, created_by=user) == ["code_review_workflow"]
    assert names(templates, drive_id=drive, category="infrastructure") == ["vm_deployment"]
    assert names(templates, drive_id=drive, status=TemplateStatus.DRAFT) == ["vm_deployment"]
    assert names(templates, drive_id=drive, is_public=True) == ["code_review_workflow"]
    assert names(templates, drive_id=drive, tag="security") == ["code_review_workflow"]
    assert names(templates, drive_id=drive, name="empty") == ["empty"]
    assert names(templates, drive_id=drive, tag="security", status=TemplateStatus.DRAFT) == []


@pytest.mark.mission("C3")
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_pages_follow_one_another_without_gap_or_repetition(
    templates: Templates, drive: UUID, saved: list[str], size: int
) -> None:
    found: list[str] = []
    cursor = None
    while True:
        page = templates.list(drive_id=drive, page_size=size, cursor=cursor)
        assert len(page.items) <= size
        found += [item["name"] for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == saved


@pytest.mark.parametrize("size", [0, -1, 501, True])
def test_a_page_size_out_of_range_is_refused(templates: Templates, size: int) -> None:
    with pytest.raises(InvalidInput, match="page_size: must be a whole number from 1 to 500"):
        templates.list(page_size=size)


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA==", "ZmFsc2U=", "Wzld", "WyIyMDI2LTAxLTAxIiwgIngiXQ==", "ü"])
def test_what_is_no_cursor_is_refused(templates: Templates, cursor: str) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: .* is none of this ledger's"):
        templates.list(cursor=cursor)


@contextmanager
def counted(connection: Connection) -> Iterator[list[str]]:
    """The statements that are sent in the block."""
    sent: list[str] = []
    execute = connection.execute

    def recording(query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return execute(query, *arguments, **options)

    connection.execute = recording  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        connection.execute = execute  # type: ignore[method-assign]


@pytest.mark.mission("C3")
def test_an_answer_takes_one_statement_however_much_it_holds(
    connection: Connection, templates: Templates, drive: UUID, saved: list[str]
) -> None:
    with counted(connection) as sent:
        template = templates.get(saved[-1], drive_id=drive)
        templates.list(drive_id=drive)
        templates.versions(template.id)
    assert len(sent) == 3


@pytest.mark.mission("A8")
@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ("drive_id = '00000000-0000-7000-8000-000000000001'", "workflow_templates_drive"),
        ("created_by = '00000000-0000-7000-8000-000000000001'", "workflow_templates_creator"),
        ("category = 'x'", "workflow_templates_category"),
        ("status = 'archived'", "workflow_templates_status"),
        ("is_public", "workflow_templates_public"),
        ("name = 'x'", "workflow_templates_name"),
        ("tags @> ARRAY['x']", "workflow_templates_tags"),
    ],
)
def test_each_filter_has_an_index(connection: Connection, filters: str, index: str) -> None:
    statement = f"EXPLAIN SELECT id FROM workflow_templates WHERE {filters}"
    with connection.transaction():
        # A table this small is read whole; what is asked is which index the filter can use.
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row["QUERY PLAN"] for row in connection.execute(statement.encode()))
    assert index in plan


@pytest.mark.mission("A8")
def test_a_version_and_a_tag_are_unique_within_their_template(connection: Connection) -> None:
    found = connection.execute(
        "SELECT array_agg(indexdef) AS definitions FROM pg_indexes"
        " WHERE tablename = 'workflow_template_versions' AND indexdef LIKE 'CREATE UNIQUE%'"
    ).fetchone()
    assert found is not None
    for columns in ("(template_id, version_number)", "(template_id, version_tag)"):
        assert any(columns in definition for definition in found["definitions"])


def test_a_template_of_another_drive_is_not_found_in_this_one(
    connection: Connection, templates: Templates, saved: list[str]
) -> None:
    assert names(templates, drive_id=new_row(connection, "drives")) == []
    assert saved
