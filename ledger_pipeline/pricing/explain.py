"""What a call would cost, and the prices of a model, explained for people and scripts."""

from typing import Any

from rich.table import Table

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import USAGE_KINDS
from ledger_pipeline.events.columns import MAX_TOKENS
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import Cost, Usage, cost
from ledger_pipeline.pricing.prices import plain


def usage_tokens(**tokens: int) -> tuple[int, ...]:
    """Token buckets by kind (`input=…, cache_read=…`) in the order of `USAGE_KINDS`.

    Raises InvalidInput for an unknown kind and for a count that no event could have.
    """
    for kind, count in tokens.items():
        if kind not in USAGE_KINDS:
            raise InvalidInput(f"usage kind {kind!r} is not known; allowed: {', '.join(USAGE_KINDS)}")
        if not 0 <= count <= MAX_TOKENS:
            raise InvalidInput(f"{kind} tokens: {count} is out of range; allowed: 0 to {MAX_TOKENS}")
    return tuple(tokens.get(kind, 0) for kind in USAGE_KINDS)


def explained(found: Cost) -> dict[str, Any]:
    """A cost as `prices cost --json` answers it; amounts are decimal strings in USD, null where there is none."""
    return {
        "status": found.status.value,
        "provider": found.provider,
        "model": found.model,
        "context_tier": found.context_tier,
        "total_cost_usd": None if found.total_usd is None else plain(found.total_usd),
        "estimated_cost_usd": None if found.estimate_usd is None else plain(found.estimate_usd),
        "unpriced_reason": None if found.reason is None else found.reason.value,
        "components": [{**component.price, "cost_usd": plain(component.cost_usd)} for component in found.components],
    }


def explain(book: PriceBook, usage: Usage) -> dict[str, Any]:
    """What a call costs as the book knows it, as `prices cost --json` answers it.

    Raises InvalidInput for a time without a zone.
    """
    if usage.time.tzinfo is None:
        raise InvalidInput(f"time {usage.time.isoformat()} has no time zone: give an offset such as +00:00")
    return explained(cost(book, usage))


def cost_table(answer: dict[str, Any]) -> Table:
    """The same answer for the terminal."""
    title = answer["model"] or "unknown model"
    if answer["context_tier"]:
        title += f", more than {answer['context_tier']:,} input tokens"
    caption = (
        f"total {answer['total_cost_usd']} USD"
        if answer["status"] == "priced"
        else f"unpriced: {answer['unpriced_reason']}; estimated at {answer['estimated_cost_usd']} USD"
    )
    table = Table(title=title, caption=caption)
    for name in ("usage", "tokens", "USD per million", "USD"):
        table.add_column(name, justify="left" if name == "usage" else "right")
    table.add_column("price")
    for part in answer["components"]:
        kind = part["usage_kind"]
        shown = f"{kind} (as {part['priced_as']})" if "priced_as" in part else kind
        table.add_row(shown, f"{part['tokens']:,}", part["usd_per_million"], part["cost_usd"], part["price_id"])
    return table
