"""From a definition to the plan of an execution."""

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_pipeline.errors import NotFound
from ledger_pipeline.events import PlanStep
from ledger_pipeline.templates import Definition, iteration_plan, plan, positions, read_definition
from ledger_pipeline_tests.templates.printed import CODE_REVIEW, CREATE_VM, VM_DEPLOYMENT, framed


def numbered() -> Callable[[], UUID]:
    """Makes ids 1, 2, 3, …"""
    numbers = count(1)
    return lambda: UUID(int=next(numbers))


def paths(entries: tuple[PlanStep, ...]) -> list[tuple[str, str]]:
    """Path and name of each entry."""
    return [(entry.path, entry.step_name) for entry in entries]


NESTED = read_definition(
    framed(
        "nested",
        {
            "name": "each",
            "type": "loop",
            "collection": [1, 2],
            "on_failure": {"name": "mend", "tool_name": "mend"},
            "steps": [
                {"tool_name": "first"},
                {"name": "pair", "type": "parallel", "steps": [{"tool_name": "a"}, {"tool_name": "b"}]},
                {"name": "inner", "type": "loop", "collection": ["{{item}}"], "steps": [{"tool_name": "deep"}]},
            ],
        },
        {"name": "judge", "type": "condition", "condition": "x", "on_false": {"tool_name": "no"}, "on_true": "next"},
        {
            "type": "parallel",
            "steps": [{"tool_name": "left"}, {"tool_name": "right", "on_failure": {"tool_name": "undo"}}],
        },
    )
).definition


@pytest.mark.mission("E3")
def test_every_nested_step_has_a_path_and_targets_come_before_branches_and_bodies() -> None:
    assert [(p.path, p.where) for p in positions(NESTED)] == [
        ("0", "steps[0]"),
        ("0/0", "steps[0].on_failure"),
        ("0/1", "steps[0].steps[0]"),
        ("0/2", "steps[0].steps[1]"),
        ("0/2/0", "steps[0].steps[1].steps[0]"),
        ("0/2/1", "steps[0].steps[1].steps[1]"),
        ("0/3", "steps[0].steps[2]"),
        ("0/3/0", "steps[0].steps[2].steps[0]"),
        ("1", "steps[1]"),
        ("1/0", "steps[1].on_false"),
        ("2", "steps[2]"),
        ("2/0", "steps[2].steps[0]"),
        ("2/1", "steps[2].steps[1]"),
        ("2/1/0", "steps[2].steps[1].on_failure"),
    ]


@pytest.mark.mission("E3")
def test_the_plan_has_parallel_branches_and_inline_targets_but_no_loop_bodies() -> None:
    assert paths(plan(NESTED, numbered())) == [
        ("0", "each"),
        ("0/0", "mend"),
        ("1", "judge"),
        ("1/0", "step_1_0"),
        ("2", "step_2"),
        ("2/0", "step_2_0"),
        ("2/1", "step_2_1"),
        ("2/1/0", "step_2_1_0"),
    ]


@pytest.mark.mission("E3")
def test_an_iteration_brings_the_body_and_its_paths_go_on_from_the_one_before() -> None:
    loop = UUID(int=99)
    entries = [
        iteration_plan(NESTED, "each", index, numbered(), loop_path="0", loop_step_id=loop) for index in range(2)
    ]
    assert paths(entries[0])[0] == ("0/1", "step_0_1")
    assert paths(entries[1]) == [
        ("0/4", "step_0_1"),
        ("0/5", "pair"),
        ("0/5/0", "step_0_2_0"),
        ("0/5/1", "step_0_2_1"),
        ("0/6", "inner"),
    ]
    assert [entry.step_order for entry in entries[1]] == [4, 5, 0, 1, 6]
    assert entries[1][0].parent_step_id == loop
    assert entries[1][2].parent_step_id == entries[1][1].step_id


