"""What can't be saved: each fault with its place, what is wrong and what is allowed, and all of them at once."""

from typing import Any

import pytest

from ledger_pipeline.errors import InvalidDefinition
from ledger_pipeline.templates import read_definition
from ledger_pipeline_tests.templates.printed import VM_DEPLOYMENT

TOOL = {"tool_name": "t"}
LOOP = {"type": "loop", "collection": [1], "steps": [TOOL]}


def with_steps(*steps: Any, **fields: Any) -> dict[str, Any]:
    """A definition of steps."""
    return {"name": "tried", "steps": list(steps), **fields}


def faults_of(document: Any) -> list[str]:
    """Every fault of a document, as it is reported."""
    with pytest.raises(InvalidDefinition) as refused:
        read_definition(document)
    return [str(fault) for fault in refused.value.faults]


NAMED = "allowed: an agent's call (agent_id and prompt_template) or a tool's (tool_name, parameters)"
STEP_TYPES = "allowed: action, condition, workflow_link, parallel, loop"


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"type": "jump"}, f"steps[0].type: 'jump' is no step type; {STEP_TYPES}"),
        ({"type": None}, f"steps[0].type: null is no step type; {STEP_TYPES}"),
        ("create_vm", "steps[0]: is 'create_vm'; allowed: a step: an object with a type"),
        ({}, f"steps[0]: calls neither an agent nor a tool; {NAMED}"),
        (TOOL | {"agent_id": "a", "prompt_template": "p"}, f"steps[0]: has both agent_id and tool_name; {NAMED}"),
        ({"agent_id": "a"}, f"steps[0].prompt_template: is missing; {NAMED}"),
        ({"prompt_template": "p"}, f"steps[0].agent_id: is missing; {NAMED}"),
        ({"parameters": {}}, f"steps[0].tool_name: is missing; {NAMED}"),
        (TOOL | {"retry_count": -1}, "steps[0].retry_count: is -1; allowed: greater than or equal to 0"),
        (TOOL | {"timeout_seconds": 0}, "steps[0].timeout_seconds: is 0; allowed: greater than or equal to 1"),
        (TOOL | {"requiresUserInput": "yes"}, "steps[0].requires_user_input: is 'yes'; allowed: true or false"),
        (TOOL | {"stepOrder": 1}, "steps[0].step_order: is 1; allowed: 0: steps stand in their order, from 0"),
        (TOOL | {"name": "a b"}, "steps[0].name: 'a b' is not a valid name; allowed: letters, digits, _ and -"),
        (TOOL | {"name": "end"}, "steps[0].name: 'end' is a target's word; allowed: any name but continue, end"),
        (TOOL | {"condition": "x"}, "steps[0].condition: is no field of a step of type action; allowed: name, title"),
        ({"type": "condition"}, "steps[0].condition: is missing"),
        ({"type": "parallel", "steps": []}, "steps[0].steps: is empty; allowed: at least one step"),
        ({"type": "loop", "steps": [TOOL]}, "steps[0].collection: is missing"),
        (LOOP | {"collection": " "}, "steps[0].collection: ' ' is no collection; allowed: a list, or a variable"),
        (LOOP | {"collection": None}, "steps[0].collection: is null; allowed: a text or list"),
        (LOOP | {"item_variable": "a.b"}, "steps[0].item_variable: 'a.b' is not a valid item_variable"),
        ({"type": "workflow_link", "workflow_name": "tried"}, "steps[0].workflow_name: tried links to itself"),
        ({"type": "workflow_link", "workflow_name": "A"}, "steps[0].workflow_name: 'A' is not a valid workflow_name"),
        (TOOL | {"input_schema": {"type": "x"}}, "steps[0].input_schema.type: is 'x'; allowed: array, boolean"),
        (LOOP | {"steps": [{"type": "x"}]}, f"steps[0].steps[0].type: 'x' is no step type; {STEP_TYPES}"),
        (TOOL | {"on_failure": {"type": "x"}}, f"steps[0].on_failure.type: 'x' is no step type; {STEP_TYPES}"),
    ],
)
def test_a_step_that_is_wrong_is_named_with_its_place(step: Any, fault: str) -> None:
    assert [found for found in faults_of(with_steps(step)) if found.startswith(fault)], faults_of(with_steps(step))


