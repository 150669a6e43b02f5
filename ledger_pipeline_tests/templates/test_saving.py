"""Saving definitions as versions of templates."""

import json
import uuid
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger_pipeline.errors import DeletionRefused, InvalidDefinition, InvalidInput, NotFound, VersionConflict
from ledger_pipeline.events.enums import ChangeType, TemplateStatus
from ledger_pipeline.hot.database import Connection, connect, translated
from ledger_pipeline.templates import Templates
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, PRINTED, VM_DEPLOYMENT, framed


def small(name: str, *names: str, **extra: Any) -> dict[str, Any]:
    """A definition of tool calls."""
    return framed(name, *({"name": step, "tool_name": step} for step in names)) | extra


def step_ids(connection: Connection, template_id: UUID) -> dict[str, UUID]:
    """The ids of the stored steps by name."""
    found = connection.execute("SELECT name, id FROM workflow_template_steps WHERE template_id = %s", (template_id,))
    return {row["name"]: row["id"] for row in found}


@pytest.mark.mission("E2")
@pytest.mark.parametrize("document", PRINTED.values(), ids=PRINTED.keys())
def test_every_printed_definition_saves_unchanged(templates: Templates, drive: UUID, user: UUID, document: Any) -> None:
    saved = templates.save(document, drive_id=drive, created_by=user)
    read = templates.get(saved.template_id)
    assert json.loads(read.text) == document
    assert (read.version_number, read.version_tag, read.created_by) == (1, "1.0.0", user)


@pytest.mark.mission("E2")
def test_the_text_that_was_given_is_kept_to_the_letter(templates: Templates, drive: UUID) -> None:
    text = (
        '{ "name":"spaced",  "steps":[{"tool_name":"a", "parameters": {"rate": 1.50, "big": 12345678901234567890}}] }'
    )
    saved = templates.save(text, drive_id=drive)
    assert templates.get(saved.template_id).text == text


@pytest.mark.mission("E1")
def test_a_template_has_what_its_definition_says(connection: Connection, templates: Templates, drive: UUID) -> None:
    document = {
        **VM_DEPLOYMENT,
        "version": "2.1.0",
        "status": "draft",
        "tags": ["vm", "infra"],
        "outputs": {"vm_id": {"type": "string"}},
        "timeout_minutes": 30,
        "max_retries": 2,
        "is_public": True,
    }
    saved = templates.save(document, drive_id=drive)
    row = connection.execute("SELECT * FROM workflow_templates WHERE id = %s", (saved.template_id,)).fetchone()
    assert row is not None
    assert {name: row[name] for name in document if name != "steps"} == {
        n: v for n, v in document.items() if n != "steps"
    }
    assert (row["current_version"], row["drive_id"]) == (1, drive)


@pytest.mark.mission("D1")
def test_steps_are_rows_in_their_order_nested_ones_too(
    connection: Connection, templates: Templates, drive: UUID
) -> None:
    saved = templates.save(CODE_REVIEW, drive_id=drive)
    found = connection.execute(
        "SELECT agent_id, prompt_template, requires_user_input, input_schema FROM workflow_template_steps"
        " WHERE template_id = %s ORDER BY step_order",
        (saved.template_id,),
    ).fetchall()
    assert found == [
        {
            "agent_id": step["agentId"],
            "prompt_template": step["promptTemplate"],
            "requires_user_input": step["requiresUserInput"],
            "input_schema": step.get("inputSchema"),
        }
        for step in CODE_REVIEW["steps"]
    ]
    nested = templates.save(VM_DEPLOYMENT, drive_id=drive)
    assert set(step_ids(connection, nested.template_id)) == {
        *("check_resources", "create_vm", "setup_backup", "step_2_0", "update_cmdb")
    }


