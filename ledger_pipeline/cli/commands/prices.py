"""`prices`: the price book."""

from datetime import UTC, datetime

import click

from ledger_pipeline.cli.output import echo_json, echo_renderable
from ledger_pipeline.cli.parameters import AwareTime, example, json_option, now_option


@click.group(epilog=example("ledger-pipeline prices list --model claude-sonnet-4-5"))
def prices() -> None:
    """The price book: what models cost, since when, and who says so."""


@prices.command("list", epilog=example("ledger-pipeline prices list --provider anthropic --model claude-sonnet-4-5"))
@click.option("--provider", metavar="P", help="Only this provider.")
@click.option("--model", metavar="M", help="Only this model, named as calls name it.")
@click.option("--at", type=AwareTime(), help="Only the prices valid then; default: every one, with its dates.")
@click.option("--known-at", type=AwareTime(), help="As the ledger knew them then.")
@json_option
def list_prices(
    provider: str | None, model: str | None, at: datetime | None, known_at: datetime | None, as_json: bool
) -> None:
    """List the booked prices, in USD per million tokens, with the times that each is valid from and to."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing import listing

    with Ledger.open() as ledger:
        rows = listing.list_prices(ledger.connection, provider=provider, model=model, at=at, known_at=known_at)
    if as_json:
        echo_json(rows)
    else:
        echo_renderable(listing.price_table(rows))


@prices.command(epilog=example("ledger-pipeline prices sync"))
@now_option
@json_option
def sync(now: datetime, as_json: bool) -> int:
    """Read the price sources (LEDGER_PRICE_SOURCES) and book what changed; exit 1 when a source failed."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        result = ledger.sync_prices(now)
    if as_json:
        echo_json(result)
    else:
        for source in result.sources:
            counts = ", ".join(f"{source.count(change):,} {change}" for change in ("new", "changed", "withdrawn"))
            click.echo(f"{source.source} {source.version}: {source.error or f'{source.status}, {counts}'}")
    return 1 if any(source.status == "failed" for source in result.sources) else 0


_TOKENS = click.IntRange(0, 10**12)


@prices.command(epilog=example("ledger-pipeline prices cost --model claude-sonnet-4-5 --input 12000 --output 900"))
@click.option("--model", required=True, metavar="M", help="Model as the call names it.")
@click.option("--provider", metavar="P", help="Provider as the call names it.")
@click.option("--input", "input_tokens", type=_TOKENS, required=True, metavar="N", help="Uncached input tokens.")
@click.option("--cache-read", type=_TOKENS, default=0, metavar="N", help="Input tokens read from the cache.")
@click.option("--cache-write-5m", type=_TOKENS, default=0, metavar="N", help="Input tokens written for 5 minutes.")
@click.option("--cache-write-1h", type=_TOKENS, default=0, metavar="N", help="Input tokens written for an hour.")
@click.option("--output", "output_tokens", type=_TOKENS, required=True, metavar="N", help="Output tokens.")
@click.option("--service-tier", metavar="T", help="Service tier, such as batch.")
@click.option("--at", type=AwareTime(), default=lambda: datetime.now(UTC), show_default="now", help="Time of the call.")
@click.option("--known-at", type=AwareTime(), help="With the prices as the ledger knew them then.")
@json_option
def cost(
    model: str,
    provider: str | None,
    input_tokens: int,
    cache_read: int,
    cache_write_5m: int,
    cache_write_1h: int,
    output_tokens: int,
    service_tier: str | None,
    at: datetime,
    known_at: datetime | None,
    as_json: bool,
) -> None:
    """Explain what one model call costs. Token counts are disjoint: --input counts uncached tokens only."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing.book import load_book
    from ledger_pipeline.pricing.costing import Usage
    from ledger_pipeline.pricing.explain import cost_table, explain, usage_tokens

    tokens = usage_tokens(
        input=input_tokens,
        cache_read=cache_read,
        cache_write_5m=cache_write_5m,
        cache_write_1h=cache_write_1h,
        output=output_tokens,
    )
    with Ledger.open() as ledger:
        book = load_book(ledger.connection, known_at)
    answer = explain(book, Usage(provider, model, at, tokens, service_tier=service_tier))
    if as_json:
        echo_json(answer)
    else:
        echo_renderable(cost_table(answer))