@pytest.mark.mission("E1")
@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": None}, "name: is null; allowed: a text"),
        ({"name": "Bad Name!"}, "name: 'Bad Name!' is not a valid name; allowed: snake_case"),
        ({"name": "Two Words", "title": "t"}, "name: 'Two Words' is not a valid name; allowed: snake_case"),
        ({"status": "running"}, "status: 'running' is not one of its values; allowed: 'draft', 'active'"),
        ({"tags": ["a", 1]}, "tags[1]: is 1; allowed: a text"),
        ({"timeout_minutes": 0}, "timeout_minutes: is 0; allowed: greater than or equal to 1"),
        ({"isPublic": "yes"}, "is_public: is 'yes'; allowed: true or false"),
        ({"is_public": True, "isPublic": True}, "isPublic: is_public is given twice, in two spellings"),
        ({"colour": 1}, "colour: is no field of a definition; allowed: name, title, description"),
        ({"parameters": [1]}, "parameters: is [1]; allowed: an object or true or false"),
        ({"parameters": {"a": {"type": "strin"}}}, "parameters.a.type: is 'strin'; allowed: array, boolean"),
        ({"parameters": {"a": 1, "b": {}}}, "parameters.a: is 1; allowed: object, boolean"),
        ({"parameters": {"type": "string"}}, "parameters.type: is 'string'; allowed: object"),
        ({"parameters": {"a": {"pattern": "("}}}, "parameters.a.pattern: is '('; allowed: format regex"),
        ({"parameters": {"a": {"type": "integer", "default": "x"}}}, "parameters.a.default: is 'x'; allowed: integer"),
        ({"parameters": {"$ref": "#"}}, "parameters: refers to itself without end"),
        ({"parameters": {"$ref": "https://example.com/s"}}, "parameters.$ref: 'https://example.com/s' leads nowhere"),
        ({"outputs": {"required": "a"}}, "outputs.required: is 'a'; allowed: array"),
        ({"description": "a\0"}, "definition.description: the character U+0000 cannot be stored"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_is_allowed(fields: dict[str, Any], fault: str) -> None:
    found = faults_of(with_steps(**fields))
    assert [one for one in found if one.startswith(fault)], found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\xff", "definition: is not UTF-8"),
        ("{", "definition: not valid JSON"),
        ("[]", "definition: must be a JSON object, not list"),
        ("{}", "name: is missing; allowed: snake_case"),
        ('{"name": "a", "timeout_minutes": 1e400000}', "definition.timeout_minutes: a number of that magnitude"),
        ('{"name": "a", "parameters": ' + '{"a":' * 300 + "1" + "}" * 301, "definition: is nested deeper than 200"),
    ],
)
def test_what_is_no_definition_at_all_is_refused(text: Any, fault: str) -> None:
    assert faults_of(text)[0].startswith(fault)


@pytest.mark.mission("E3")
def test_all_faults_are_reported_together_as_a_reader_meets_them() -> None:
    document = with_steps(
        TOOL | {"name": "first", "on_success": "nowhere"},
        {"type": "jump"},
        TOOL | {"name": "first", "parameters": {"x": "{{workflow.parameters.y}}"}},
        title=3,
    )
    assert [fault.partition(": ")[0] for fault in faults_of(document)] == [
        *("title", "steps[0].on_success", "steps[1].type", "steps[2].name", "steps[2].parameters.x")
    ]


TARGETS = with_steps(
    TOOL | {"name": "before"},
    {"name": "judge", "type": "condition", "condition": "x"},
    {"name": "branches", "type": "parallel", "steps": [TOOL | {"name": "left"}, TOOL | {"name": "right"}]},
    {"name": "each", "type": "loop", "collection": [1], "steps": [TOOL | {"name": "one"}, TOOL | {"name": "two"}]},
    TOOL | {"name": "last"},
)


