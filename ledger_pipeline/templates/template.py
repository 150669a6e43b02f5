"""A stored template, and what a save answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import Fault, InvalidTemplate
from ledger_pipeline.events.enums import TemplateStatus
from ledger_pipeline.events.payload import parse_payload
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.positions import positions
from ledger_pipeline.templates.spelling import normalise


@dataclass(frozen=True)
class Saved:
    """A version that was saved. `breaking` says what it breaks; `created` whether it is the template's first."""

    template_id: UUID
    name: str
    version_number: int
    version_tag: str
    status: TemplateStatus
    created: bool
    breaking: tuple[str, ...]
    warnings: tuple[Fault, ...]


@dataclass(frozen=True)
class Template:
    """A template at one of its versions. `text` is what was saved, to the letter; `step_ids` are the ids of the steps'
    definitions by path, as far as the current version still has them."""

    id: UUID
    drive_id: UUID | None
    name: str
    status: TemplateStatus
    current_version: int
    version_number: int
    version_tag: str
    is_public: bool
    created_by: UUID | None
    creator_name: str | None
    created_at: datetime
    updated_at: datetime
    definition: Definition
    text: str
    step_ids: Mapping[str, UUID]

    def check_runnable(self) -> tuple[Fault, ...]:
        """Raises InvalidTemplate unless the template may run; answers a warning when it soon may no longer."""
        if self.status in (TemplateStatus.DRAFT, TemplateStatus.ARCHIVED):
            raise InvalidTemplate(f"template {self.name}: its status is {self.status}; allowed: active, deprecated")
        deprecated = self.status is TemplateStatus.DEPRECATED
        return (Fault("template", f"{self.name} is deprecated"),) if deprecated else ()


def stored_definition(text: str) -> Definition:
    """The definition of a stored version; rules that came later are not asked of it."""
    return Definition.model_validate(normalise(parse_payload(text), [], []))


def kept_steps(definition: Definition, stored: Iterable[tuple[Any, str, str]]) -> dict[str, UUID]:
    """The ids of stored steps (id, path, name) by the paths of the definition's: of the same name, or else path."""
    known = [(UUID(str(step_id)), path, name) for step_id, path, name in stored]
    by_name = {name: step_id for step_id, _, name in known}
    ids = {p.path: by_name[p.name] for p in positions(definition) if p.name in by_name}
    left = {path: step_id for step_id, path, _ in known if step_id not in set(ids.values())}
    for position in positions(definition):
        if position.path not in ids and position.path in left:
            ids[position.path] = left[position.path]
    return ids
