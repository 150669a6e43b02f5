"""Customers, users, agents and drives: made, looked up, listed and deleted.

Everything runs with the rights of the connection: a member of the application's role sees and changes what the drives
of the user allow that it acts for. Changes and deletions are recorded in `admin_log`, with the reason of `acting`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from ledger_pipeline.arguments import id_of, id_or_none, object_or_none, text_of, text_or_none
from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.events.payload import dump_payload
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.pages import check_size

MAX_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What the four kinds have in common; `table` holds its rows."""

    table: ClassVar[str]
    id: UUID
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_at: datetime
    updated_at: datetime


T = TypeVar("T", bound=_Row)


@dataclass(frozen=True, kw_only=True)
class Customer(_Row):
    """Who pays."""

    table: ClassVar[str] = "customers"
    drive_id: UUID | None
    contact: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class User(_Row):
    """On whose behalf something runs."""

    table: ClassVar[str] = "users"
    email: str | None
    database_login: str | None


@dataclass(frozen=True, kw_only=True)
class Agent(_Row):
    """Who does the work, and owns executions; what it is doing now is in the view `agent_states`."""

    table: ClassVar[str] = "agents"
    drive_id: UUID | None
    kind: str | None


@dataclass(frozen=True, kw_only=True)
class Drive(_Row):
    """The workspace that scopes templates and executions."""

    table: ClassVar[str] = "drives"
    description: str | None


def create_customer(
    connection: Connection,
    name: str,
    *,
    drive_id: UUID | None = None,
    contact: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Customer:
    """Makes a customer, seen by the members of `drive_id`."""
    return _create(connection, Customer, name, drive_id=drive_id, contact=contact, metadata=metadata)


def create_user(
    connection: Connection,
    name: str,
    *,
    email: str | None = None,
    database_login: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> User:
    """Makes a user; sessions of the PostgreSQL login `database_login` are his. The service's alone."""
    return _create(connection, User, name, email=email, database_login=database_login, metadata=metadata)


def create_agent(
    connection: Connection,
    name: str,
    *,
    drive_id: UUID | None = None,
    kind: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Agent:
    """Makes an agent, seen by the members of `drive_id`."""
    return _create(connection, Agent, name, drive_id=drive_id, kind=kind, metadata=metadata)


def create_drive(connection: Connection, name: str, *, description: str | None = None) -> Drive:
    """Makes a drive; whoever the connection acts for administers it."""
    given = (text_of("name", name), text_or_none("description", description))
    with translated():
        made = connection.execute("SELECT create_drive(%s, %s) AS id", given).fetchone()
    assert made is not None
    return get(connection, Drive, made["id"])


def get(connection: Connection, of: type[T], id: UUID | str) -> T:
    """One customer, user, agent or drive; raises NotFound for an unknown one and for one that may not be seen."""
    id = id_of("id", id)
    statement = sql.SQL("SELECT {} FROM {} WHERE id = %s").format(_columns(of), sql.Identifier(of.table))
    with translated():
        row = connection.execute(statement, (id,)).fetchone()
    if row is None:
        raise _unknown(of, id)
    return of(**row)


def list_rows(connection: Connection, of: type[T], *, after: UUID | str | None = None, limit: int = 100) -> list[T]:
    """A page of customers, users, agents or drives in order of their ids, after the id given."""
    check_size("limit", limit, MAX_PAGE)
    after = id_or_none("after", after)
    statement = sql.SQL("SELECT {} FROM {} WHERE %s::uuid IS NULL OR id > %s::uuid ORDER BY id LIMIT %s").format(
        _columns(of), sql.Identifier(of.table)
    )
    with translated():
        return [of(**row) for row in connection.execute(statement, (after, after, limit))]


def update(connection: Connection, of: type[T], id: UUID | str, **changes: Any) -> T:
    """Changes what is given of a customer, user, agent or drive, recorded in `admin_log`; None takes a value away.

    Raises NotFound for an unknown one and for one that may not be changed, InvalidInput for a field it doesn't have.
    """
    id, values = id_of("id", id), _checked(of, changes)
    if not values:
        raise InvalidInput(f"changes: there are none; allowed: {', '.join(_writable(of))}")
    statement = sql.SQL("UPDATE {} SET {} WHERE id = {} RETURNING {}").format(
        sql.Identifier(of.table),
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(v), sql.Placeholder(v)) for v in values),
        sql.Placeholder("id"),
        _columns(of),
    )
    with translated():
        row = connection.execute(statement, {**values, "id": id}).fetchone()
    if row is None:
        raise _unknown(of, id)
    return of(**row)


def delete(connection: Connection, of: type[_Row], id: UUID | str) -> None:
    """Deletes a customer, user, agent or drive with the executions that it owns, events apart. The service's alone.

    Raises DeletionRefused, and deletes nothing, while any of these executions has events in the hot store.
    """
    id = id_of("id", id)
    statement = sql.SQL("DELETE FROM {} WHERE id = %s").format(sql.Identifier(of.table))
    with translated():
        if connection.execute(statement, (id,)).rowcount == 0:
            raise _unknown(of, id)


def _create(connection: Connection, of: type[T], name: str, **given: Any) -> T:
    # Columns left out take their default: not every role may write every column.
    values = _checked(of, {"name": name} | {column: value for column, value in given.items() if value is not None})
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
        sql.Identifier(of.table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
        _columns(of),
    )
    with translated():
        row = connection.execute(statement, values).fetchone()
    assert row is not None
    return of(**row)


def _writable(of: type[_Row]) -> list[str]:
    return [column.name for column in fields(of) if column.name not in ("id", "created_at", "updated_at")]


def _checked(of: type[_Row], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values to write, by column; raises InvalidInput or InvalidIdentifier for a wrong one."""
    values: dict[str, Any] = {}
    for column, value in given.items():
        if column not in _writable(of):
            raise InvalidInput(f"{column}: no field of {of.table}; allowed: {', '.join(_writable(of))}")
        if column in ("contact", "metadata"):
            values[column] = _object(column, value)
        elif column == "drive_id":
            values[column] = id_or_none(column, value)
        else:
            values[column] = text_of(column, value) if column == "name" else text_or_none(column, value)
    return values


def _object(column: str, value: object) -> Jsonb:
    given = object_or_none(column, value) or {}
    try:
        text = dump_payload(given)
    except InvalidInput as error:
        raise InvalidInput(str(error).replace("payload", column, 1)) from None
    return Jsonb(given, dumps=lambda _: text)


def _columns(of: type[_Row]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in fields(of))


def _unknown(of: type[_Row], id: UUID | str) -> NotFound:
    return NotFound(f"{of.__name__.lower()} {id} does not exist, or you may not see it")
