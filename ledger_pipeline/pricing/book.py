"""The price book in memory: every price as known at one instant, and the rate card of a call.

The answer at (T, K): of each `valid_from` the latest row known at K, withdrawn ones left out, then the greatest
`valid_from` at or before T. Among sources an admin's price wins, key by key; otherwise the best-ranked source that
lists a model prices all of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, LiteralString, cast
from uuid import NAMESPACE_OID, uuid5

from psycopg import Connection

from ledger_pipeline.pricing.names import ModelNames, ResolvedModel, UnpricedReason
from ledger_pipeline.pricing.prices import ADMIN, ANY, EARLIEST, STANDARD, BookedPrice, PriceKey
from ledger_pipeline.pricing.rates import ModelPrices, RateCard, Segment
from ledger_pipeline.pricing.sources.source import NameRule, PriceCatalogue, RuleKind

LOCK = (0x4C44, 2004)
"""Advisory lock of the price book: one writer at a time."""


class PriceBook:
    """All prices and naming rules as known at one instant; immutable, so its answers may be kept."""

    def __init__(
        self, prices: Iterable[BookedPrice], rules: Mapping[str, Sequence[NameRule]], ranks: Mapping[str, int]
    ) -> None:
        """`prices`: at most one per source, key and `valid_from`. `rules`: by source. `ranks`: 0 is the best source."""
        ranked = sorted({*rules, *ranks}, key=lambda source: (ranks.get(source, len(ranks)), source))
        places = {source: place for place, source in enumerate(ranked)}

        def place_of(source: str) -> tuple[int, str]:
            return places.get(source, len(places)), source

        by_model: dict[tuple[str, str], dict[str, list[BookedPrice]]] = {}
        for price in prices:
            sources = by_model.setdefault((price.key.provider, price.key.model), {})
            sources.setdefault(price.source, []).append(price)
        self._models: dict[tuple[str, str], ModelPrices] = {}
        for model, sources in by_model.items():
            best = min(sources.keys() - {ADMIN}, key=place_of, default="")
            self._models[model] = ModelPrices(sources.get(best, ()), sources.get(ADMIN, ()))
        self._names = ModelNames(
            (rules.get(source, ()) for source in ranked),
            (model for model, sources in by_model.items() if ADMIN in sources),
        )
        self._resolved: dict[tuple[str | None, str], ResolvedModel] = {}
        self._tiers: dict[str | None, str] = {}
        self.warned: set[tuple[str | None, str]] = set()
        """Names that were already warned about: once per book, that is per run."""

    def resolve(self, provider: str | None, model: str) -> ResolvedModel:
        """The provider and model that a call's names mean, or the reason why they mean none."""
        names = (provider, model)
        resolved = self._resolved.get(names)
        if resolved is None:
            resolved = self._resolved[names] = self._names.resolve(provider, model)
        return resolved

    def service_tier(self, given: str | None) -> str:
        """The book's name of a call's service tier."""
        tier = self._tiers.get(given)
        if tier is None:
            named = (given or STANDARD).lower()
            tier = self._tiers[given] = STANDARD if self._names.is_standard_tier(named) else named
        return tier

    def card(
        self, resolved: ResolvedModel, service_tier: str, region: str | None, time: datetime, input_tokens: int
    ) -> RateCard | UnpricedReason:
        """The rates of one request at its time, or why there are none."""
        prices = self._prices(resolved, service_tier)
        if isinstance(prices, UnpricedReason):
            return prices
        return prices.card(service_tier, (region or ANY).lower(), time, input_tokens)

    def segments(
        self, resolved: ResolvedModel, service_tier: str, region: str | None
    ) -> Iterator[Segment] | UnpricedReason:
        """The rates of every request of one variant, or why there are none."""
        prices = self._prices(resolved, service_tier)
        if isinstance(prices, UnpricedReason):
            return prices
        return prices.segments(service_tier, (region or ANY).lower())

    def _prices(self, resolved: ResolvedModel, service_tier: str) -> ModelPrices | UnpricedReason:
        prices = self._models.get((resolved.price_provider, resolved.model))
        if prices is None:
            return UnpricedReason.NO_PRICE
        # Another provider's variants are its own offer; only its plain prices stand in.
        if resolved.provider != resolved.price_provider and service_tier != STANDARD:
            return UnpricedReason.NO_SERVICE_TIER
        return prices


def book_of(catalogue: PriceCatalogue) -> PriceBook:
    """A price book of one dated catalogue alone, without a database; price ids are derived from the content."""
    prices = [
        BookedPrice(
            uuid5(NAMESPACE_OID, f"{catalogue.source}/{price.key}/{price.valid_from}/{price.usd_per_million}"),
            price.key,
            price.valid_from or EARLIEST,
            price.usd_per_million,
            catalogue.source,
        )
        for price in catalogue.prices
    ]
    return PriceBook(prices, {catalogue.source: catalogue.rules}, {catalogue.source: 0})


def read_sql(name: str) -> LiteralString:
    """One statement of this package's `sql` folder."""
    text = files("ledger_pipeline.pricing").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return cast("LiteralString", text)


def load_book(conn: Connection[dict[str, Any]], known_at: datetime | None = None) -> PriceBook:
    """The price book as the ledger knew it at `known_at`; None: as it knows it now.

    Every answer comes from one snapshot when the connection is in a repeatable-read transaction.
    """
    known = {"known_at": known_at}
    prices = [
        BookedPrice(
            row["id"],
            PriceKey(**{name: row[name] for name in PriceKey._fields}),
            row["valid_from"],
            row["usd_per_million"],
            row["source"],
        )
        for row in conn.execute(read_sql("known_prices"), known)
        if not row["withdrawn"]
    ]
    rules: dict[str, list[NameRule]] = {}
    for row in conn.execute(read_sql("known_rules"), known):
        if not row["withdrawn"]:
            rule = NameRule(RuleKind(row["kind"]), row["match"], row["provider"], row["model"])
            rules.setdefault(row["source"], []).append(rule)
    ranks = {row["source"]: row["rank"] for row in conn.execute(read_sql("known_ranks"), known)}
    return PriceBook(prices, rules, ranks)
