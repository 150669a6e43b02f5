"""Steps of migrations: running SQL as the ledger's owner, and replacing functions by another version."""

import re
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection

MEMBERS_OWNER = "ledger_member_owner"
SQL_FOLDER = Path(__file__).parent / "migrations" / "sql"
_MADE = re.compile(r"^CREATE (?:OR REPLACE )?(FUNCTION|AGGREGATE|TYPE) (\w+)", re.MULTILINE)
_FUNCTION = re.compile(
    r"^CREATE (?:OR REPLACE )?(FUNCTION (\w+)\(.*?)\n(?:(?:--[^\n]*)?\n)*(?=CREATE |GRANT |REVOKE |\Z)",
    re.MULTILINE | re.DOTALL,
)
_DROPS = re.compile(r"^DROP .*;\n", re.MULTILINE)


def as_owner(connection: Connection, statements: Iterable[str]) -> None:
    """Runs SQL texts in the ledger's schema, as its owner."""
    connection.exec_driver_sql("SET LOCAL ROLE ledger_owner")
    connection.exec_driver_sql("SET LOCAL search_path = ledger")
    for text in statements:
        # Through the cursor: the text has percent signs and colons that are not parameters.
        connection.connection.cursor().execute(text.encode())
    connection.exec_driver_sql("RESET ROLE")
    connection.exec_driver_sql("SET LOCAL search_path = public")


def make_member_views(connection: Connection) -> None:
    """Makes schema `ledger_member` for the tables and views as they are now."""
    connection.exec_driver_sql(f"CREATE SCHEMA ledger_member AUTHORIZATION {MEMBERS_OWNER}")
    connection.exec_driver_sql(f"SET LOCAL ROLE {MEMBERS_OWNER}")
    connection.connection.cursor().execute((SQL_FOLDER / "0007_10_members.sql").read_bytes())
    connection.exec_driver_sql("RESET ROLE")


def drop_member_views(connection: Connection) -> None:
    """Drops schema `ledger_member`: a migration that changes tables does so first, and makes it anew at its end."""
    connection.exec_driver_sql("DROP SCHEMA ledger_member CASCADE")


def replaced(old: Path, *new: Path) -> str:
    """Drops the functions that one file made and makes those of others, with the rights of the roles."""
    made = reversed(_MADE.findall(old.read_text()))
    drops = [
        f"DROP AGGREGATE {name}(bytea, bytea);" if kind == "AGGREGATE" else f"DROP {kind} {name};"
        for kind, name in made
    ]
    return "\n".join(drops) + "\n\n" + _DROPS.sub("", "\n".join(path.read_text() for path in new))


def functions_of(text: str) -> dict[str, str]:
    """The functions that an SQL text makes, by name, each as a statement that replaces another of its signature."""
    return {name: f"CREATE OR REPLACE {body}\n" for body, name in _FUNCTION.findall(text)}