@pytest.mark.mission("D1")
def test_a_step_keeps_what_else_its_author_notes_of_it(
    connection: Connection, templates: Templates, drive: UUID
) -> None:
    metadata = {"timeout": 30, "retry": {"backoff": [1, 2]}}
    step = {"agentId": "writer", "promptTemplate": "Write {{topic}}", "metadata": metadata}
    saved = templates.save(framed("noting", step, {"tool_name": "t"}), drive_id=drive)
    found = connection.execute(
        "SELECT metadata FROM workflow_template_steps WHERE template_id = %s ORDER BY step_order", (saved.template_id,)
    ).fetchall()
    assert found == [{"metadata": metadata}, {"metadata": {}}]


@pytest.mark.mission("D1")
def test_drive_and_creator_may_be_those_that_the_document_notes_by_name(
    connection: Connection, templates: Templates
) -> None:
    connection.execute("INSERT INTO drives (name) VALUES ('drive_xyz')")
    connection.execute("INSERT INTO users (name) VALUES ('user_abc')")
    read = templates.get(templates.save(CODE_REVIEW).template_id)
    assert read.creator_name == "user_abc"
    assert templates.get("code_review_workflow", drive_id=read.drive_id).id == read.id


def test_who_saves_is_the_user_for_whom_the_session_acts(module_ledger_url: str, drive: UUID, user: UUID) -> None:
    with connect(module_ledger_url, autocommit=True) as acting:
        acting.execute("SELECT set_config('ledger.user_id', %s, false)", (str(user),))
        templates = Templates(acting)
        saved = templates.save(small("acted", createdBy="somebody"), drive_id=drive)
        assert (
            templates.get(saved.template_id).created_by,
            templates.versions(saved.template_id)[0]["created_by"],
        ) == (
            user,
            user,
        )


def test_an_unknown_drive_or_user_is_refused(templates: Templates, drive: UUID) -> None:
    with pytest.raises(InvalidInput, match=r"drive_id: .* is not known"):
        templates.save(small("a"), drive_id=uuid.uuid4())
    with pytest.raises(InvalidInput, match=r"created_by: .* is not known"):
        templates.save(small("a"), drive_id=drive, created_by=uuid.uuid4())
    with pytest.raises(InvalidInput, match="drive_id: 'nowhere' is not known"):
        templates.save(small("a", driveId="nowhere"))


@pytest.mark.mission("D1")
def test_an_author_whom_the_ledger_does_not_know_stays_a_note(templates: Templates, drive: UUID) -> None:
    saved = templates.save(small("noted", createdBy="nobody"), drive_id=drive)
    assert saved.warnings[0].where == "created_by"
    assert templates.get(saved.template_id).created_by is None


@pytest.mark.mission("E2")
def test_every_save_makes_a_version_and_older_ones_stay(templates: Templates, drive: UUID, user: UUID) -> None:
    first = templates.save(small("grown", "a"), drive_id=drive)
    second = templates.save(
        small("grown", "a", "b"), drive_id=drive, created_by=user, change_type=ChangeType.MINOR, change_summary="adds b"
    )
    assert (second.template_id, second.version_number, second.version_tag) == (first.template_id, 2, "1.1.0")
    assert (first.created, second.created) == (True, False)
    versions = templates.versions(first.template_id)
    assert [(v["version_number"], v["change_type"], v["change_summary"], v["created_by"]) for v in versions] == [
        (2, "minor", "adds b", user),
        (1, "create", None, None),
    ]
    assert len(templates.get(first.template_id, version=1).definition.steps) == 1
    assert len(templates.get("grown", drive_id=drive, version="1.1.0").definition.steps) == 2


