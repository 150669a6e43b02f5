"""`prices reprice`: what calls cost as known now, and corrections where that is applied."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ledger_pipeline.cli.output import echo_json, echo_table, say
from ledger_pipeline.cli.parameters import AwareTime, example, json_option, operator_option

if TYPE_CHECKING:
    from ledger_pipeline.replay.repricing import Repriced


@click.command(
    epilog=example(
        "ledger-pipeline prices reprice --from 2026-01-01T00:00:00Z --model gpt-4o",
        "ledger-pipeline prices reprice --from 2026-01-01T00:00:00Z --model gpt-4o --apply --reason 'our contract'",
    )
)
@click.option("--from", "start", type=AwareTime(), help="Only calls made from then on.")
@click.option("--to", "end", type=AwareTime(), help="Only calls made before then.")
@click.option("--model", "models", multiple=True, metavar="M", help="Only this model, by any of its names; repeatable.")
@click.option("--apply", is_flag=True, help="Store the differences as corrections; without it, only show them.")
@click.option("--reason", metavar="WHY", help="Why; kept with each correction. Needed with --apply.")
@operator_option
@json_option
def reprice(
    start: datetime | None,
    end: datetime | None,
    models: tuple[str, ...],
    apply: bool,
    reason: str | None,
    operator: str,
    as_json: bool,
) -> None:
    """Show, per model and month, what calls cost so far and what they cost as known now.

    Nothing recorded is changed: --apply stores the differences as an execution of its own, and the marts show what was
    recorded, the corrections and both together. A second run finds nothing more to correct.
    """
    from ledger_pipeline.ledger import Ledger

    if apply and not reason:
        raise click.MissingParameter(param_hint="--reason", param_type="option")
    with Ledger.open() as ledger:
        found = ledger.reprice(datetime.now(UTC), start, end, models, apply=apply, reason=reason, operator=operator)
    if as_json:
        echo_json(found)
    else:
        _show(found, apply)


def _show(found: "Repriced", applied: bool) -> None:
    from ledger_pipeline.pricing.prices import plain

    measures = ("calls", "before USD", "after USD", "difference USD", "corrected", "newly priced", "kept", "unpriced")
    lines = [line for line in found.lines if line.corrected or line.kept or line.unpriced]
    echo_table(
        ("month", "provider", "model", *measures),
        (
            (
                line.month,
                line.provider,
                line.model,
                f"{line.calls:,}",
                None if line.before_usd is None else plain(line.before_usd),
                None if line.after_usd is None else plain(line.after_usd),
                plain(line.difference_usd),
                *(f"{count:,}" for count in (line.corrected, line.newly_priced, line.kept, line.unpriced)),
            )
            for line in lines
        ),
        right=measures,
    )
    corrected = sum(line.corrected for line in found.lines)
    if found.execution_id:
        say(f"{corrected:,} calls corrected by execution {found.execution_id}")
    elif applied or not corrected:
        say("nothing to correct")
    else:
        say(f"{corrected:,} calls would be corrected: --apply stores that")
