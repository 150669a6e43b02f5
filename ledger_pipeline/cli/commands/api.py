"""`api`: the HTTP API and its tokens."""

from datetime import UTC, datetime
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_table, say
from ledger_pipeline.cli.parameters import AwareTime, example, json_option


@click.group(epilog=example("ledger-pipeline api token add --name laptop --service", "ledger-pipeline api serve"))
def api() -> None:
    """Serve the store's answers over HTTP, to whoever holds a token (docs/api.md)."""


@api.command(epilog=example("ledger-pipeline api serve --port 8001"))
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def serve(host: str, port: int) -> None:
    """Run the API until Ctrl-C."""
    import logging

    from ledger_pipeline.api.app import make_app
    from ledger_pipeline.api.listening import is_loopback, listening, server
    from ledger_pipeline.api.tokens import TokenFile
    from ledger_pipeline.errors import InvalidInput, SchemaMismatch
    from ledger_pipeline.hot.revision import check
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.settings import Settings

    settings = Settings.read()
    tokens = TokenFile(settings.api_tokens)
    if not any(token.holds_at(datetime.now(UTC)) for token in tokens.tokens()):
        raise InvalidInput(
            f"{settings.api_tokens} holds no token that counts, so nobody could ask: make one with "
            "`ledger-pipeline api token add --name NAME --service` or `--user ID`"
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("ledger_pipeline.api").setLevel(logging.INFO)
    # A configured server may be behind: the API migrates it when it is asked to.
    with (
        listening(host, port) as listener,
        Ledger.open(settings, bring_up_to_date=settings.database_url is None) as ledger,
    ):
        try:
            check(ledger.url)
        except SchemaMismatch as error:
            say(f"warning: {error}, or GET /api/setup/workflow-tables")
        if not is_loopback(listener):
            say("warning: tokens and answers travel unencrypted: let a proxy with TLS stand before this address")
        app = make_app(ledger, tokens, lambda: datetime.now(UTC))
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"API: http://{shown}:{port}/api (Ctrl-C ends it)")
        server(app).run(sockets=[listener])


@api.group(epilog=example("ledger-pipeline api token list"))
def token() -> None:
    """Tokens, which let a program or a person ask."""


@token.command(epilog=example("ledger-pipeline api token add --name laptop --service --expires 2027-01-01T00:00:00Z"))
@click.option("--name", required=True, help="What it is called, in lists and in the log.")
@click.option("--user", type=click.UUID, metavar="ID", help="It reads what this user may read.")
@click.option("--service", is_flag=True, help="It reads every drive, cleans up and migrates.")
@click.option("--expires", type=AwareTime(), metavar="T", help="When it stops to count; left out: never.")
def add(name: str, user: UUID | None, service: bool, expires: datetime | None) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    from ledger_pipeline.api.tokens import TokenFile
    from ledger_pipeline.settings import Settings

    if service == (user is not None):
        raise click.UsageError("give either --user ID or --service: whom the token is for")
    made = TokenFile(Settings.read().api_tokens).add(name, user, datetime.now(UTC), expires)
    say(f"token {name}, for {user or 'the service'}; it is shown this once:")
    click.echo(made)


@token.command("list", epilog=example("ledger-pipeline api token list --json"))
@json_option
def list_tokens(as_json: bool) -> None:
    """List the tokens, of which nobody knows more than their names and whom they are for."""
    from ledger_pipeline.api.tokens import TokenFile
    from ledger_pipeline.settings import Settings

    columns = ("name", "acts_for", "created_at", "expires_at")
    rows = [[getattr(token, column) for column in columns] for token in TokenFile(Settings.read().api_tokens).tokens()]
    if as_json:
        echo_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        echo_table(columns, rows)


@token.command(epilog=example("ledger-pipeline api token remove laptop"))
@click.argument("name")
def remove(name: str) -> None:
    """Take a token away; from then on it is refused."""
    from ledger_pipeline.api.tokens import TokenFile
    from ledger_pipeline.settings import Settings

    TokenFile(Settings.read().api_tokens).remove(name)
    click.echo(f"token {name} is removed")
