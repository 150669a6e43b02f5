"""Templates are saved, seen and deleted by whom their drive allows, through the store as through SQL."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.errors import InvalidTransition, LedgerError, NotFound, PermissionDenied
from ledger_pipeline.settings import Settings
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


def linking(name: str, linked: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "steps": [{"name": "go", "type": "workflow_link", "workflow_name": linked}]} | fields


@pytest.mark.mission("E3")
def test_a_circle_through_a_private_template_is_not_told_of_and_never_runs(world: World, tmp_path: Path) -> None:
    public, private = (f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("public", "private"))
    place = {"drive_id": world.x.drive}
    Templates(world.as_["administrator"]).save(linking(private, public, is_public=False), **place)
    # To its author the private template is as one that is not there.
    closes = Templates(world.as_["writer"]).save(linking(public, private, is_public=True), **place)
    nowhere = Templates(world.as_["writer"]).save(linking(f"{public}_2", "nowhere", is_public=True), **place)
    assert [str(fault).replace(private, "nowhere") for fault in closes.warnings] == [str(f) for f in nowhere.warnings]
    for name, runs in (("writer", 0), ("administrator", 1)):
        with opened(world, name, tmp_path) as ledger:
            workflows = ledger.workflows
            execution = workflows.start(public, drive_id=world.x.drive).execution_id
            if runs:
                child = workflows.dispatch(execution).child_execution_id
                assert child is not None
                with pytest.raises(
                    InvalidTransition, match=f"^workflow_name: '{public}' runs already, in an execution"
                ):
                    workflows.dispatch(child)
                workflows.skip_step(child, "go")
                assert workflows.complete(child).status == "completed"
            else:
                with pytest.raises(NotFound) as refused:
                    workflows.dispatch(execution)
                other = workflows.start(f"{public}_2", drive_id=world.x.drive).execution_id
                with pytest.raises(NotFound) as unknown:
                    workflows.dispatch(other)
                assert str(refused.value).replace(private, "nowhere") == str(unknown.value)


def opened(world: World, name: str, home: Path) -> Ledger:
    login = world.as_[name].info.user
    url = make_conninfo(world.url, user=login, password=world.logins.passwords[login])
    return Ledger.open(Settings(home=home, database_url=SecretStr(url)))
