"""Two drives, and a connection of each kind of login."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline_tests.hot.security.logins import ROLES, Logins, logins_of
from ledger_pipeline_tests.hot.security.two_drives import DriveStory, tell


@dataclass
class World:
    """A ledger with two drives and one connection for each login, by name; `root` is a superuser's."""

    url: str
    logins: Logins
    root: Connection
    x: DriveStory
    y: DriveStory
    as_: dict[str, Connection]


@pytest.fixture(scope="module")
def world(server_url: str, module_ledger_url: str) -> Iterator[World]:
    """Logins `reader`, `mapped` and `member` are reading users of drive X; `application` acts for one by the setting.

    `administrator` and `writer` of X, and `reader_y` of Y, are logins of their own; `nobody` reads for no user.
    """
    with ExitStack() as resources:
        # Dropped last: a database of the module may still name them.
        logins = resources.enter_context(logins_of(server_url))
        root = resources.enter_context(connect(module_ledger_url, autocommit=True))
        names = {kind: logins.make(kind) for kind in ROLES}
        names |= {name: logins.make("application") for name in ("mapped", "writer", "administrator")}
        names |= {name: logins.make("reader") for name in ("nobody", "reader_y")}
        x = tell(
            root, "alpha-x", {"read": names["mapped"], "write": names["writer"], "administer": names["administrator"]}
        )
        y = tell(root, "omega-y", {"read": names["reader_y"]})
        # Two more users, of X.
        for kind in ("reader", "member"):
            root.execute(
                "WITH made AS (INSERT INTO users (name, database_login) VALUES ('reads alpha-x', %s) RETURNING id)"
                " INSERT INTO drive_members SELECT %s, id, 'read' FROM made",
                (names[kind], x.drive),
            )
        root.execute("ANALYZE")
        as_ = {name: resources.enter_context(logins.connect(module_ledger_url, login)) for name, login in names.items()}
        act_for(as_["application"], x.users["read"])
        yield World(module_ledger_url, logins, root, x, y, as_)


@pytest.fixture
def fresh(world: World) -> Iterator[Callable[[str], Connection]]:
    """Makes connections of a new login of a kind, closed after the test."""
    with ExitStack() as resources:
        yield lambda kind: resources.enter_context(world.logins.connect(world.url, world.logins.make(kind)))
