"""`feed`: how far consumers may read, what holds them back, and where they stand."""

import click

from ledger_pipeline.cli.output import echo_json, echo_table
from ledger_pipeline.cli.parameters import example, json_option


@click.group(epilog=example("ledger-pipeline feed status"))
def feed() -> None:
    """The feed of all events, each once to every consumer (docs/feed.md)."""


@feed.command(epilog=example("ledger-pipeline feed status --json"))
@json_option
def status(as_json: bool) -> int:
    """Show the feed's end, who holds it back and its consumers; exit 1 when it has been held back for minutes."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        found = ledger.feed_status()
    if as_json:
        echo_json(
            {
                "epoch": found.epoch,
                "horizon": found.horizon,
                "waiting": found.waiting,
                "held_seconds": found.held_seconds,
                "holders": found.holders,
                "warning": found.warning,
                "consumers": found.consumers,
            }
        )
    else:
        click.echo(f"epoch {found.epoch}, below transaction {found.horizon}; {found.waiting:,} events wait beyond it")
        for holder in found.holders:
            click.echo(f"held back by {holder}")
        if found.consumers:
            columns = ("consumer", "epoch", "transaction", "last moved", "hot events behind")
            rows = [(each.name, each.epoch, each.tx, each.updated_at, each.behind) for each in found.consumers]
            echo_table(columns, rows)
        if found.warning:
            click.echo(f"warning: {found.warning}", err=True)
    return 1 if found.warning else 0


@feed.command(epilog=example("ledger-pipeline feed forget search-index"))
@click.argument("consumer")
def forget(consumer: str) -> None:
    """Forget where a consumer stands: it begins with the first event again, or never comes back."""
    from ledger_pipeline.cold.consumer import forget
    from ledger_pipeline.errors import NotFound
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        if not forget(ledger.connection, consumer):
            raise NotFound(f"consumer {consumer!r} is not known: `ledger-pipeline feed status` lists those there are")
    click.echo(f"{consumer} begins anew")
