"""Everything that a command could leave in a ledger."""

from typing import Any

from ledger_pipeline import Ledger

_TABLES = (
    *("workflow_events", "workflow_executions", "workflow_steps", "executions", "workflow_approvals"),
    *("workflow_artifacts", "execution_log", "append_keys", "usage_keys", "append_staging"),
    *("workflow_templates", "workflow_template_versions", "workflow_template_steps"),
    *("customers", "users", "agents", "drives", "drive_members", "admin_log"),
)
_STATEMENT = (
    "SELECT (SELECT sum(last_sequence) FROM execution_heads) AS heads, "
    + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in _TABLES)
).encode()


def stored(ledger: Ledger) -> dict[str, Any]:
    """How much there is of everything: rows by table, and the files of artifacts."""
    counts = ledger.connection.execute(_STATEMENT).fetchone()
    assert counts is not None
    folder = ledger.settings.home / "artifacts"
    return {**counts, "files": sorted(path.name for path in folder.rglob("*") if path.is_file())}
