"""`query`: the store's answers, filtered and in pages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import click

from ledger_pipeline.cli.output import cell, echo_json, echo_table, say
from ledger_pipeline.cli.parameters import AwareTime, example, json_option

STATUSES = ("pending", "running", "paused", "completed", "failed", "cancelled", "aborted", "timeout")
_WIDEST = 60


@click.group("query", epilog=example("ledger-pipeline query executions --status failed --json"))
def query() -> None:
    """Ask for executions, audit, errors, statistics and costs, over all of history.

    Lists come in pages: pass the cursor that a page ends with on as --cursor, with the same filters.
    """


def _paged(function: Callable[..., Any]) -> Callable[..., Any]:
    cursor = click.option("--cursor", help="Where the page begins, as the page before said.")
    size = click.option("--page-size", type=int, default=50, show_default=True, help="Items of a page, 1 to 500.")
    return cursor(size(json_option(function)))


def _id(name: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(f"--{name}", type=click.UUID, metavar="ID", help=help)


def _between(first: str, last: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        since = click.option(f"--{first}", type=AwareTime(), metavar="T", help="From this time on.")
        until = click.option(f"--{last}", type=AwareTime(), metavar="T", help="Before this time.")
        return since(until(function))

    return decorated


@query.command(epilog=example("ledger-pipeline query executions --status failed --started-from 2026-11-01T00:00:00Z"))
@_id("user", "On whose behalf they run.")
@_id("drive", "Workspace.")
@_id("customer", "Who pays.")
@_id("agent", "The owning agent.")
@_id("template", "Template that they follow.")
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--mode", help="Kind of work.")
@click.option("--workflow-type", help="What the workflow is for.")
@click.option("--workflow-name")
@click.option("--triggered-by", help="Who triggered them.")
@_between("started-from", "started-to")
@_paged
def executions(as_json: bool, **asked: Any) -> None:
    """List executions: those that have not started, then by start, newest first."""
    _show(_page_of("executions", asked), as_json, _EXECUTION, right=("progress", "tokens", "cost USD"))


@query.command(epilog=example("ledger-pipeline query running --user 01941f29-7c00-7585-b970-10875c90d530"))
@_id("user", "On whose behalf they run.")
@_id("drive", "Workspace.")
@_id("agent", "The owning agent.")
@_paged
def running(as_json: bool, **asked: Any) -> None:
    """List the executions that run now with their templates, newest start first."""
    columns = {
        name: f"execution.{path}" for name, path in _EXECUTION.items() if name not in ("status", "ended", "error")
    }
    _show(_page_of("running", asked), as_json, columns | {"template": "template.name"}, right=("progress", "tokens"))


@query.command(epilog=example("ledger-pipeline query execution 01890a5d-ac96-774b-bcce-b302099a8057 --json"))
@click.argument("execution_id", type=click.UUID, metavar="ID")
@json_option
def execution(execution_id: UUID, as_json: bool) -> None:
    """Show one execution with its template, steps, calls, approvals, artifacts and log."""
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.queries.as_json import plain_answer

    with Ledger.open() as ledger:
        history = plain_answer(ledger.queries.execution(execution_id))
    if as_json:
        _echo_exact(history)
        return
    shown = {name: value for name, value in history["execution"].items() if value is not None}
    if history["template"]:
        known = history["template"]
        shown |= {
            "template": f"{known['name']} {known['version_tag']} ({len(known['steps'])} steps, {known['status']})"
        }
    echo_table(("what", "value"), [(name, _short(value)) for name, value in shown.items()])
    for part, columns in _PARTS.items():
        if history[part]:
            click.echo("")
            rows = [[_short(item[column]) for column in columns] for item in history[part]]
            echo_table(columns, rows, title=part.capitalize())


@query.command(
    epilog=example("ledger-pipeline query artifacts 01890a5d-ac96-774b-bcce-b302099a8057 --artifact-type report")
)
@click.argument("execution_id", type=click.UUID, metavar="ID")
@click.option("--artifact-type", help="report, config, log, chart, recommendation, metrics, alert or diagnostic.")
@_paged
def artifacts(execution_id: UUID, as_json: bool, **asked: Any) -> None:
    """List an execution's artifacts by type."""
    _show(_page_of("artifacts", asked, execution_id), as_json, _ARTIFACT, right=("bytes",))


@query.command(epilog=example("ledger-pipeline query audit --event-type ApprovalApplied"))
@_id("execution", "Only its events, in their sequence.")
@click.option("--event-type", help="Only events of this type.")
@_between("occurred-from", "occurred-to")
@_paged
def audit(as_json: bool, **asked: Any) -> None:
    """List events with who did them, newest week first and in it by time."""
    _show(_page_of("audit", asked), as_json, _AUDIT, right=("sequence",))


@query.command(epilog=example("ledger-pipeline query errors --occurred-from 2026-11-01T00:00:00Z"))
@_id("user", "On whose behalf it ran.")
@_between("occurred-from", "occurred-to")
@_paged
def errors(as_json: bool, **asked: Any) -> None:
    """List executions that failed, timed out or were aborted, and log entries of level error."""
    _show(_page_of("errors", asked), as_json, _ERROR)


