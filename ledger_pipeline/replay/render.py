"""A state as a terminal shows it."""

from typing import Any

import simplejson
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ledger_pipeline.events.fold import ExecutionState
from ledger_pipeline.events.state_text import time_text
from ledger_pipeline.replay.difference import Difference

_COLOURS = {
    **dict.fromkeys(("completed", "approved"), "green"),
    **dict.fromkeys(("running", "retrying", "paused", "pending"), "yellow"),
    **dict.fromkeys(("failed", "aborted", "timeout", "cancelled", "rejected"), "red"),
}
_WIDTH = 100


def _status(value: str) -> Text:
    return Text(value, style=_COLOURS.get(value, ""))


def _json(value: Any) -> Text:
    text = simplejson.dumps(value, ensure_ascii=False, use_decimal=True)
    return Text(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…")


def _facts(state: ExecutionState) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def row(name: str, value: RenderableType | None) -> None:
        if value is not None and value != "":
            table.add_row(name, value)

    row("execution", state.id)
    row("workflow", state.workflow_name)
    row("as of", f"event {state.last_sequence}" + _at(state))
    row("status", _status(state.status))
    row("progress", f"{state.progress_percentage} % ({state.steps_done} of {state.total_steps} steps)")
    row("cost", f"${state.total_cost:f}" + (f" + ${state.estimated_cost:f} estimated" if state.estimated_cost else ""))
    row("tokens", f"{state.spent_tokens:,}")
    row("triggered by", state.triggered_by)
    row("approved by", state.approved_by)
    row("approvals", f"{state.approvals_pending} pending" if state.approvals_pending else None)
    row("log entries", str(state.log_entries) if state.log_entries else None)
    row("error", state.error_message)
    row("error details", _json(state.error_details) if state.error_details else None)
    row("context", _json(state.accumulated_context) if state.accumulated_context else None)
    row("output", _json(state.output_data) if state.output_data is not None else None)
    for problem in state.problems:
        row("problem", Text(f"event {problem.sequence}: {problem.what}", style="red"))
    return table


def _at(state: ExecutionState) -> str:
    return f", {time_text(state.events[-1].occurred_at)}" if state.events else ""


def _steps(state: ExecutionState) -> Table:
    table = Table("path", "step", "status", "attempt", "agent or tool", "tokens", "cost USD", title="Steps")
    table.title_justify = "left"
    for step in state.steps.values():
        calls = [call for call in state.calls.values() if call.step_id == step.id]
        table.add_row(
            step.path,
            step.step_name,
            _status(step.status),
            f"{step.attempt}/{step.max_attempts}",
            step.tool_name or step.agent_name or "",
            f"{sum(call.spent_tokens for call in calls):,}",
            f"{sum(call.total_cost for call in calls):f}",
        )
    return table


def render_state(state: ExecutionState) -> RenderableType:
    """The state's facts, its steps and what it produced."""
    if state.id is None:
        return Text("nothing has happened yet")
    parts: list[RenderableType] = [_facts(state)]
    if state.steps:
        parts.append(_steps(state))
    if state.artifacts:
        table = Table("type", "artifact", "URI", title="Artifacts")
        table.title_justify = "left"
        for artifact in state.artifacts.values():
            table.add_row(artifact.artifact_type, artifact.name, artifact.uri)
        parts.append(table)
    return Group(*parts)


def render_difference(differences: list[Difference]) -> RenderableType:
    """One line a value that differs."""
    if not differences:
        return Text("no difference")
    table = Table("value", "before", "after")
    for item in differences:
        table.add_row(Text(item.path), _json(item.before), _json(item.after))
    return table
