"""The price sources that the setting may name."""

from collections.abc import Callable

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.pricing.sources.source import PriceSource


def _genai_prices() -> PriceSource:
    # Imported when asked for: the catalogue's package is large, and costing needs only the book.
    from ledger_pipeline.pricing.sources.genai import GenaiPrices

    return GenaiPrices()


SOURCES: dict[str, Callable[[], PriceSource]] = {"genai-prices": _genai_prices}
"""How to open each source, by its name."""


def configured_sources(setting: str) -> list[PriceSource]:
    """The sources of a comma-separated setting, best first; raises InvalidInput for an unknown or repeated name."""
    names = [name.strip() for name in setting.split(",") if name.strip()]
    for name in names:
        if name not in SOURCES:
            raise InvalidInput(f"LEDGER_PRICE_SOURCES: {name!r} is not known; allowed: {', '.join(SOURCES)}")
    if not names or len(set(names)) < len(names):
        raise InvalidInput("LEDGER_PRICE_SOURCES: name at least one price source, and each only once")
    return [SOURCES[name]() for name in names]
