"""Model names as calls give them, resolved strictly."""

import pytest
from genai_prices.data import providers

from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.clauses import exact_names
from ledger_pipeline.pricing.names import UnpricedReason
from ledger_pipeline.pricing.sources.genai import clause_of


@pytest.mark.parametrize(
    ("provider", "name", "found"),
    [
        (None, "gpt-4o", "openai/gpt-4o"),
        (None, "GPT-4o", "openai/gpt-4o"),
        (None, "claude-3-5-sonnet-20241022", "anthropic/claude-3-5-sonnet"),
        (None, "anthropic/claude-3-7-sonnet-20250219", "anthropic/claude-3-7-sonnet-latest"),
        ("anthropic", "anthropic/claude-3-7-sonnet-20250219", "anthropic/claude-3-7-sonnet-latest"),
        (None, "openrouter/anthropic/claude-3.7-sonnet", "openrouter/anthropic/claude-3.7-sonnet"),
        ("openrouter", "anthropic/claude-3.7-sonnet", "openrouter/anthropic/claude-3.7-sonnet"),
        ("litellm", "openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
        (None, "gemini/gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro"),
        ("gcp.vertex_ai", "gemini-2.5-pro", "google/gemini-2.5-pro"),
        (None, "deepseek/deepseek-chat", "deepseek/deepseek-chat"),
        (None, "xai/grok-4", "x-ai/grok-4-0709"),
        ("bedrock", "us.anthropic.claude-opus-4-5-v1:0", "aws/regional.anthropic.claude-opus-4-5-v1:0"),
        (None, "bedrock/us.anthropic.claude-opus-4-5-v1:0", "aws/regional.anthropic.claude-opus-4-5-v1:0"),
        ("azure.ai.openai", "gpt-4o", "openai/gpt-4o"),
        (None, "gpt-5.2-20251211", "openai/gpt-5.2"),
        (None, "openrouter/deepseek/deepseek-chat-v3-0324:free", "openrouter/deepseek/deepseek-chat-v3-0324:free"),
    ],
)
def test_a_name_resolves_to_the_book_s_provider_and_model(
    book: PriceBook, provider: str | None, name: str, found: str
) -> None:
    resolved = book.resolve(provider, name)
    assert resolved.reason is None
    assert f"{resolved.price_provider}/{resolved.model}" == found


@pytest.mark.parametrize(
    ("provider", "name", "reason"),
    [
        (None, "gemini/gemini-2.5-pro-exp-03-25", UnpricedReason.OTHER_PRODUCT),
        (None, "gemini/gemini-2.0-flash-thinking-exp", UnpricedReason.OTHER_PRODUCT),
        ("google", "gemini-2.5-pro:free", UnpricedReason.OTHER_PRODUCT),
        (None, "gemini-1.5-flash-8b", UnpricedReason.OTHER_PRODUCT),
        (None, "claude-3-5-sonnet-thinking", UnpricedReason.OTHER_PRODUCT),
        (None, "claude-opus-4-10", UnpricedReason.OTHER_PRODUCT),
        (None, "claude-of-my-own", UnpricedReason.UNKNOWN_MODEL),
        (None, "some-model", UnpricedReason.UNKNOWN_MODEL),
        (None, "deepinfra/anthropic/claude-3-5-sonnet", UnpricedReason.UNKNOWN_PROVIDER),
        (None, "ollama/llama3", UnpricedReason.UNKNOWN_PROVIDER),
        ("my-openai-proxy", "gpt-4o", UnpricedReason.UNKNOWN_PROVIDER),
        ("openai", "claude-3-5-sonnet-20241022", UnpricedReason.UNKNOWN_MODEL),
        (None, "openrouter/REDACTED", UnpricedReason.PLACEHOLDER),
        (None, "REDACTED", UnpricedReason.PLACEHOLDER),
    ],
)
def test_a_name_that_no_rule_accounts_for_in_full_is_not_resolved(
    book: PriceBook, provider: str | None, name: str, reason: UnpricedReason
) -> None:
    assert book.resolve(provider, name).reason is reason


def test_every_name_that_the_catalogue_spells_out_resolves_as_in_its_own_package(book: PriceBook) -> None:
    for provider in providers:
        for model in provider.models:
            for name in exact_names(clause_of(model.match)):
                expected = provider.find_model(name, all_providers=providers)
                assert expected is not None
                assert book.resolve(provider.id, name).model == expected.id, name


def test_the_provider_that_serves_a_call_is_kept_when_another_one_s_price_stands_in(book: PriceBook) -> None:
    resolved = book.resolve("azure", "claude-sonnet-4-5")
    assert (resolved.provider, resolved.price_provider) == ("azure", "anthropic")
