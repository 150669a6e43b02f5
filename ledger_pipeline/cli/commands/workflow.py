"""`workflow`: starts executions of stored workflows, says what comes next in one, and stops or resumes it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from ledger_pipeline.cli.output import echo_json, echo_table, say
from ledger_pipeline.cli.parameters import JsonObject, example, json_option

_id = click.argument("execution_id", type=click.UUID, metavar="ID")
_reason = click.option("--reason", metavar="TEXT")
_by = click.option("--by", metavar="NAME", help="Who does it, for the ledger.")
_EXAMPLE = "01890a5d-ac96-774b-bcce-b302099a8057"


@click.group(epilog=example("""ledger-pipeline workflow start vm_deployment --input '{"vm_name": "web-1"}'"""))
def workflow() -> None:
    """Start a stored workflow, see what comes next in an execution, pause, resume or end it (docs/executions.md)."""


def _commands(ledger: Any, by: str | None) -> Any:
    return ledger.workflows if by is None else ledger.workflows.acting_as(by)


def _show_started(started: Any, as_json: bool) -> None:
    if as_json:
        echo_json(started)
        return
    for warning in started.warnings:
        say(f"warning: {warning}")
    click.echo(started.execution_id)


@workflow.command(epilog=example("""ledger-pipeline workflow start vm_deployment --input '{"vm_name": "web-1"}'"""))
@click.argument("template", metavar="NAME|ID")
@click.option("--input", "given", type=JsonObject(), metavar="JSON", help="Its parameters, a JSON object.")
@click.option("--drive", "drive_id", type=click.UUID, metavar="ID", help="In this drive.")
@click.option("--user", "user_id", type=click.UUID, metavar="ID", help="On whose behalf.")
@click.option("--mode", metavar="TEXT", help="Kind of work.")
@_by
@json_option
def start(template: str, given: dict[str, Any] | None, by: str | None, as_json: bool, **said: Any) -> None:
    """Create an execution of a stored workflow and set it going; prints its id."""
    from ledger_pipeline.ledger import Ledger

    fields = {name: value for name, value in said.items() if value is not None}
    with Ledger.open() as ledger:
        _show_started(_commands(ledger, by).start(template, input=given, **fields), as_json)


@workflow.command(epilog=example(f"ledger-pipeline workflow status {_EXAMPLE}"))
@_id
@json_option
def status(execution_id: UUID, as_json: bool) -> None:
    """Show where an execution is: its status, the steps that are ready and the calls that run."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        found = ledger.workflows.next_steps(execution_id)
    if as_json:
        echo_json(found)
        return
    waits = f", waits for {found.waits_for}" if found.waits_for else ""
    approvals = f", {found.approvals_pending} approvals pending" if found.approvals_pending else ""
    click.echo(f"{found.status}{waits}{approvals}{', may be completed' if found.may_complete else ''}")
    rows = [("ready", step.step_name, step.step_type, step.path, "") for step in found.ready]
    rows += [("running", call.step_name, call.step_type, "", call.call_id) for call in found.running]
    if rows:
        echo_table(("", "step", "type", "path", "call"), rows)


def _moving(name: str, what: str) -> Callable[..., Any]:
    @workflow.command(name, help=what, epilog=example(f"ledger-pipeline workflow {name} {_EXAMPLE} --reason weekend"))
    @_id
    @_reason
    @_by
    @json_option
    def command(execution_id: UUID, reason: str | None, by: str | None, as_json: bool) -> None:
        from ledger_pipeline.ledger import Ledger

        with Ledger.open() as ledger:
            recorded = getattr(_commands(ledger, by), name)(execution_id, reason)
        if as_json:
            echo_json(recorded)
        else:
            click.echo(f"{execution_id} is {recorded.status}")

    return command


pause = _moving("pause", "Pause an execution: nothing new is dispatched until it is resumed.")
resume = _moving("resume", "Let an execution go on after a pause.")
cancel = _moving("cancel", "End an execution because somebody wants it.")
abort = _moving("abort", "End an execution from outside, for instance over its budget.")


@workflow.command(epilog=example(f"ledger-pipeline workflow rerun {_EXAMPLE}"))
@_id
@_by
@json_option
def rerun(execution_id: UUID, by: str | None, as_json: bool) -> None:
    """Run a failed, timed out, aborted or cancelled execution again; prints the new one's id."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        _show_started(_commands(ledger, by).rerun(execution_id), as_json)
