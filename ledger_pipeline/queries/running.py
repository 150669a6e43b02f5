"""What runs now, with the template that each execution follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger_pipeline.cold.reader import open_read
from ledger_pipeline.events.enums import TemplateStatus
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.pages import Page, Request
from ledger_pipeline.queries.executions import ExecutionSummary, hot_executions, key_of

_TEMPLATES = """
    SELECT id, name, title, version, status, category FROM workflow_templates WHERE id = ANY (%s::uuid[])
    """


@dataclass(frozen=True)
class TemplateSummary:
    """A template as it stands now; the execution says which version it follows."""

    id: UUID
    name: str
    title: str | None
    version: str
    status: TemplateStatus
    category: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "TemplateSummary":
        """Of a template's row."""
        values = dict(row)
        values["status"] = TemplateStatus(row["status"])
        return cls(**values)


@dataclass(frozen=True)
class RunningExecution:
    """An execution that runs, and its template; None when it has none, or one that this ledger does not hold."""

    execution: ExecutionSummary
    template: TemplateSummary | None


def running(connection: Connection, request: Request) -> Page[RunningExecution]:
    """One page of the executions that run, newest start first; none of them is pruned."""
    with open_read(connection):
        found = hot_executions(connection, request)
        ids = list({one.template_id for one in found if one.template_id})
        rows = connection.execute(_TEMPLATES, (ids,)).fetchall()
    templates = {row["id"]: TemplateSummary.from_row(row) for row in rows}
    items = [RunningExecution(one, templates.get(one.template_id) if one.template_id else None) for one in found]
    return request.page(items, lambda item: key_of(item.execution))
