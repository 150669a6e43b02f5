"""The language of conditions: what each form means, that it always answers, and what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_pipeline.errors import InvalidDefinition, InvalidInput
from ledger_pipeline.templates import read_definition
from ledger_pipeline.templates.conditions import equal, parse_condition

VALUES: dict[str, Any] = {
    "previous_step.output.status": "success",
    "workflow.parameters.backup_enabled": True,
    "context.retries": 3,
    "context.share": Decimal("0.10"),
    "servers": ["web-1", "web-2"],
    "labels": {"env": "prod"},
    "nothing": None,
    "text_true": "true",
}

pytestmark = pytest.mark.mission("E3")


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ("{{previous_step.output.status}} == 'success'", True),
        ('{{ previous_step.output.status }} != "success"', False),
        ("{{workflow.parameters.backup_enabled}} == true", True),
        ("{{workflow.parameters.backup_enabled}}", True),
        ("'{{previous_step.output.status}}' == 'success'", True),
        ("'{{context.retries}} of 5' == '3 of 5'", True),
        ("context.retries >= 3 and context.retries < 4", True),
        ("context.retries > 3 or context.share <= 0.1", True),
        ("context.share == 1e-1", True),
        ("not context.retries == 3", False),
        ("not not servers", True),
        ("'web-1' in servers and 'web-3' not in servers", True),
        ("{{context.retries}} in [1, 2, 3]", True),
        ("'env' in labels", True),
        ("'uc' in {{previous_step.output.status}}", True),
        ("(false or true) and not (1 > 2)", True),
        ("false and true or true", True),
        ("text_true == true", False),
        ("context.retries == true", False),
        ("1 == true", False),
        ("'10' < 9", False),
        ("'10' > 9", False),
        ("'b' > 'a'", True),
        ("nothing == null", True),
        ("unknown.path == null", True),
        ("unknown.path > 0", False),
        ("unknown.path in [1]", False),
        ("1 in 1", False),
        ("[] or '' or 0 or null", False),
        (r"'it\'s' == \"it's\"".replace('\\"', '"'), True),
    ],
)
def test_a_condition_means(condition: str, result: bool) -> None:
    assert parse_condition(condition).evaluate(VALUES.get) is result


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("", "a value is missing at character 1"),
        ("{{a}} ==", "a value is missing"),
        ("{{a}} = 1", "'=' is not understood at character 7"),
        ("{{a}} == 'open", '"\'" is not understood at character 10'),
        ("{{a b}} == 1", "'a b' is no variable"),
        ("{{}}", "'' is no variable"),
        ("a == 1 == 2", "'==' is too much at character 8"),
        ("(a", r"'\)' is missing"),
        ("[1 2]", "',' is missing"),
        ("a and", "a value is missing"),
        ("__import__('os')", "'\\(' is too much"),
        ("a.b()", "'\\(' is too much"),
        ("1 + 1 == 2", "'\\+' is not understood"),
        ("(" * 60 + "1" + ")" * 60, "nested deeper than 50"),
        ("[" * 5_000, "nested deeper than 50"),
        ("1 or " * 5_000, "at most 10000"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(condition: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        parse_condition(condition)


def test_variables_are_named_in_order() -> None:
    assert parse_condition("{{a.b}} == 'x {{c}}' or d in [{{e}}]").variables == ("a.b", "c", "d", "e")


def test_a_condition_that_is_not_understood_can_not_be_saved() -> None:
    step = {"type": "condition", "condition": "{{workflow.parameters.n}} = 1"}
    definition = {"name": "judge", "parameters": {"n": {}}, "steps": [step]}
    with pytest.raises(InvalidDefinition, match=r"^steps\[0\]\.condition: '=' is not understood at character 27"):
        read_definition(definition)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(left=json_values, right=json_values)
def test_every_comparison_of_any_two_values_answers(left: Any, right: Any) -> None:
    values = {"l": left, "r": right}
    answers = {
        sign: parse_condition(f"{{{{l}}}} {sign} {{{{r}}}}").evaluate(values.get)
        for sign in ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or")
    }
    assert answers["=="] is not answers["!="]
    assert answers["in"] is not answers["not in"]
    assert not (answers["<"] and answers[">"])
    assert equal(left, left)


@given(st.text(max_size=40) | st.text(alphabet="{}'\"()[],.=<>!ab1 \\", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except InvalidInput:
        return
    assert condition.evaluate(VALUES.get) in (True, False)
