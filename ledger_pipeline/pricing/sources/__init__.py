"""The price sources that the setting may name."""

from collections.abc import Callable
from pathlib import Path

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.pricing.sources.source import PriceSource

# Imported when asked for: the catalogue's package and the HTTP client are large, and costing needs only the book.


def _genai_prices(copies: Path, url: str | None) -> PriceSource:
    from ledger_pipeline.pricing.sources.genai import GenaiPrices

    del copies
    if url:
        raise InvalidInput("LEDGER_PRICE_SOURCES: genai-prices is embedded and has no URL")
    return GenaiPrices()


def _litellm(copies: Path, url: str | None) -> PriceSource:
    from ledger_pipeline.pricing.sources import fetch, litellm

    return litellm.LiteLLM(fetch.Web(copies), url or litellm.URL)


def _models_dev(copies: Path, url: str | None) -> PriceSource:
    from ledger_pipeline.pricing.sources import fetch, models_dev

    return models_dev.ModelsDev(fetch.Web(copies), url or models_dev.URL)


def _openrouter(copies: Path, url: str | None) -> PriceSource:
    from ledger_pipeline.pricing.sources import fetch, openrouter

    return openrouter.OpenRouter(fetch.Web(copies), url or openrouter.URL)


SOURCES: dict[str, Callable[[Path, str | None], PriceSource]] = {
    "genai-prices": _genai_prices,
    "litellm": _litellm,
    "models.dev": _models_dev,
    "openrouter": _openrouter,
}
"""How to open each source, by its name: with the folder of last good copies, and a URL other than its own."""


def source_names(setting: str) -> list[str]:
    """The names in a setting of price sources, best first; raises InvalidInput for an unknown or repeated one."""
    return [name for name, _ in _entries(setting)]


def configured_sources(setting: str, copies: Path) -> list[PriceSource]:
    """The sources of a comma-separated setting, `name` or `name=URL`, best first; copies are kept in the folder.

    Raises InvalidInput for an unknown or repeated name.
    """
    return [SOURCES[name](copies, url) for name, url in _entries(setting)]


def _entries(setting: str) -> list[tuple[str, str | None]]:
    entries = [entry.strip().partition("=") for entry in setting.split(",") if entry.strip()]
    names = [name for name, _, _ in entries]
    for name in names:
        if name not in SOURCES:
            raise InvalidInput(f"LEDGER_PRICE_SOURCES: {name!r} is not known; allowed: {', '.join(SOURCES)}")
    if not names or len(set(names)) < len(names):
        raise InvalidInput("LEDGER_PRICE_SOURCES: name at least one price source, and each only once")
    return [(name, url or None) for name, _, url in entries]