@query.command(epilog=example("ledger-pipeline query stats 01941f29-7c00-7585-b970-10875c90d530"))
@click.argument("user_id", type=click.UUID, metavar="USER")
@json_option
def stats(user_id: UUID, as_json: bool) -> None:
    """Show what a user's executions did and spent; zeros for an unknown one."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        statistics = ledger.queries.statistics(user_id)
    if as_json:
        echo_json(statistics)
    else:
        echo_table(("what", "value"), vars(statistics).items())


@query.command("cost-by-mode", epilog=example("ledger-pipeline query cost-by-mode --month 2026-11"))
@_id("user", "On whose behalf it was spent.")
@click.option("--mode", help="Kind of work.")
@click.option("--month", help="UTC month, YYYY-MM.")
@_paged
def cost_by_mode(as_json: bool, **asked: Any) -> None:
    """List what was spent by mode, user and month, as of the last build of the marts."""
    columns = {"month": "month", "mode": "mode", "user": "user_id", "calls": "calls", "tokens": "total_tokens"}
    columns |= {"cost USD": "cost_usd", "estimated USD": "corrected_estimate_usd", "corrections USD": "corrections_usd"}
    _show(_page_of("cost_by_mode", asked), as_json, columns, right=tuple(columns)[3:])


@query.command(epilog=example("ledger-pipeline query billing --period 2026-11"))
@click.option("--period", help="UTC month that is billed, YYYY-MM.")
@_id("user", "On whose behalf it ran.")
@_id("customer", "Who pays.")
@click.option("--model")
@_paged
def billing(as_json: bool, **asked: Any) -> None:
    """List what is billed by month, customer, user and model, as of the last build of the marts."""
    columns = {"period": "period", "type": "record_type", "month": "month", "customer": "customer_id"}
    columns |= {"user": "user_id", "model": "model", "calls": "calls", "tokens": "total_tokens"}
    columns |= {"cost USD": "cost_usd", "billed": "billed_amount"}
    _show(_page_of("billing", asked), as_json, columns, right=tuple(columns)[6:])


@query.command(epilog=example("ledger-pipeline query metrics --metric-type error_rate --aggregation-period month"))
@click.option("--metric-type", help="token_usage, cost, execution_time, error_rate, …_success_rate.")
@click.option("--aggregation-period", help="hour, day, week or month.")
@_id("user", "On whose behalf it ran.")
@click.option("--dimension", help="all, model, mode or tool.")
@click.option("--model")
@click.option("--mode")
@click.option("--tool")
@_between("period-from", "period-to")
@_paged
def metrics(as_json: bool, **asked: Any) -> None:
    """List metrics by type, period and user, as of the last build of the marts."""
    columns = {"metric": "metric_type", "period": "aggregation_period", "from": "period_start", "user": "user_id"}
    columns |= {"model": "model", "mode": "mode", "tool": "tool", "value": "value", "unit": "unit"}
    _show(_page_of("metrics", asked), as_json, columns, right=("value",))


_EXECUTION = {
    "execution": "execution_id",
    "workflow": "workflow_name",
    "mode": "mode",
    "status": "status",
    "progress": "progress_percentage",
    "started": "started_at",
    "ended": "ended_at",
    "tokens": "spent_tokens",
    "cost USD": "total_cost",
    "error": "error_message",
}
_ARTIFACT = {"type": "artifact_type", "name": "name", "bytes": "size_bytes", "uri": "uri", "recorded": "recorded_at"}
_AUDIT = {
    "occurred": "occurred_at",
    "event": "event_type",
    "execution": "execution_id",
    "sequence": "sequence",
    "workflow": "workflow_name",
    "step": "step_name",
    "operator": "operator_id",
    "kind": "operator_kind",
    "details": "details",
}
_ERROR = {
    "occurred": "event.occurred_at",
    "kind": "kind",
    "execution": "event.execution_id",
    "workflow": "event.workflow_name",
    "code": "code",
    "message": "message",
}
_PARTS = {
    "steps": ("path", "step_name", "step_type", "status", "attempt", "agent_name", "tool_name", "error_message"),
    "calls": ("started_at", "step_id", "agent_name", "status", "attempt", "model", "spent_tokens", "total_cost"),
    "approvals": ("requested_at", "subject", "requested_from", "status", "decided_by", "comment"),
    "artifacts": ("artifact_type", "name", "size_bytes", "uri"),
    "log": ("timestamp", "level", "step_name", "message"),
}


def _page_of(answer: str, asked: Mapping[str, Any], *arguments: object) -> Any:
    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.queries.as_json import plain_answer

    with Ledger.open() as ledger:
        return plain_answer(getattr(ledger.queries, answer)(*arguments, **asked))


def _show(page: Mapping[str, Any], as_json: bool, columns: Mapping[str, str], right: Sequence[str] = ()) -> None:
    if as_json:
        _echo_exact(page)
        return
    echo_table(
        tuple(columns), [[_short(_at(item, path)) for path in columns.values()] for item in page["items"]], right=right
    )
    if "as_of" in page:
        say(f"as of {page['as_of']}, the last build of the marts")
    if page["next_cursor"]:
        say(f"more: --cursor {page['next_cursor']}")


def _at(item: Mapping[str, Any], path: str) -> Any:
    value: Any = item
    for name in path.split("."):
        value = None if value is None else value[name]
    return value


def _short(value: object) -> str:
    text = cell(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _echo_exact(answer: object) -> None:
    import simplejson

    click.echo(simplejson.dumps(answer, ensure_ascii=False, indent=2, use_decimal=True).encode())