@pytest.mark.mission("E2")
@pytest.mark.parametrize(
    ("change", "breaks"),
    [
        ({"a": {"type": "string"}}, ("parameter b is gone",)),
        ({"a": {"type": "integer"}, "b": {}}, ("parameter a has another type",)),
        ({"a": {"type": "string", "required": True}, "b": {}}, ("parameter a is required now",)),
        ({"a": {"type": "string"}, "b": {}, "c": {"required": True}}, ("parameter c is required now",)),
        ({"a": {"type": "string"}, "b": {}, "c": {"required": True, "default": 1}}, ()),
        ({"a": {"type": ["string", "null"]}, "b": {}, "c": {}}, ()),
    ],
)
def test_a_version_that_breaks_callers_says_so(templates: Templates, drive: UUID, change: Any, breaks: Any) -> None:
    templates.save(small("called") | {"parameters": {"a": {"type": "string"}, "b": {}}}, drive_id=drive)
    saved = templates.save(small("called") | {"parameters": change}, drive_id=drive)
    assert saved.breaking == breaks
    assert templates.versions(saved.template_id)[0]["breaking_changes"] == bool(breaks)
    assert saved.version_tag == ("2.0.0" if breaks else "1.0.1")


@pytest.mark.mission("E2")
def test_a_stale_expected_version_is_refused_and_nothing_is_stored(templates: Templates, drive: UUID) -> None:
    saved = templates.save(small("raced", "a"), drive_id=drive, expected_version=0)
    with pytest.raises(VersionConflict, match="expected_version: raced is at version 1, not at 0"):
        templates.save(small("raced", "b"), drive_id=drive, expected_version=0)
    with pytest.raises(VersionConflict, match="not saved yet, not at 4"):
        templates.save(small("another", "b"), drive_id=drive, expected_version=4)
    assert len(templates.versions(saved.template_id)) == 1
    assert templates.save(small("raced", "b"), drive_id=drive, expected_version=1).version_number == 2


@pytest.mark.mission("E2")
def test_a_tag_is_given_once(templates: Templates, drive: UUID) -> None:
    templates.save(small("tagged", version="1.0.0"), drive_id=drive)
    with pytest.raises(VersionConflict, match=r"version: the tag '1\.0\.0' is taken"):
        templates.save(small("tagged", version="1.0.0"), drive_id=drive)
    assert templates.save(small("tagged", version="autumn"), drive_id=drive).version_tag == "autumn"
    assert templates.save(small("tagged"), drive_id=drive).version_tag == "3.0.0"


@pytest.mark.mission("E1")
def test_a_name_is_unique_within_its_drive_only(connection: Connection, templates: Templates, drive: UUID) -> None:
    first = templates.save(small("same"), drive_id=drive)
    other = connection.execute("INSERT INTO drives (name) VALUES ('other') RETURNING id").fetchone()
    assert other is not None
    assert templates.save(small("same"), drive_id=other["id"]).template_id != first.template_id
    second = templates.save(small("second"), drive_id=drive)
    with pytest.raises(VersionConflict, match="name: 'same' is taken"):
        templates.save(small("same"), template_id=second.template_id)
    assert templates.save(small("renamed"), template_id=second.template_id).version_number == 2
    assert templates.get("renamed", drive_id=drive).id == second.template_id
    with pytest.raises(InvalidInput, match="the name of several; say which drive_id"):
        templates.get("same")


@pytest.mark.mission("D4")
def test_a_step_that_keeps_its_name_or_its_path_keeps_its_id(
    connection: Connection, templates: Templates, drive: UUID
) -> None:
    saved = templates.save(small("moving", "a", "b", "c"), drive_id=drive)
    before = step_ids(connection, saved.template_id)
    templates.save(small("moving", "new", "c", "b"), drive_id=drive)
    after = step_ids(connection, saved.template_id)
    assert after == {"new": before["a"], "b": before["b"], "c": before["c"]}
    templates.save(small("moving", "c"), drive_id=drive)
    assert step_ids(connection, saved.template_id) == {"c": before["c"]}


@pytest.mark.mission("A11")
def test_a_workflow_without_steps_saves_with_a_warning(templates: Templates, drive: UUID) -> None:
    saved = templates.save(small("empty"), drive_id=drive)
    assert [warning.where for warning in saved.warnings] == ["steps"]


