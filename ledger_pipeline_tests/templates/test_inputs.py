"""Inputs, outputs and people's answers against their schemas; both forms of parameters."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_pipeline.errors import SchemaViolation
from ledger_pipeline.templates import (
    ActionStep,
    Definition,
    check_input,
    check_output,
    check_user_input,
    read_definition,
)
from ledger_pipeline.templates.schemas import as_schema, is_short_form, schema_faults
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, VM_DEPLOYMENT

VM = read_definition(VM_DEPLOYMENT).definition
WRITER = read_definition(CODE_REVIEW).definition.steps[2]


def taking(parameters: Any, **fields: Any) -> Definition:
    """A definition with these parameters."""
    return read_definition({"name": "taking", "parameters": parameters, **fields}).definition


def refused(definition: Definition, value: Any) -> list[str]:
    """What is wrong with an input."""
    with pytest.raises(SchemaViolation) as found:
        check_input(definition, value)
    return [str(fault) for fault in found.value.faults]


@pytest.mark.mission("E4")
def test_defaults_are_filled_into_the_input_and_what_was_given_stays() -> None:
    assert check_input(VM, {"vm_name": "web", "backup_enabled": False, "free": [1]}) == {
        "vm_name": "web",
        "vm_template": "ubuntu-22.04",
        "backup_enabled": False,
        "free": [1],
    }


@pytest.mark.mission("E4")
def test_every_fault_of_an_input_is_named_with_its_place() -> None:
    assert refused(VM, None) == ["input.vm_name: is missing; allowed: it is required"]
    assert refused(VM, {"vm_name": 3, "backup_enabled": "x"}) == [
        "input.vm_name: is 3; allowed: string",
        "input.backup_enabled: is 'x'; allowed: boolean",
    ]
    assert refused(VM, ["vm_name"]) == ['input: is ["vm_name"]; allowed: an object: a value for each parameter']
    assert refused(VM, {"vm_name": "\0"}) == ["input.vm_name: the character U+0000 cannot be stored"]
    assert refused(VM, {"vm_name": object()})[0].startswith("input: object has no JSON form")


@pytest.mark.mission("E4")
def test_a_place_within_the_input_is_named_to_the_last_part() -> None:
    disks = {"type": "array", "items": {"type": "object", "properties": {"gb": {"type": "integer", "minimum": 1}}}}
    assert refused(taking({"disks": disks}), {"disks": [{"gb": 5}, {"gb": 0}]}) == [
        "input.disks[1].gb: is 0; allowed: minimum 1"
    ]


@pytest.mark.mission("E4")
def test_defaults_are_filled_at_every_level_and_through_references() -> None:
    schema = {
        "type": "object",
        "properties": {
            "limits": {"$ref": "#/$defs/limits", "default": {}},
            "disks": {"type": "array", "items": {"properties": {"kind": {"default": "ssd"}}}},
        },
        "allOf": [{"properties": {"region": {"default": "eu"}}}],
        "$defs": {"limits": {"type": "object", "properties": {"cpu": {"type": "integer", "default": 2}}}},
    }
    assert check_input(taking(schema), {"disks": [{}, {"kind": "hdd"}]}) == {
        "limits": {"cpu": 2},
        "disks": [{"kind": "ssd"}, {"kind": "hdd"}],
        "region": "eu",
    }


def test_an_input_without_declared_parameters_is_taken_as_it_is() -> None:
    assert check_input(taking({}), {"code": "x"}) == {"code": "x"}


def test_numbers_stay_exact() -> None:
    schema = {"rate": {"type": "number", "multipleOf": 0.1, "default": 0.3}}
    assert check_input(taking(schema), {}) == {"rate": Decimal("0.3")}
    assert check_input(taking(schema), {"rate": 0.7}) == {"rate": Decimal("0.7")}


@pytest.mark.mission("E4")
def test_an_output_is_checked_where_the_definition_promises_one() -> None:
    promising = taking({}, outputs={"status": {"type": "string", "required": True}})
    assert check_output(promising, {"status": "done", "more": 1}) == {"status": "done", "more": 1}
    with pytest.raises(SchemaViolation, match=r"output\.status: is missing"):
        check_output(promising, {})
    with pytest.raises(SchemaViolation, match="output: is null; allowed: object"):
        check_output(promising, None)
    assert check_output(taking({}), None) is None


@pytest.mark.mission("D3")
def test_a_persons_input_is_checked_against_the_steps_schema() -> None:
    assert isinstance(WRITER, ActionStep)
    answer = {"includeExamples": True, "detailLevel": "basic"}
    assert check_user_input(WRITER, answer) == answer
    with pytest.raises(SchemaViolation) as found:
        check_user_input(WRITER, {"includeExamples": "yes", "detailLevel": "much"})
    assert [str(fault) for fault in found.value.faults] == [
        "user_input.includeExamples: is 'yes'; allowed: boolean",
        "user_input.detailLevel: is 'much'; allowed: basic, detailed, comprehensive",
    ]
    with pytest.raises(SchemaViolation, match="user_input: is 3; allowed: object"):
        check_user_input(WRITER, 3)
    assert check_user_input(WRITER.model_copy(update={"input_schema": None}), 3) == 3


@pytest.mark.parametrize(
    ("given", "short"),
    [
        ({}, False),
        ({"vm_name": {"type": "string", "required": True}}, True),
        ({"type": {"type": "string"}}, True),
        ({"items": {"type": "array"}}, True),
        ({"title": {"type": "string"}, "default": {}}, True),
        ({"properties": {"type": "object"}}, True),
        ({"vm_name": {}, "broken": 3}, True),
        ({"type": "object"}, False),
        ({"properties": {"a": {"type": "string"}}}, False),
        ({"properties": {}, "required": []}, False),
        ({"$ref": "#/$defs/a", "$defs": {"a": {}}}, False),
        ({"required": ["a"]}, False),
        ({"anyOf": [{}]}, False),
        (True, False),
    ],
)
def test_the_two_forms_of_parameters_are_told_apart(given: Any, short: bool) -> None:
    assert is_short_form(given) is short


_SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "boolean"])}, optional={"required": st.booleans()}
)
_VALUES = {"string": "x", "integer": 1, "boolean": True}


@given(st.dictionaries(st.text(min_size=1, max_size=12), _SCHEMAS, min_size=1, max_size=6))
def test_the_short_form_always_means_a_valid_schema_that_asks_for_what_is_required(given: dict[str, Any]) -> None:
    schema = as_schema(given)
    if not is_short_form(given):
        return  # some name begins like a keyword of JSON Schema
    assert schema_faults(schema, "parameters") == []
    assert set(schema["required"]) == {name for name, part in given.items() if part.get("required")}
    definition = Definition(name="short", parameters=given)
    full = {name: _VALUES[part["type"]] for name, part in given.items() if "\0" not in name}
    if len(full) == len(given):
        assert check_input(definition, full) == full
