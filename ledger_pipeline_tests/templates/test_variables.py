"""Variables: which ones a step can know when it runs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_pipeline.errors import Fault, InvalidDefinition
from ledger_pipeline.templates import read_definition
from ledger_pipeline.templates.positions import Position
from ledger_pipeline.templates.variables import variables


def tool(name: str, text: str = "") -> dict[str, Any]:
    """A tool call with a text among its parameters."""
    return {"name": name, "tool_name": "t", "parameters": {"deep": [{"text": text}]}}


def definition(**texts: str) -> dict[str, Any]:
    """Steps of every kind; a text goes to the step of its name."""

    def at(name: str) -> dict[str, Any]:
        return tool(name, texts.get(name, ""))

    return {
        "name": "scoped",
        "parameters": {"servers": {"type": "array"}, "region": {"type": "string"}},
        "steps": [
            at("first"),
            {
                "name": "judge",
                "type": "condition",
                "condition": texts.get("judge", "x"),
                "on_true": at("yes"),
                "on_false": at("no"),
            },
            {
                "name": "both",
                "type": "parallel",
                "steps": [at("left"), at("right")],
                "on_success": at("joined"),
            },
            {
                "name": "each",
                "type": "loop",
                "collection": texts.get("each", "{{workflow.parameters.servers}}"),
                "item_variable": "server",
                "steps": [at("one"), at("two")],
            },
            at("last"),
        ],
    }


def judged(step: str, text: str) -> tuple[str, str]:
    """Whether a text at a step is known, doubtful or a fault, and why."""

    def only(faults: tuple[Fault, ...]) -> str:
        assert len(faults) == 1
        return str(faults[0])

    try:
        warnings = read_definition(definition(**{step: text})).warnings
    except InvalidDefinition as refused:
        return "fault", only(refused.faults)
    return ("doubtful", only(warnings)) if warnings else ("known", "")


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("step", "text"),
    [
        ("first", "{{workflow.parameters.region}} and {{ workflow.parameters }}"),
        ("first", "{{region}} {{context.region.name}} {{context}}"),
        ("judge", "{{previous_step.output.status}} == 'success'"),
        ("yes", "{{steps.first.output.items[0].id}} {{previous_step.output}} {{steps.judge.output}} {{step_0_output}}"),
        ("left", "{{previous_step.output}} {{steps.yes.output}} {{step_1_output}}"),
        ("joined", "{{steps.left.output}} {{steps.both.output}}"),
        ("each", "{{steps.first.output.servers}}"),
        ("one", "{{server}} {{server.name}} {{previous_step.output}}"),
        ("two", "{{steps.one.output}} {{previous_step.output}}"),
        ("last", "{{steps.two.output}} {{step_3_output.count}} {{context.step_2_output}}"),
    ],
)
def test_what_is_there_when_the_step_runs_is_known(step: str, text: str) -> None:
    assert judged(step, text) == ("known", "")


@pytest.mark.mission("E3")
@pytest.mark.parametrize(
    ("step", "text", "why"),
    [
        ("first", "{{workflow.parameters.size}}", "the workflow has no parameter 'size'; allowed: region, servers"),
        ("first", "{{workflow.name}}", "is not known"),
        ("first", "{{steps.nowhere.output}}", "no step is named 'nowhere'; allowed: nothing: no step is done by then"),
        ("first", "{{steps.last.output}}", "'last' is not done when this step runs"),
        ("first", "{{steps.first.output}}", "'first' is not done when this step runs"),
        ("first", "{{previous_step.output.x}}", "there is no step before this one"),
        ("first", "{{step_4_output}}", "'last' is not done when this step runs"),
        ("first", "{{context.step_9_output}}", "there is no step 9"),
        ("first", "{{server}}", "'server' is the item of steps[3], known to the steps in it only"),
        ("first", "{{steps.first}}", "is not known"),
        ("first", "{{workflow.parameters.a | upper}}", "is no variable"),
        ("no", "{{steps.yes.output}}", "'yes' is not done when this step runs"),
        ("right", "{{steps.left.output}}", "'left' is not done when this step runs"),
        ("right", "{{steps.both.output}}", "'both' is not done when this step runs"),
        ("one", "{{steps.two.output}}", "'two' is not done when this step runs"),
        ("one", "{{step_3_output}}", "'each' is not done when this step runs"),
        ("each", "{{server}}", "'server' is the item of steps[3]"),
    ],
)
def test_what_cannot_be_there_is_a_fault(step: str, text: str, why: str) -> None:
    kind, found = judged(step, text)
    assert kind == "fault"
    assert why in found


@pytest.mark.mission("E3")
@pytest.mark.parametrize("text", ["{{code}}", "{{context.project_id}}", "{{ a | b }}", "{{'braces'}}"])
def test_what_only_the_context_can_tell_is_a_warning(text: str) -> None:
    assert judged("first", text)[0] == "doubtful"


def test_a_fault_names_the_place_within_the_step() -> None:
    _, found = judged("one", "{{step_9_output}}")
    assert found.startswith("steps[3].steps[0].parameters.deep[0].text: {{step_9_output}}")


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "patternProperties": {".": {}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"allOf": [{"properties": {"any": {}}}]},
        True,
    ],
)
def test_a_schema_that_takes_names_it_does_not_list_takes_any(parameters: Any) -> None:
    read_definition({"name": "open", "parameters": parameters, "steps": [tool("a", "{{workflow.parameters.any}}")]})


@given(st.lists(st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True), min_size=1, max_size=5), st.text(max_size=20))
def test_a_variable_is_found_wherever_it_stands(names: list[str], around: str) -> None:
    around = around.replace("{", "").replace("}", "")
    step = {"prompt_template": f"{around}{{{{ {'.'.join(names)} }}}}{around}"}
    (found,) = variables(Position("0", 0, "a", "steps[0]", "steps[0]", step, None))
    assert (found.where, found.parts) == ("steps[0].prompt_template", tuple(names))