@pytest.mark.mission("E3")
def test_a_circle_of_links_is_refused_across_the_templates_of_the_drive(templates: Templates, drive: UUID) -> None:
    def linking(name: str, to: str) -> dict[str, Any]:
        return framed(name, {"type": "workflow_link", "workflow_name": to})

    warned = templates.save(linking("one", "two"), drive_id=drive)
    assert "no workflow 'two'" in warned.warnings[0].what
    templates.save(linking("two", "three"), drive_id=drive)
    with pytest.raises(InvalidDefinition, match=r"steps\[0\].workflow_name: leads back: three → one → two → three"):
        templates.save(linking("three", "one"), drive_id=drive)
    with pytest.raises(InvalidDefinition, match="links to itself"):
        templates.save(linking("four", "four"), drive_id=drive)
    templates.save(small("two"), drive_id=drive)
    templates.save(linking("three", "one"), drive_id=drive)


@pytest.mark.mission("E1")
def test_only_active_and_deprecated_templates_run(templates: Templates, drive: UUID) -> None:
    saved = templates.save(small("lived"), drive_id=drive)
    assert saved.status is TemplateStatus.ACTIVE
    assert templates.get(saved.template_id).check_runnable() == ()
    templates.set_status(saved.template_id, TemplateStatus.DEPRECATED)
    assert str(templates.get(saved.template_id).check_runnable()[0]) == "template: lived is deprecated"
    for status in (TemplateStatus.DRAFT, TemplateStatus.ARCHIVED):
        templates.set_status(saved.template_id, status)
        with pytest.raises(InvalidInput, match=f"status is {status}; allowed: active, deprecated"):
            templates.get(saved.template_id).check_runnable()
    assert templates.save(small("lived"), drive_id=drive).status is TemplateStatus.ARCHIVED
    assert templates.save(small("lived", status="active"), drive_id=drive).status is TemplateStatus.ACTIVE


@pytest.mark.mission("E2")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE workflow_template_versions SET change_summary = 'x'",
        "DELETE FROM workflow_template_versions",
        "TRUNCATE workflow_template_versions",
    ],
)
def test_a_version_never_changes(connection: Connection, templates: Templates, drive: UUID, statement: str) -> None:
    saved = templates.save(small("fixed"), drive_id=drive)
    with pytest.raises(DeletionRefused), translated():
        connection.execute(statement.encode())
    assert templates.versions(saved.template_id)[0]["change_summary"] is None


@pytest.mark.mission("B5")
def test_a_template_takes_its_steps_and_versions_along(
    connection: Connection, templates: Templates, drive: UUID
) -> None:
    saved = templates.save(small("gone", "a"), drive_id=drive)
    templates.delete(saved.template_id)
    for table in ("workflow_template_steps", "workflow_template_versions"):
        statement = f"SELECT FROM {table} WHERE template_id = %s"
        assert connection.execute(statement.encode(), (saved.template_id,)).rowcount == 0
    for call in (templates.get, templates.delete, templates.versions):
        with pytest.raises(NotFound, match="does not exist"):
            call(saved.template_id)


@pytest.mark.mission("B5")
@pytest.mark.parametrize("owner", ["drives", "users"])
def test_templates_follow_their_drive_and_their_creator(
    connection: Connection, templates: Templates, drive: UUID, user: UUID, owner: str
) -> None:
    saved = templates.save(small("owned", "a"), drive_id=drive, created_by=user)
    connection.execute(f"DELETE FROM {owner} WHERE id = ANY (%s)".encode(), ([drive, user],))
    with pytest.raises(NotFound):
        templates.get(saved.template_id)


def test_of_two_that_save_at_once_both_get_a_version(module_ledger_url: str, templates: Templates, drive: UUID) -> None:
    with connect(module_ledger_url) as slow, connect(module_ledger_url, autocommit=True) as fast:
        slow.execute("SELECT")
        Templates(slow).save(small("shared"), drive_id=drive)
        fast.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            Templates(fast).save(small("shared"), drive_id=drive)
        slow.commit()
        assert Templates(fast).save(small("shared"), drive_id=drive).version_number == 2
