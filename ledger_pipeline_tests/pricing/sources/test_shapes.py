"""What is read of each source's own shape: units, boundaries, variants, and what is no price."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.sources import litellm, models_dev, openrouter
from ledger_pipeline.pricing.sources.source import PriceCatalogue
from ledger_pipeline_tests.pricing.sources.conftest import SAMPLES

pytestmark = pytest.mark.mission("A14")

Read = Callable[[bytes, str], PriceCatalogue]
READERS: dict[str, Read] = {
    "litellm": litellm.catalogue_of,
    "models.dev": models_dev.catalogue_of,
    "openrouter": openrouter.catalogue_of,
}


def sample(source: str) -> Any:
    return json.loads((SAMPLES / f"{source}.json").read_text())


def catalogue(source: str, document: Any = None) -> PriceCatalogue:
    body = (SAMPLES / f"{source}.json").read_bytes() if document is None else json.dumps(document).encode()
    return READERS[source](body, "1")


def rates(found: PriceCatalogue, provider: str, model: str) -> dict[tuple[str, int, str], str]:
    """Kind, context tier and service tier -> USD per million."""
    return {
        (price.key.usage_kind, price.key.context_tier, price.key.service_tier): f"{price.usd_per_million:f}".rstrip(
            "0"
        ).rstrip(".")
        for price in found.prices
        if (price.key.provider, price.key.model) == (provider, model)
    }


def models(found: PriceCatalogue) -> set[str]:
    return {f"{price.key.provider}/{price.key.model}" for price in found.prices}


def test_litellm_names_tokens_tiers_and_services_in_its_fields() -> None:
    found = catalogue("litellm")
    assert rates(found, "anthropic", "claude-sonnet-4-5") == {
        ("input", 0, "standard"): "3",
        ("output", 0, "standard"): "15",
        ("cache_read", 0, "standard"): "0.3",
        ("cache_write_5m", 0, "standard"): "3.75",
        ("cache_write_1h", 0, "standard"): "6",
        ("input", 200_000, "standard"): "6",
        ("output", 200_000, "standard"): "22.5",
        ("cache_read", 200_000, "standard"): "0.6",
        ("cache_write_5m", 200_000, "standard"): "7.5",
    }
    assert rates(found, "openai", "gpt-4o")["input", 0, "batch"] == "1.25"
    assert rates(found, "openai", "gpt-4o")["output", 0, "priority"] == "17"
    assert rates(found, "google", "gemini-2.5-pro")["reasoning", 0, "standard"] == "10"


def test_litellm_s_providers_and_prefixes_become_the_book_s() -> None:
    assert models(catalogue("litellm")) == {
        "anthropic/claude-sonnet-4-5",
        "openai/gpt-4o",
        "openai/text-embedding-3-small",
        "azure/gpt-4o",
        "google/gemini-2.5-pro",
        "openrouter/deepseek/deepseek-r1:free",
    }


def test_what_is_free_by_its_name_costs_nothing_and_another_zero_is_no_price() -> None:
    found = catalogue("litellm")
    assert rates(found, "openrouter", "deepseek/deepseek-r1:free")["input", 0, "standard"] == "0"
    assert found.zero == {("google", "gemini-2.5-pro-exp-03-25")}
    assert catalogue("models.dev").zero == {("github-copilot", "gpt-4o")}


def test_models_dev_is_per_million_with_tiers_in_a_list_or_above_200_000() -> None:
    found = catalogue("models.dev")
    assert rates(found, "anthropic", "claude-sonnet-4-5")["output", 200_000, "standard"] == "22.5"
    assert rates(found, "openai", "gpt-5.5") == {
        ("input", 0, "standard"): "5",
        ("output", 0, "standard"): "30",
        ("cache_read", 0, "standard"): "0.5",
        ("input", 272_000, "standard"): "10",
        ("output", 272_000, "standard"): "45",
        ("cache_read", 272_000, "standard"): "1",
    }
    assert rates(found, "x-ai", "grok-4")["reasoning", 0, "standard"] == "15"
    assert models(found) == {"anthropic/claude-sonnet-4-5", "openai/gpt-4o", "openai/gpt-5.5", "x-ai/grok-4"}


def test_openrouter_s_strings_are_per_token_and_its_zeros_are_not_charged_apart() -> None:
    found = catalogue("openrouter")
    assert rates(found, "openrouter", "anthropic/claude-sonnet-4.5") == {
        ("input", 0, "standard"): "3",
        ("output", 0, "standard"): "15",
        ("cache_read", 0, "standard"): "0.3",
        ("cache_write_5m", 0, "standard"): "3.75",
    }
    assert rates(found, "openrouter", "perplexity/sonar")["requests", 0, "standard"] == "5000"
    assert rates(found, "openrouter", "google/gemini-2.5-flash")["input_audio", 0, "standard"] == "1"


def test_openrouter_s_varying_price_is_no_price_and_no_fault() -> None:
    found = catalogue("openrouter")
    assert "openrouter/openrouter/auto" not in models(found)
    assert found.faults == ()


@pytest.mark.parametrize("source", READERS)
def test_a_catalogue_of_today_has_no_dates_and_a_rule_for_each_model(source: str) -> None:
    found = catalogue(source)
    assert not found.dated
    assert {price.valid_from for price in found.prices} == {None}
    assert {f"{rule.provider}/{rule.model}" for rule in found.rules} == models(found)
    assert len({price.key for price in found.prices}) == len(found.prices)


def with_rate(source: str, value: Any) -> Any:
    """The sample with one input rate replaced."""
    document = sample(source)
    match source:
        case "litellm":
            document["gpt-4o"]["input_cost_per_token"] = value
        case "models.dev":
            document["openai"]["models"]["gpt-4o"]["cost"]["input"] = value
        case _:
            document["data"][0]["pricing"]["prompt"] = value
    return document


WRONG: list[tuple[str, Any, str]] = [
    *((source, -0.5, "is no price") for source in ("litellm", "models.dev")),
    *((source, float("nan"), "NaN USD per million is no price") for source in ("litellm", "models.dev")),
    *((source, float("inf"), "Infinity USD per million is no price") for source in ("litellm", "models.dev")),
    *((source, "2.5", '"2.5"; expected a number') for source in ("litellm", "models.dev")),
    *((source, True, "true; expected a number") for source in ("litellm", "models.dev")),
    *((source, [1], "; expected a number") for source in ("litellm", "models.dev")),
    *((source, 1e12, "is no price") for source in ("litellm", "models.dev")),
    ("litellm", None, "has no price of input"),
    ("models.dev", None, "has no price of input"),
    ("openrouter", "-0.5", "is no price"),
    ("openrouter", "NaN", '"NaN"; expected a decimal number in a string'),
    ("openrouter", "free", '"free"; expected a decimal number in a string'),
    ("openrouter", 0.1, "0.1; expected a decimal number in a string"),
    ("openrouter", "1e99999999999999999999", "expected a number that can be one"),
    ("openrouter", None, "has no price of input"),
]


@pytest.mark.parametrize(("source", "value", "message"), WRONG)
def test_a_rate_that_is_none_leaves_its_model_out_and_is_named(source: str, value: Any, message: str) -> None:
    name = "openrouter/anthropic/claude-sonnet-4.5" if source == "openrouter" else "openai/gpt-4o"
    found = catalogue(source, with_rate(source, value))
    (fault,) = found.faults
    assert message in fault
    assert name.rpartition("/")[2] in fault
    assert models(catalogue(source)) - models(found) == {name}


def test_a_model_listed_twice_counts_once_and_not_at_all_where_the_prices_differ() -> None:
    document = sample("openrouter")
    document["data"].append(document["data"][0])
    assert catalogue("openrouter", document).prices == catalogue("openrouter").prices
    other = json.loads(json.dumps(document["data"][0]))
    other["pricing"]["prompt"] = "0.000004"
    document["data"].append(other)
    found = catalogue("openrouter", document)
    assert found.faults == ("openrouter/anthropic/claude-sonnet-4.5: is listed twice, with different prices",)
    assert "openrouter/anthropic/claude-sonnet-4.5" not in models(found)


def test_a_name_that_an_object_has_twice_is_noticed() -> None:
    text = json.dumps(sample("litellm"))
    twice = text[:-1] + ', "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 1}}'
    found = litellm.catalogue_of(twice.encode(), "1")
    assert found.faults == (
        "gpt-4o: the entry is there twice, with different values; expected an object: has the format changed?",
    )


def renamed(source: str) -> Any:
    """The sample with the field of output rates renamed in every entry."""
    text = json.dumps(sample(source))
    for old in ("output_cost_per_token", '"output"', '"completion"'):
        text = text.replace(old, old.replace("out", "OUT").replace("comp", "COMP"))
    return json.loads(text)


@pytest.mark.parametrize("source", READERS)
@pytest.mark.parametrize(
    "change",
    [renamed, lambda _: {}, lambda _: [], lambda _: None, lambda _: {"error": {"message": "rate limited"}}],
    ids=["renamed", "empty", "list", "null", "error"],
)
def test_another_shape_is_refused_as_a_whole(source: str, change: Callable[[str], Any]) -> None:
    with pytest.raises(LedgerError, match="format changed"):
        READERS[source](json.dumps(change(source)).encode(), "1")


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html>",
        b"",
        b"\xff\xfe",
        b'{"gpt-4o": {"input_cost',
        b"[" * 100_000,
        b'{"n": 1e9999999999999999999}',
    ],
    ids=["html", "empty", "not UTF-8", "truncated", "deep", "no number"],
)
@pytest.mark.parametrize("source", READERS)
def test_what_is_no_json_is_refused_with_how_it_begins(source: str, body: bytes) -> None:
    with pytest.raises(LedgerError, match="is no JSON"):
        READERS[source](body, "1")


@pytest.mark.parametrize("name", ["", " "])
def test_an_entry_without_a_provider_s_name_is_left_out_and_named(name: str) -> None:
    stray = {"litellm_provider": name, "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
    found = catalogue("litellm", sample("litellm") | {"stray": stray})
    assert any("is no name of a model" in fault for fault in found.faults)
    assert models(found) == models(catalogue("litellm"))


def test_more_models_than_any_list_has_are_refused() -> None:
    entry = {"litellm_provider": "acme", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
    with pytest.raises(LedgerError, match="more than 20,000 models"):
        catalogue("litellm", {f"m{number}": entry for number in range(20_001)})


def test_a_rate_is_exact_to_twelve_decimals_whatever_floats_would_make_of_it() -> None:
    body = b'{"m": {"litellm_provider": "acme", "input_cost_per_token": 1.23456789e-13}}'
    (price,) = litellm.catalogue_of(body, "1").prices
    assert price.usd_per_million == Decimal("0.000000123457")


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_whatever_a_source_says_is_a_catalogue_of_prices_or_refused(source: str, data: st.DataObject) -> None:
    document = sample(source)
    place: Any = document
    while isinstance(place, (dict, list)) and place:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or data.draw(st.booleans()):
            place[key] = data.draw(json_values)
            break
        place = place[key]
    try:
        found = catalogue(source, document)
    except LedgerError:
        return
    for price in found.prices:
        assert price.usd_per_million is not None
        assert 0 <= price.usd_per_million <= 10**9
        assert price.key.model.isprintable()