@pytest.mark.mission("E3")
def test_a_loop_within_a_loop_iterates_below_its_own_step() -> None:
    entries = iteration_plan(NESTED, "inner", 1, numbered(), loop_path="0/6", loop_step_id=UUID(int=99))
    assert paths(entries) == [("0/6/1", "step_0_3_0")]


def test_only_a_loop_iterates() -> None:
    with pytest.raises(NotFound, match="loop 'judge'"):
        iteration_plan(NESTED, "judge", 0, numbered(), loop_path="1", loop_step_id=UUID(int=9))


@pytest.mark.mission("E5")
def test_a_plan_entry_has_the_configuration_as_written_and_one_attempt_more_than_retries() -> None:
    definition = read_definition(framed("one", CREATE_VM, vm_template={}, vm_name={})).definition
    (entry,) = plan(definition, numbered())
    assert entry.config == CREATE_VM
    assert entry.max_attempts == 4


def test_a_step_without_retries_of_its_own_takes_the_definitions() -> None:
    document = framed(
        "two",
        {"tool_name": "a"},
        {"tool_name": "b", "retry_count": 0},
        {"type": "parallel", "steps": [{"tool_name": "c"}]},
    )
    definition = read_definition({**document, "max_retries": 2}).definition
    assert [entry.max_attempts for entry in plan(definition, numbered())] == [3, 1, 1, 3]


@pytest.mark.mission("D1")
def test_a_plan_entry_names_its_agent_and_knows_its_id_where_somebody_does() -> None:
    reviewer, other = UUID(int=7), UUID(int=8)
    document = {**CODE_REVIEW, "steps": [*CODE_REVIEW["steps"][:2], {"agentId": str(other), "promptTemplate": "x"}]}
    entries = plan(read_definition(document).definition, numbered(), agents={"code-reviewer": reviewer})
    assert [(entry.agent_name, entry.agent_id) for entry in entries] == [
        ("code-reviewer", reviewer),
        ("security-analyst", None),
        (str(other), other),
    ]


@pytest.mark.mission("D4")
def test_a_plan_entry_names_the_definition_of_its_step() -> None:
    stored = {position.path: UUID(int=100 + nth) for nth, position in enumerate(positions(definition_of_vm()))}
    entries = plan(definition_of_vm(), numbered(), template_steps=stored)
    assert {entry.path: entry.template_step_id for entry in entries} == stored


def definition_of_vm() -> Definition:
    """The printed deployment of a machine."""
    return read_definition(VM_DEPLOYMENT).definition


def _steps(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("parallel"), "steps": some, "on_success": inner}),
        st.fixed_dictionaries(
            {"type": st.just("loop"), "collection": st.just([1]), "steps": some, "on_failure": inner}
        ),
        st.fixed_dictionaries(
            {"type": st.just("condition"), "condition": st.just("x"), "on_true": inner, "on_false": inner}
        ),
        st.fixed_dictionaries({"tool_name": st.just("t"), "on_success": inner}),
    )


NESTED_STEPS = st.recursive(st.just({"tool_name": "t"}), _steps, max_leaves=12)


@pytest.mark.mission("E3")
@given(st.lists(NESTED_STEPS, max_size=4))
def test_in_every_plan_each_step_has_a_place_of_its_own_below_its_parent(steps: list[Any]) -> None:
    definition = read_definition({"name": "any", "steps": steps}).definition
    planned = {entry.step_id: entry for entry in plan(definition, uuid4)}
    for position in positions(definition):
        if position.type == "loop" and not position.in_loop:
            (loop,) = (entry for entry in planned.values() if entry.path == position.path)
            for index in range(3):
                entries = iteration_plan(
                    definition, position.name, index, uuid4, loop_path=loop.path, loop_step_id=loop.step_id
                )
                planned |= {entry.step_id: entry for entry in entries}
    assert len({entry.path for entry in planned.values()}) == len(planned)
    for entry in planned.values():
        parent = planned[entry.parent_step_id].path + "/" if entry.parent_step_id else ""
        assert entry.path == f"{parent}{entry.step_order}"
