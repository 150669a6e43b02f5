"""The filters of the list of templates."""

from uuid import UUID

from pydantic import ConfigDict
from typing_extensions import TypedDict

from ledger_pipeline.arguments import Name
from ledger_pipeline.events.enums import TemplateStatus


class TemplateFilters(TypedDict, total=False):
    """Of templates; those that are left out take every one."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # pyright: ignore[reportGeneralTypeIssues]  pydantic's own place
    drive_id: UUID
    created_by: UUID
    category: Name
    status: TemplateStatus
    is_public: bool
    tag: Name
    name: Name
