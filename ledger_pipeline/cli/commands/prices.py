"""`prices`: the price book."""

from datetime import UTC, datetime

import click

from ledger_pipeline.cli.commands.price_changes import accept, reviews, set_, sync, withdraw
from ledger_pipeline.cli.commands.repricing import reprice
from ledger_pipeline.cli.output import echo_json, echo_renderable
from ledger_pipeline.cli.parameters import AwareTime, example, json_option


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


_TOKENS = click.IntRange(0, 10**12)


@prices.command(epilog=example("ledger-pipeline prices cost --model claude-sonnet-4-5 --input 12000 --output 900"))
@click.option("--model", required=True, metavar="M", help="Model as the call names it.")
@click.option("--provider", metavar="P", help="Provider as the call names it.")
@click.option("--input", "input_tokens", type=_TOKENS, required=True, metavar="N", help="Uncached input tokens.")
@click.option("--cache-read", type=_TOKENS, default=0, metavar="N", help="Input tokens read from the cache.")
@click.option("--cache-write-5m", type=_TOKENS, default=0, metavar="N", help="Input tokens written for 5 minutes.")
@click.option("--cache-write-1h", type=_TOKENS, default=0, metavar="N", help="Input tokens written for an hour.")
@click.option("--output", "output_tokens", type=_TOKENS, required=True, metavar="N", help="Output tokens.")
@click.option("--reasoning", type=_TOKENS, default=0, metavar="N", help="Reasoning tokens that --output leaves out.")
@click.option("--input-audio", type=_TOKENS, default=0, metavar="N", help="Uncached audio input tokens.")
@click.option("--cache-audio-read", type=_TOKENS, default=0, metavar="N", help="Audio tokens read from the cache.")
@click.option("--output-audio", type=_TOKENS, default=0, metavar="N", help="Audio output tokens.")
@click.option("--input-image", type=_TOKENS, default=0, metavar="N", help="Image input tokens.")
@click.option("--output-image", type=_TOKENS, default=0, metavar="N", help="Image output tokens.")
@click.option("--requests", type=_TOKENS, default=1, show_default=True, metavar="N", help="Requests, where billed so.")
@click.option("--service-tier", metavar="T", help="Service tier, such as batch.")
@click.option("--region", metavar="R", help="Region, where it has prices of its own.")
@click.option("--at", type=AwareTime(), default=lambda: datetime.now(UTC), show_default="now", help="Time of the call.")
@click.option("--known-at", type=AwareTime(), help="With the prices as the ledger knew them then.")
@json_option
def cost(
    model: str,
    provider: str | None,
    input_tokens: int,
    output_tokens: int,
    requests: int,
    service_tier: str | None,
    region: str | None,
    at: datetime,
    known_at: datetime | None,
    as_json: bool,
    **other_tokens: int,
) -> None:
    """Explain what one model call costs. Token counts are disjoint: --input counts uncached tokens only."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing.book import load_book
    from ledger_pipeline.pricing.costing import Usage
    from ledger_pipeline.pricing.explain import cost_table, explain, usage_tokens

    tokens = usage_tokens(input=input_tokens, output=output_tokens, **other_tokens)
    with Ledger.open() as ledger:
        book = load_book(ledger.connection, known_at)
    answer = explain(book, Usage(provider, model, at, tokens, requests, service_tier, region))
    if as_json:
        echo_json(answer)
    else:
        echo_renderable(cost_table(answer))


for _command in (set_, withdraw, sync, reviews, accept, reprice):
    prices.add_command(_command)
