"""Every printed definition is accepted as it stands, and means what its document says."""

from typing import Any

import pytest

from ledger_pipeline.templates import ActionStep, read_definition
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, PRINTED, VM_DEPLOYMENT


@pytest.mark.mission("E3")
@pytest.mark.parametrize("document", PRINTED.values(), ids=PRINTED.keys())
def test_every_printed_definition_is_accepted_and_kept_to_the_letter(document: dict[str, Any]) -> None:
    reading = read_definition(document)
    again = read_definition(reading.text)
    assert again.definition == reading.definition
    assert again.text == reading.text


@pytest.mark.mission("D1")
def test_camel_case_means_the_same_as_snake_case() -> None:
    step = read_definition(CODE_REVIEW).definition.steps[2]
    assert isinstance(step, ActionStep)
    assert step.agent_id == "documentation-writer"
    assert step.prompt_template == CODE_REVIEW["steps"][2]["promptTemplate"]
    assert step.requires_user_input
    assert step.input_schema == CODE_REVIEW["steps"][2]["inputSchema"]


@pytest.mark.mission("D1")
def test_a_name_for_people_becomes_the_title_and_a_warning_says_so() -> None:
    reading = read_definition(CODE_REVIEW)
    assert (reading.definition.name, reading.definition.title) == ("code_review_workflow", "Code Review Workflow")
    assert reading.warnings[0].where == "name"
    assert "code_review_workflow" in reading.warnings[0].what


@pytest.mark.mission("E1")
def test_the_short_form_of_parameters_is_kept_as_written_and_means_a_json_schema() -> None:
    definition = read_definition(VM_DEPLOYMENT).definition
    assert definition.parameters == VM_DEPLOYMENT["parameters"]
    assert definition.parameter_schema == {
        "type": "object",
        "properties": {
            "vm_name": {"type": "string"},
            "vm_template": {"type": "string", "default": "ubuntu-22.04"},
            "backup_enabled": {"type": "boolean", "default": True},
        },
        "required": ["vm_name"],
    }
