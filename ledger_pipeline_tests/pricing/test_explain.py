"""What `prices cost` answers."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import Usage
from ledger_pipeline.pricing.explain import cost_table, explain, usage_tokens

TIME = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("model", "total"), [("claude-sonnet-4-5", "1.5525"), ("gpt-4o", "0.6975"), ("gemini-2.5-pro", "0.6525")]
)
def test_known_costs_of_a_large_request(book: PriceBook, model: str, total: str) -> None:
    answer = explain(book, Usage(None, model, TIME, usage_tokens(input=250_000, cache_read=50_000, output=1_000)))
    assert answer["total_cost_usd"] == total
    assert answer["status"] == "priced"
    assert [part["usage_kind"] for part in answer["components"]] == ["input", "cache_read", "output"]


def test_an_unpriced_call_explains_why_and_what_it_is_estimated_at(book: PriceBook) -> None:
    answer = explain(book, Usage(None, "nobody-s-model", TIME, usage_tokens(input=5)))
    assert answer["total_cost_usd"] is None
    assert answer["status"] == "unpriced"
    assert answer["unpriced_reason"] == "unknown model"
    assert answer["estimated_cost_usd"] == "0.05"


def test_the_table_shows_each_component_and_the_total(book: PriceBook) -> None:
    answer = explain(book, Usage(None, "gpt-4o", TIME, usage_tokens(input=1_000, reasoning=10)))
    console = Console(width=160, record=True, force_terminal=False)
    console.print(cost_table(answer))
    text = console.export_text()
    assert "reasoning (as output)" in text
    assert "total 0.0026 USD" in text


def test_a_usage_that_no_event_could_have_is_refused(book: PriceBook) -> None:
    with pytest.raises(InvalidInput, match="input tokens: -1 is out of range"):
        usage_tokens(input=-1)
    with pytest.raises(InvalidInput, match="'searches' is not known; allowed: input"):
        usage_tokens(searches=1)
    with pytest.raises(InvalidInput, match="no time zone"):
        explain(book, Usage(None, "gpt-4o", datetime(2026, 11, 1), usage_tokens(input=1)))
