"""Match clauses: what of a name they account for."""

import pytest

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.pricing.clauses import exact_names, match


@pytest.mark.parametrize(
    ("clause", "name", "span"),
    [
        ({"equals": "GPT-4o"}, "gpt-4o", (0, 6)),
        ({"equals": "gpt-4o"}, "gpt-4o-mini", None),
        ({"starts_with": "gpt-4"}, "gpt-4o", (0, 5)),
        ({"ends_with": "-mini"}, "gpt-4o-mini", (6, 11)),
        ({"contains": "4o"}, "gpt-4o-mini", (4, 6)),
        ({"regex": r"^o[134]"}, "o3-mini", (0, 2)),
        ({"or": [{"starts_with": "gpt"}, {"starts_with": "gpt-4o"}]}, "gpt-4o-mini", (0, 6)),
        ({"and": [{"starts_with": "gpt"}, {"regex": "^(?!.*audio)"}]}, "gpt-4o", (0, 3)),
        ({"and": [{"starts_with": "gpt"}, {"regex": "^(?!.*audio)"}]}, "gpt-audio", None),
    ],
)
def test_a_clause_accounts_for_the_longest_part_that_it_spells_out(
    clause: dict[str, object], name: str, span: tuple[int, int] | None
) -> None:
    assert match(clause, name) == span


def test_an_unknown_kind_of_clause_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(InvalidInput, match="allowed: equals"):
        match({"sounds_like": "gpt"}, "gpt")


def test_an_invalid_regular_expression_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not valid"):
        match({"regex": "("}, "gpt")


def test_exact_names_are_those_spelt_out_in_full() -> None:
    clause = {"or": [{"equals": "A"}, {"starts_with": "b"}, {"or": [{"equals": "c"}]}]}
    assert list(exact_names(clause)) == ["a", "c"]
