"""The statement of a page of templates: only the filters that are given, so that each is found by its index."""

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg import sql

from ledger_pipeline.templates.statements import read_sql

_STATEMENT = read_sql("listed_templates")
_CONDITIONS: Mapping[str, LiteralString] = {
    "drive_id": " AND t.drive_id = %(drive_id)s",
    "created_by": " AND t.created_by = %(created_by)s",
    "category": " AND t.category = %(category)s",
    "status": " AND t.status = %(status)s::template_status",
    "is_public": " AND t.is_public = %(is_public)s",
    "tag": " AND t.tags @> ARRAY[%(tag)s::text]",
    "name": " AND t.name = %(name)s",
    "after_id": " AND (t.created_at, t.id) < (%(after_time)s, %(after_id)s)",
}


def page_statement(parameters: Mapping[str, Any]) -> sql.Composed:
    """The statement for the filters that are not None."""
    given = [sql.SQL(text) for name, text in _CONDITIONS.items() if parameters[name] is not None]
    return sql.SQL(_STATEMENT).format(conditions=sql.Composed(given))
