"""The ledger is opened and used by logins that are no superusers."""

import uuid
from datetime import date, timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from ledger_pipeline import Ledger, events
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.database import translated
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.hot.security.conftest import World
from ledger_pipeline_tests.hot.security.two_drives import NOW, beginning

pytestmark = pytest.mark.mission("E6")


def opened(world: World, kind: str, home: Path) -> Ledger:
    login = world.logins.make(kind)
    url = make_conninfo(world.url, user=login, password=world.logins.passwords[login])
    return Ledger.open(Settings(home=home, database_url=SecretStr(url)))


def test_the_service_writes_and_reads_every_drive(world: World, tmp_path: Path) -> None:
    with opened(world, "service", tmp_path) as ledger:
        execution = uuid.uuid4()
        ledger.append(execution, [events.WorkflowCreated(occurred_at=NOW, workflow_name="import")])
        assert len(list(ledger.events(execution))) == 1
        assert ledger.replay(world.y.execution).workflow_name == f"workflow {world.y.mark}"
        assert ledger.verify().ok


def test_an_application_writes_for_the_user_whom_it_names(world: World, tmp_path: Path) -> None:
    with opened(world, "application", tmp_path) as ledger:
        act_for(ledger.connection, world.x.users["read"])
        assert ledger.append(uuid.uuid4(), beginning(world.x, plan=())).last_sequence == 2
        with pytest.raises(PermissionDenied):
            ledger.append(world.y.execution, [events.WorkflowPaused(occurred_at=NOW)])


def test_an_application_makes_the_leaves_that_its_appends_need_and_no_others(world: World, tmp_path: Path) -> None:
    this_week, make = week_of(NOW), "SELECT make_leaf('LogRecorded', %s) AS made"
    with opened(world, "application", tmp_path) as ledger:
        for needed in range(4):
            ledger.connection.execute(make, (this_week + timedelta(weeks=needed),))
        for far in (this_week + timedelta(weeks=4), this_week - timedelta(weeks=700), date(5000, 1, 6)):
            with pytest.raises(PermissionDenied, match=f"no append of yours needs {far}"), translated():
                ledger.connection.execute(make, (far,))
        act_for(ledger.connection, world.x.users["read"])
        past, execution = NOW - timedelta(weeks=700), uuid.uuid4()
        given = [
            event.model_copy(update={"execution_id": execution, "occurred_at": past})
            for event in beginning(world.x, plan=())
        ]
        assert ledger.append_many(given, history=True) == len(given)
    with opened(world, "service", tmp_path) as ledger:
        row = ledger.connection.execute(make, (this_week - timedelta(weeks=701),)).fetchone()
        assert row == {"made": True}
