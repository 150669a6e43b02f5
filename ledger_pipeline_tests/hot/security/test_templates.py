"""Templates are saved, seen and deleted by whom their drive allows, through the store as through SQL."""

import uuid
from typing import Any

import pytest

from ledger_pipeline.errors import LedgerError, NotFound, PermissionDenied
from ledger_pipeline.templates.store import Templates
from ledger_pipeline_tests.hot.security.conftest import World

pytestmark = pytest.mark.mission("D5")


def definition(**fields: Any) -> dict[str, Any]:
    step = {"name": "look", "type": "action", "tool_name": "look"}
    return {"name": f"t_{uuid.uuid4().hex[:10]}", "title": "A template", "steps": [step], "is_public": True} | fields


def test_a_writer_saves_versions_that_readers_see(world: World) -> None:
    given = definition()
    store, place = Templates(world.as_["writer"]), {"drive_id": world.x.drive, "created_by": world.x.users["write"]}
    saved = store.save(given, **place)
    again = store.save(given | {"title": "Better"}, **place)
    assert (again.template_id, again.version_number) == (saved.template_id, 2)
    assert Templates(world.as_["reader"]).get(given["name"]).current_version == 2
    assert saved.template_id in {row["id"] for row in Templates(world.as_["mapped"]).list(page_size=100).items}
    for hidden in (Templates(world.as_["reader_y"]), Templates(world.as_["nobody"])):
        with pytest.raises(NotFound):
            hidden.get(saved.template_id)


@pytest.mark.parametrize("name", ["mapped", "application", "administrator"])
def test_nobody_saves_into_another_drive_or_below_write(world: World, name: str) -> None:
    drive = world.y.drive if name == "administrator" else world.x.drive
    with pytest.raises(LedgerError):
        Templates(world.as_[name]).save(definition(), drive_id=drive, created_by=world.x.users["read"])


def test_a_template_is_changed_by_its_creator_and_administrators(world: World) -> None:
    given = definition(is_public=False)
    saved = Templates(world.as_["writer"]).save(given, drive_id=world.x.drive, created_by=world.x.users["write"])
    for name in ("mapped", "application"):
        with pytest.raises(NotFound):
            Templates(world.as_[name]).get(saved.template_id)
        with pytest.raises(NotFound):
            Templates(world.as_[name]).delete(saved.template_id)
    changed = Templates(world.as_["administrator"]).save(given | {"title": "Other"}, template_id=saved.template_id)
    assert changed.version_number == 2
    Templates(world.as_["administrator"]).delete(saved.template_id)
    with pytest.raises(NotFound):
        Templates(world.as_["writer"]).get(saved.template_id)


def test_a_reader_deletes_nothing(world: World) -> None:
    assert world.x.template is not None
    with pytest.raises(PermissionDenied):
        Templates(world.as_["reader"]).delete(world.x.template)
