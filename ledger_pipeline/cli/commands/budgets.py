"""`budgets`: what workflows, agents and customers may use in a period."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_table
from ledger_pipeline.cli.parameters import example, json_option

_reason = click.option("--reason", metavar="TEXT", help="Why, for the log of changes.")


class Percents(click.ParamType["list[int]"]):
    """Whole percents, joined by commas."""

    name = "percents"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The percents; the ledger says which are allowed."""
        if isinstance(value, list):
            return value  # pyright: ignore[reportUnknownVariableType]
        try:
            return [int(percent) for percent in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is no list of whole percents, such as 80,100", param, ctx)


@click.group(epilog=example("ledger-pipeline budgets list"))
def budgets() -> None:
    """Budgets of workflows, agents and customers, by day, week, month, quarter or year (docs/budgets.md)."""


@budgets.command("set", epilog=example("ledger-pipeline budgets set --workflow deploy --period month --usd 250"))
@click.option("--workflow", "workflow_name", metavar="NAME", help="Whose budget it is: a workflow's, …")
@click.option("--agent", "agent_id", type=click.UUID, metavar="ID", help="… an agent's, …")
@click.option("--customer", "customer_id", type=click.UUID, metavar="ID", help="… or a customer's.")
@click.option("--drive", "drive_id", type=click.UUID, metavar="ID", help="Count what is of this drive alone.")
@click.option("--period", required=True, help="day, week, month, quarter or year, in UTC.")
@click.option("--usd", "limit_usd", metavar="USD", help="The limit in dollars; estimates count too.")
@click.option("--tokens", "limit_tokens", type=int, metavar="N", help="The limit in tokens.")
@click.option("--thresholds", type=Percents(), metavar="P,…", help="Percents that are told of; default: 80,100.")
@_reason
@json_option
def set_budget(as_json: bool, **given: Any) -> None:
    """Give a workflow, an agent or a customer a budget, or another one than before."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        budget = ledger.budgets.set(**given)
    if as_json:
        echo_json(budget)
    else:
        click.echo(f"{budget.id} limits {budget.scope} {budget.target} by {budget.period}")


@budgets.command("list", epilog=example("ledger-pipeline budgets list --drive 01941f29-7c00-7585-b970-10875c90d530"))
@click.option("--drive", "drive_id", type=click.UUID, metavar="ID", help="Those of this drive.")
@click.option("--after", type=click.UUID, metavar="ID", help="Those behind this one.")
@click.option("--limit", type=int, default=100, show_default=True, metavar="N", help="How many at once.")
@json_option
def list_budgets(drive_id: UUID | None, after: UUID | None, limit: int, as_json: bool) -> None:
    """List budgets in order of their ids, with what was used in the last period that was judged."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        found = ledger.budgets.list(drive_id=drive_id, after=after, limit=limit)
    if as_json:
        echo_json(found)
        return
    columns = ("id", "scope", "target", "drive_id", "period", "limit_usd", "limit_tokens", "thresholds")
    columns += ("last_period", "total_usd", "total_tokens")
    echo_table(columns, [[getattr(budget, column) for column in columns] for budget in found])


@budgets.command(epilog=example("ledger-pipeline budgets remove 01941f29-7c00-7585-b970-10875c90d530"))
@click.argument("id", type=click.UUID, metavar="ID")
@_reason
def remove(id: UUID, reason: str | None) -> None:
    """Remove a budget; the breaches that it recorded stay."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        ledger.budgets.remove(id, reason=reason)
    click.echo(f"{id} is removed")


@budgets.command(epilog=example("ledger-pipeline budgets judge"))
@json_option
def judge(as_json: bool) -> None:
    """Count what was used since the last time and record the budgets that were crossed; the sensor does so, too."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        judged = ledger.judge_budgets()
    if as_json:
        echo_json(judged)
        return
    click.echo(f"{judged.budgets} budgets judged, {len(judged.breaches)} breaches recorded")
    if judged.breaches:
        echo_table(*_table(judged.breaches))


def _table(breaches: Sequence[Any]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    columns = ("budget", "scope", "target", "period", "percent", "limit", "total", "unit", "execution", "model call")
    rows = [
        (b.budget.id, b.budget.scope, b.budget.target, b.period, b.threshold, b.limit, b.total, b.unit,
         b.usage.execution_id, b.usage.model_call_id)
        for b in breaches
    ]  # fmt: skip
    return columns, list(rows)
