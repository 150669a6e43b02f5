"""`replay`: the state of one execution, as of any event or instant."""

from datetime import datetime
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_renderable
from ledger_pipeline.cli.parameters import AwareTime, Place, example, json_option


@click.command(
    epilog=example(
        "ledger-pipeline replay 01890a5d-ac96-774b-bcce-b302099a8057 --as-of 12",
        "ledger-pipeline replay 01890a5d-ac96-774b-bcce-b302099a8057 --diff 5 2026-11-01T12:00:00Z",
    )
)
@click.argument("execution_id", type=click.UUID, metavar="ID")
@click.option("--as-of", type=Place(), help="After this event, or after the events that had occurred by this time.")
@click.option("--known-at", type=AwareTime(), help="As the ledger knew it then: by the time of recording.")
@click.option("--diff", "places", type=Place(), nargs=2, metavar="A B", help="What changed between two places.")
@json_option
def replay(
    execution_id: UUID,
    as_of: int | datetime | None,
    known_at: datetime | None,
    places: tuple[int | datetime, int | datetime] | None,
    as_json: bool,
) -> None:
    """Show an execution's state, replayed from its events, hot or cold."""
    from ledger_pipeline.events.state_text import state_text
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.replay.difference import difference
    from ledger_pipeline.replay.render import render_difference, render_state

    if places and as_of is not None:
        raise click.UsageError("--diff names both places: leave --as-of out")
    with Ledger.open() as ledger:
        if places:
            before, after = (ledger.replay(execution_id, as_of=place, known_at=known_at) for place in places)
            differences = difference(before, after)
            if as_json:
                echo_json(differences)
            else:
                echo_renderable(render_difference(differences))
            return
        state = ledger.replay(execution_id, as_of=as_of, known_at=known_at)
    if as_json:
        click.echo(state_text(state).encode())
    else:
        echo_renderable(render_state(state))
