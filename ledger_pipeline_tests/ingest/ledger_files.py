"""Hand-made files in the ledger's own interchange format."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

EXECUTION = UUID("6ab0c1de-0000-4000-8000-000000000001")
OTHER = UUID("6ab0c1de-0000-4000-8000-000000000002")


def event(event_type: str, execution_id: UUID | str = EXECUTION, **fields: Any) -> str:
    """One line with what is needed, and more."""
    needed = {"event_type": event_type, "execution_id": str(execution_id), "occurred_at": "2025-01-07T09:00:00Z"}
    return json.dumps(needed | fields)


def usage(execution_id: UUID | str = EXECUTION, **fields: Any) -> str:
    """A model call's line."""
    given = {"model_call_id": "call-1", "model": "gpt-4o", "input_tokens": 1200, "output_tokens": 80}
    return event("TokensUpdated", execution_id, **(given | fields))


def begun(execution_id: UUID | str = EXECUTION) -> list[str]:
    """The first two lines of an execution."""
    return [event("WorkflowCreated", execution_id, workflow_name="invoice"), event("WorkflowStarted", execution_id)]


def written(path: Path, lines: list[str]) -> Path:
    """A file of these lines."""
    path.write_text("".join(f"{text}\n" for text in lines))
    return path
