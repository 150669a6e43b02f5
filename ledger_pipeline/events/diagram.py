"""The state machine as a document: Mermaid diagrams and a table, drawn from `states.RULES`."""

from ledger_pipeline.events.enums import CallStatus
from ledger_pipeline.events.states import ENDED, RULES, CallMove, ExecutionState, Rule

_HEAD = """# The state machine

Drawn from `ledger_pipeline/events/states.py` by `ledger_pipeline.events.diagram`; a test fails when this file is not
current. The append function refuses what it does not allow, `fold` and the simulator follow the same rules.
"""


def _block(lines: list[str]) -> str:
    return "\n".join(["```mermaid", "stateDiagram-v2", *(f"    {line}" for line in lines), "```"])


def _ordered(states: frozenset[ExecutionState]) -> list[ExecutionState]:
    return [state for state in ExecutionState if state in states]


def _execution_lines() -> list[str]:
    lines: list[str] = []
    for event_type, rule in RULES.items():
        if rule.execution_to is not None:
            origins = [state.value for state in _ordered(rule.execution_from)] or ["[*]"]
            lines += [f"{origin} --> {rule.execution_to.value}: {event_type}" for origin in origins]
    return lines + [f"{state.value} --> [*]" for state in _ordered(ENDED)]


def _step_lines() -> list[str]:
    lines = ["[*] --> pending: planned"]
    for event_type, rule in RULES.items():
        if rule.step_to is not None:
            lines += [f"{origin} --> {rule.step_to.value}: {event_type}" for origin in sorted(rule.step_from)]
    for origin in ("running", "retrying"):
        lines.append(f"{origin} --> failed: the execution ends otherwise than completed")
    return [*lines, "pending --> skipped: the execution ends", "completed --> [*]", "skipped --> [*]"]


def _call_lines() -> list[str]:
    lines: list[str] = []
    for event_type, rule in RULES.items():
        if rule.call_to is not None:
            origin = "[*]" if rule.call is CallMove.OPENS else CallStatus.RUNNING.value
            lines.append(f"{origin} --> {rule.call_to.value}: {event_type}")
    lines.append("running --> aborted: the execution ends otherwise than completed")
    return lines + [f"{status} --> [*]" for status in ("completed", "failed", "aborted")]


def _row(event_type: str, rule: Rule) -> str:
    origins = ", ".join(state.value for state in _ordered(rule.execution_from))
    if rule.late_fact:
        origins = "any"
    step = ", ".join(sorted(rule.step_from))
    cells = (
        event_type,
        origins or "(none)",
        rule.execution_to.value if rule.execution_to else "",
        step,
        rule.step_to.value if rule.step_to else "",
        rule.call.value if rule.call else "",
        "yes" if rule.late_fact else "",
    )
    return f"| {' | '.join(cells)} |"


def state_machine_document() -> str:
    """The text of `docs/state-machine.md`."""
    table = [
        "| event | execution is | becomes | step is | becomes | call | after the end |",
        "|---|---|---|---|---|---|---|",
        *(_row(event_type, rule) for event_type, rule in RULES.items()),
    ]
    parts = [
        _HEAD,
        "## Execution\n\n`awaiting_input` is shown as `paused`.\n",
        _block(_execution_lines()) + "\n",
        "## Step\n",
        _block(_step_lines()) + "\n",
        "## Agent call\n",
        _block(_call_lines()) + "\n",
        "## Every event type\n",
        "\n".join(table) + "\n",
    ]
    return "\n".join(parts)
