"""`events`: one execution's events."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import click

from ledger_pipeline.cli.output import cell, echo_json, echo_table
from ledger_pipeline.cli.parameters import example, json_option


@click.command(epilog=example("ledger-pipeline events 01890a5d-ac96-774b-bcce-b302099a8057"))
@click.argument("execution_id", type=click.UUID, metavar="ID")
@json_option
def events(execution_id: UUID, as_json: bool) -> None:
    """List an execution's events in order, hot and cold; with --json one object a line."""
    from ledger_pipeline.ledger import Ledger

    with Ledger.open() as ledger:
        if as_json:
            for event in ledger.events(execution_id):
                echo_json(event, indent=None)
            return
        echo_table(
            ("sequence", "occurred", "event", "step", "what"),
            (_line(event) for event in ledger.events(execution_id)),
            right=("sequence",),
        )


def _line(event: Mapping[str, Any]) -> tuple[object, ...]:
    occurred = cell(event["occurred_at"])
    return event["sequence"], occurred, event["event_type"], event["step_name"], _what(event)


def _what(event: Mapping[str, Any]) -> str:
    """The few values that tell events of a type apart."""
    names = ("model", "tool_name", "cost_usd", "decision", "error_message", "reason", "artifact_name", "message")
    shown = [cell(event[name]) for name in names if event.get(name) is not None]
    return " · ".join(text if len(text) <= 60 else f"{text[:59]}…" for text in shown)
