"""Real logins of the server under test, each with the roles that it is given, dropped at the end."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ledger_pipeline.hot.database import Connection, connect

ROLES = {
    "member": ["ledger_member"],
    "reader": ["ledger_reader"],
    "application": ["ledger_application"],
    "archiver": ["ledger_archiver"],
    "service": ["ledger_service"],
    "plain": [],
}
"""What a login of each kind is a member of."""


@dataclass
class Logins:
    """Makes logins on a server; each connects by a name and a password of its own."""

    server_url: str
    passwords: dict[str, str] = field(default_factory=dict[str, str])

    def make(self, kind: str) -> str:
        """A new login that is a member of what `ROLES` says; answers its name."""
        name, password = f"test_{kind}_{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
        with psycopg.connect(self.server_url, autocommit=True) as server:
            server.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
            )
            for role in ROLES[kind]:
                server.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(name)))
        self.passwords[name] = password
        return name

    def connect(self, url: str, login: str) -> Connection:
        """An autocommitting connection of a login to a ledger."""
        return connect(make_conninfo(url, user=login, password=self.passwords[login]), autocommit=True)

    def drop_all(self) -> None:
        """Drops the logins; what a session has just left behind may hold one back for a moment."""
        with psycopg.connect(self.server_url, autocommit=True) as server:
            for name in self.passwords:
                for attempt in range(50):
                    try:
                        server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
                        break
                    except psycopg.errors.DependentObjectsStillExist:
                        if attempt == 49:
                            raise
                        time.sleep(0.1)


@contextmanager
def logins_of(server_url: str) -> Iterator[Logins]:
    """Logins that are dropped at the end."""
    made = Logins(server_url)
    try:
        yield made
    finally:
        made.drop_all()