def retargeted(at: tuple[int, ...], field: str, target: str) -> dict[str, Any]:
    """The definition with another target at one of its steps."""
    document = {**TARGETS, "steps": [dict(step) for step in TARGETS["steps"]]}
    step = document["steps"][at[0]]
    for index in at[1:]:
        step["steps"] = [dict(inner) for inner in step["steps"]]
        step = step["steps"][index]
    step[field] = target
    return document


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("at", "field", "target", "problem"),
    [
        ((1,), "on_true", "nowhere", "no step is named 'nowhere'; allowed: next, end, a step, or branches, each, last"),
        ((1,), "on_false", "before", "'before' (steps[0]) can't be reached from here: it stands before"),
        ((1,), "on_true", "judge", "'judge' is this step itself"),
        ((1,), "on_true", "left", "'left' (steps[2].steps[0]) can't be reached"),
        ((1,), "on_true", "retry", "'retry' is a target of on_failure only"),
        (
            (0,),
            "on_failure",
            "nowhere",
            "no step is named 'nowhere'; allowed: next, end, retry, fail, continue, a step",
        ),
        ((2, 0), "on_success", "right", "'right' (steps[2].steps[1]) can't be reached"),
        ((2, 0), "on_success", "last", "'last' (steps[4]) can't be reached"),
        ((3, 1), "on_success", "one", "'one' (steps[3].steps[0]) can't be reached"),
    ],
)
def test_a_target_that_leads_nowhere_is_refused(at: tuple[int, ...], field: str, target: str, problem: str) -> None:
    place = f"steps[{at[0]}]" + "".join(f".steps[{index}]" for index in at[1:])
    (found,) = faults_of(retargeted(at, field, target))
    assert found.startswith(f"{place}.{field}: {problem}")


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("at", "field", "target"),
    [
        *(
            ((0,), field, target)
            for field in ("on_success", "on_failure")
            for target in ("next", "end", "each", "last")
        ),
        *(((0,), "on_failure", target) for target in ("retry", "fail", "continue")),
        ((1,), "on_true", "last"),
        ((2, 1), "on_failure", "retry"),
        ((3, 0), "on_success", "two"),
        ((3, 0), "on_failure", "last"),
    ],
)
def test_a_target_is_a_word_or_a_later_step_of_its_list_or_of_one_further_out(
    at: tuple[int, ...], field: str, target: str
) -> None:
    assert read_definition(retargeted(at, field, target)).warnings == ()


@pytest.mark.mission("E3")
def test_an_inline_step_goes_on_to_where_its_holder_could() -> None:
    inline = {"type": "condition", "condition": "x", "on_true": TOOL | {"on_success": "later"}}
    read_definition(with_steps(inline, TOOL, TOOL | {"name": "later"}))
    (found,) = faults_of(with_steps(TOOL | {"name": "later"}, inline))
    assert found.startswith("steps[1].on_true.on_success: 'later' (steps[0]) can't be reached")


@pytest.mark.mission("E3")
def test_a_name_is_given_once_in_all_of_a_definition() -> None:
    (found,) = faults_of(with_steps(TOOL | {"name": "a"}, LOOP | {"steps": [TOOL | {"name": "a"}]}))
    assert found.startswith("steps[1].steps[0].name: 'a' is the name of steps[0] too")
    (found,) = faults_of(with_steps(TOOL, TOOL | {"name": "step_0"}))
    assert found.startswith("steps[1].name: 'step_0' is the name of steps[0] too")


@pytest.mark.mission("A11")
def test_no_steps_are_a_warning() -> None:
    for document in ({"name": "empty"}, {"name": "empty", "steps": []}):
        assert [warning.where for warning in read_definition(document).warnings] == ["steps"]


def test_a_definition_of_a_thousand_steps_is_read_in_a_moment() -> None:
    step = TOOL | {"parameters": {"before": "{{steps.step_0.output}}"}, "on_success": "step_999"}
    definition = read_definition(with_steps(TOOL, *([step] * 998), TOOL)).definition
    assert len(definition.steps) == 1000
    assert read_definition(VM_DEPLOYMENT).warnings == ()
