"""Whose budgets one sees, and who sets them."""

import uuid

import pytest

from ledger_pipeline.budgets.budget import Budgets
from ledger_pipeline.errors import InvalidReference, NotFound, PermissionDenied
from ledger_pipeline_tests.hot.security.conftest import World

pytestmark = [pytest.mark.mission("D5"), pytest.mark.mission("E6")]


def test_administrators_set_what_members_see(world: World) -> None:
    given = {"customer_id": world.x.customer, "drive_id": world.x.drive, "period": "day", "limit_usd": 5}
    made = Budgets(world.as_["administrator"]).set(**given)
    assert Budgets(world.as_["administrator"]).set(**given | {"limit_usd": 6}).id == made.id
    for name in ("application", "mapped", "reader", "writer"):
        budgets = Budgets(world.as_[name])
        assert budgets.get(made.id).limit_usd == 6
        assert {budget.drive_id for budget in budgets.list()} == {world.x.drive}
        assert world.x.mark in {budget.last_period for budget in budgets.list()}
        with pytest.raises(PermissionDenied):
            budgets.set(**given)
        with pytest.raises((PermissionDenied, NotFound)):
            budgets.remove(made.id)
    with pytest.raises(NotFound):
        Budgets(world.as_["reader_y"]).get(made.id)
    Budgets(world.as_["administrator"]).remove(made.id)


def test_a_budget_of_the_whole_ledger_is_the_services(world: World) -> None:
    with pytest.raises(PermissionDenied):
        Budgets(world.as_["administrator"]).set(workflow_name="w", period="day", limit_usd=5)
    made = Budgets(world.as_["service"]).set(workflow_name="w", period="day", limit_usd=5)
    with pytest.raises(NotFound):
        Budgets(world.as_["administrator"]).get(made.id)


@pytest.mark.parametrize("field", ["customer_id", "agent_id"])
def test_anothers_customer_or_agent_is_as_one_that_does_not_exist(world: World, field: str) -> None:
    words: set[str] = set()
    for id in (getattr(world.y, field.removesuffix("_id")), uuid.uuid4()):
        with pytest.raises(InvalidReference) as refused:
            Budgets(world.as_["administrator"]).set(**{field: id}, drive_id=world.x.drive, period="day", limit_usd=5)
        words.add(str(refused.value).replace(str(id), "ID"))
    assert len(words) == 1
