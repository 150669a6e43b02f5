"""`prices set`, `withdraw`, `sync`, `reviews`, `accept`: what changes the price book."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from ledger_pipeline.cli.output import echo_json, echo_table
from ledger_pipeline.cli.parameters import AwareTime, example, json_option, now_option, operator_option

if TYPE_CHECKING:
    from ledger_pipeline.pricing.by_hand import SetPrice


class KindRate(click.ParamType["tuple[str, Decimal | None]"]):
    """`input=3`: a usage kind and its USD per million; `none` for no price of one's own from then on."""

    name = "kind=usd"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Decimal | None]:
        """The kind and its rate."""
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType]
        kind, equals, rate = value.partition("=")
        if not equals:
            self.fail(f"{value!r} names no rate: write it as input=3.75, or input=none", param, ctx)
        if rate == "none":
            return kind, None
        try:
            return kind, Decimal(rate)
        except InvalidOperation:
            self.fail(f"{rate!r} is no number of USD per million: write it as input=3.75, or input=none", param, ctx)


def _decided(function: Callable[..., Any]) -> Callable[..., Any]:
    """Who decides and why; both go into `admin_log`."""
    return click.option("--reason", required=True, metavar="WHY", help="Why; kept with the price.")(
        operator_option(function)
    )


def _variant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which requests of a model the price is for."""
    for option in reversed(
        (
            click.option("--provider", metavar="P", help="Provider; needed for a model that the book doesn't know."),
            click.option("--model", required=True, metavar="M", help="Model, named as calls name it."),
            click.option("--exact-name", is_flag=True, help="This name alone, also where it is another model's alias."),
            click.option("--service-tier", default="standard", show_default=True, metavar="T", help="Service tier."),
            click.option("--region", default="any", show_default=True, metavar="R", help="Region."),
            click.option(
                "--context-tier",
                type=click.IntRange(0, 10**12),
                default=0,
                metavar="N",
                help="Only requests of more than N input tokens, cached ones included.",
            ),
            click.option("--daily-window", default="any", metavar="W", help="Part of the day in UTC: HH:MM-HH:MM."),
            click.option(
                "--valid-from",
                type=AwareTime(),
                metavar="T",
                help="Start of the price; 1970-01-01T00:00:00Z: from the model's beginning.  [default: now]",
            ),
        )
    ):
        function = option(function)
    return function


@click.command(
    "set",
    epilog=example(
        "ledger-pipeline prices set --model gpt-4o --rate input=2 --rate output=8 --reason 'our contract'",
        "ledger-pipeline prices set --provider acme --model in-house-1 --rate input=0.8 --rate output=2.4 "
        "--valid-from 2026-01-01T00:00:00Z --reason 'cost of our GPUs'",
    ),
)
@_variant
@click.option("--rate", "rates", type=KindRate(), multiple=True, required=True, help="USD per million; repeatable.")
@_decided
@json_option
def set_(
    rates: tuple[tuple[str, Decimal | None], ...],
    valid_from: datetime | None,
    reason: str,
    operator: str,
    as_json: bool,
    **variant: Any,
) -> None:
    """Set prices by hand: they win over every catalogue, from --valid-from on, and are known from now on.

    Set again for the same start, they are corrected; `kind=none` gives the kind back to the catalogues.
    """
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing.by_hand import Variant, set_prices

    now = datetime.now(UTC)
    with Ledger.open() as ledger:
        booked = set_prices(
            ledger.connection,
            Variant(**variant),
            _distinct(rates),
            valid_from=valid_from or now,
            reason=reason,
            operator=operator,
            now=now,
        )
    _tell(booked, as_json)


def _distinct(rates: tuple[tuple[str, Decimal | None], ...]) -> dict[str, Decimal | None]:
    if len(dict(rates)) < len(rates):
        raise click.BadParameter("names a usage kind twice", param_hint="--rate")
    return dict(rates)


@click.command(
    epilog=example(
        "ledger-pipeline prices withdraw --model gpt-4o --valid-from 2026-01-01T00:00:00Z --reason 'a typing error'"
    )
)
@_variant
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only this usage kind; repeatable.")
@_decided
@json_option
def withdraw(
    kinds: tuple[str, ...], valid_from: datetime | None, reason: str, operator: str, as_json: bool, **variant: Any
) -> None:
    """Take prices back that were set by hand for --valid-from: they were never so, but what was known stays known."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing.by_hand import Variant, withdraw_prices

    if valid_from is None:
        raise click.MissingParameter(param_hint="--valid-from", param_type="option")
    with Ledger.open() as ledger:
        booked = withdraw_prices(
            ledger.connection,
            Variant(**variant),
            kinds,
            valid_from=valid_from,
            reason=reason,
            operator=operator,
            now=datetime.now(UTC),
        )
    _tell(booked, as_json)


def _tell(booked: "list[SetPrice]", as_json: bool) -> None:
    from ledger_pipeline.pricing.prices import plain

    if as_json:
        echo_json(booked)
        return
    for row in booked:
        name = f"{row.key.provider}/{row.key.model} {row.key.usage_kind}"
        if row.withdrawn:
            shown = "withdrawn"
        elif row.usd_per_million is None:
            shown = "the catalogues' price"
        else:
            shown = f"{plain(row.usd_per_million)} USD per million"
        click.echo(f"{name}: {shown} from {row.valid_from:%Y-%m-%d %H:%M:%S} UTC on")


@click.command(epilog=example("ledger-pipeline prices sync"))
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
            for fault in source.faults:
                click.echo(f"  no price: {fault}")
            for held in source.held:
                click.echo(f"  held for review: {held.provider}/{held.model}: {'; '.join(held.jumps)}")
    return 1 if any(source.status == "failed" for source in result.sources) else 0


@click.command(epilog=example("ledger-pipeline prices reviews"))
@json_option
def reviews(as_json: bool) -> None:
    """List the prices that jumped more than tenfold: they are not booked until they are accepted."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing.reviews import open_reviews

    with Ledger.open() as ledger:
        waiting = open_reviews(ledger.connection)
    if as_json:
        echo_json(waiting)
        return
    rows = [(one.source, one.provider, one.model, "; ".join(one.jumps), one.seen_at) for one in waiting]
    echo_table(("source", "provider", "model", "jumps", "seen at"), rows)


@click.command(
    epilog=example(
        "ledger-pipeline prices accept --source litellm --provider openai --model gpt-4o --reason 'announced'"
    )
)
@click.option("--source", required=True, metavar="S", help="Price source, as `prices reviews` names it.")
@click.option("--provider", required=True, metavar="P", help="Provider, as `prices reviews` names it.")
@click.option("--model", required=True, metavar="M", help="Model, as `prices reviews` names it.")
@_decided
@json_option
def accept(source: str, provider: str, model: str, reason: str, operator: str, as_json: bool) -> None:
    """Book the prices of a model that were held for review."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.pricing import reviews

    with Ledger.open() as ledger:
        changes = reviews.accept(
            ledger.connection, source, provider, model, reason=reason, operator=operator, now=datetime.now(UTC)
        )
    if as_json:
        echo_json(changes)
    else:
        click.echo(f"{provider}/{model} of {source}: {len(changes):,} prices booked")
