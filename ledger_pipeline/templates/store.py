"""`Templates`: the stored workflow definitions, to save, find, list and delete."""

from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from ledger_pipeline.arguments import filters_of, id_of, id_or_none, one_of, shown, text_or_none, whole_or_none
from ledger_pipeline.errors import InvalidIdentifier, InvalidInput, NotFound
from ledger_pipeline.events.enums import ChangeType, TemplateStatus
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.pages import DEFAULT_PAGE_SIZE, Page, Request, instant
from ledger_pipeline.templates.filters import TemplateFilters
from ledger_pipeline.templates.reading import Document
from ledger_pipeline.templates.saving import save
from ledger_pipeline.templates.statements import rows
from ledger_pipeline.templates.template import Saved, Template, kept_steps, stored_definition

TemplatePage = Page[dict[str, Any]]
"""Some templates, the newest first."""
_KEY = (instant, UUID)
_FILTERS = tuple(TemplateFilters.__annotations__)


class Templates:
    """The templates that a connection may see; each method is one transaction, reading ones one statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(
        self,
        document: Document,
        *,
        drive_id: UUID | None = None,
        created_by: UUID | None = None,
        template_id: UUID | None = None,
        expected_version: int | None = None,
        change_type: ChangeType | str | None = None,
        change_summary: str | None = None,
    ) -> Saved:
        """Saves a definition as the next version of its template; see `saving.save`."""
        return save(
            self._connection,
            document,
            drive_id=id_or_none("drive_id", drive_id),
            created_by=id_or_none("created_by", created_by),
            template_id=id_or_none("template_id", template_id),
            expected_version=whole_or_none("expected_version", expected_version),
            change_type=None if change_type is None else one_of("change_type", change_type, ChangeType),
            change_summary=text_or_none("change_summary", change_summary),
        )

    def get(self, template: UUID | str, *, drive_id: UUID | None = None, version: int | str | None = None) -> Template:
        """A template by id or by name, at a version by number or tag, by default the current one.

        Without a drive, a name means the template without one, if there is such. Raises NotFound, and InvalidInput for
        a name that several drives have when none is given.
        """
        template_id = _as_id(template)
        drive_id = id_or_none("drive_id", drive_id)
        if version is not None and (isinstance(version, bool) or not isinstance(version, (int, str))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"version: is {shown(version)}; allowed: a number or a tag")
        parameters = {
            "template_id": template_id,
            "name": None if template_id else template,
            "drive_id": drive_id,
            "number": version if isinstance(version, int) else None,
            "tag": version if isinstance(version, str) else None,
        }
        with translated():
            found = rows(self._connection, "template", parameters)
        where = f" in drive {drive_id}" if drive_id else ""
        if not found:
            raise NotFound(f"template {template} does not exist{where}")
        if len(found) > 1 and found[0]["drive_id"] is not None:
            raise InvalidInput(f"template: {template!r} is the name of several; say which drive_id")
        row: dict[str, Any] = found[0]
        if row["version_number"] is None:
            raise NotFound(f"template {template} has no version {version}; its newest is {row['current_version']}")
        text, steps = row.pop("snapshot"), row.pop("steps")
        row["status"] = TemplateStatus(row["status"])
        definition = stored_definition(text)
        return Template(
            **row,
            definition=definition,
            text=text,
            step_ids=kept_steps(definition, steps),
        )

    def list(
        self,
        *,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        **filters: Unpack[TemplateFilters],
    ) -> TemplatePage:
        """Templates with their creators and steps, the newest first; filters that are left out take every one."""
        request = Request.of("templates", filters_of("templates", TemplateFilters, filters), cursor, page_size, _KEY)
        parameters: dict[str, Any] = dict.fromkeys(_FILTERS) | dict(request.filters)
        parameters["after_time"], parameters["after_id"] = request.after or (None, None)
        parameters["rows"] = page_size + 1
        with translated():
            found = rows(self._connection, "listed_templates", parameters)
        return request.page(found, lambda row: (row["created_at"], row["id"]))

    def versions(self, template_id: UUID) -> tuple[dict[str, Any], ...]:
        """A template's versions, the newest first; raises NotFound for an unknown template."""
        template_id = id_of("template_id", template_id)
        with translated():
            found = rows(self._connection, "listed_versions", {"template_id": template_id})
        if not found:
            raise NotFound(f"template {template_id} does not exist")
        return tuple(found)

    def set_status(self, template_id: UUID, status: TemplateStatus | str) -> None:
        """Moves a template through its life; raises NotFound for one that isn't there or may not be changed."""
        template_id, status = id_of("template_id", template_id), one_of("status", status, TemplateStatus)
        with translated():
            changed = self._connection.execute(
                "UPDATE workflow_templates SET status = %s WHERE id = %s", (status, template_id)
            )
        _expect_one(changed.rowcount, template_id)

    def delete(self, template_id: UUID) -> None:
        """Deletes a template with its steps, versions and executions; refused while one of those has hot events.

        Raises NotFound for one that isn't there or may not be deleted, DeletionRefused while the events are hot.
        """
        template_id = id_of("template_id", template_id)
        with translated():
            deleted = self._connection.execute("DELETE FROM workflow_templates WHERE id = %s", (template_id,))
        _expect_one(deleted.rowcount, template_id)


def _expect_one(count: int, template_id: UUID) -> None:
    if count != 1:
        raise NotFound(f"template {template_id} does not exist, or may not be changed by you")


def _as_id(template: UUID | str) -> UUID | None:
    if isinstance(template, UUID):
        return template
    if not isinstance(template, str) or not template.strip() or "\0" in template:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidIdentifier(f"template: is {shown(template)}; allowed: an id or a name")
    try:
        return UUID(template)
    except ValueError:
        return None
