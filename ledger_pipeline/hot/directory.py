"""`People`: customers, users, agents and drives of a ledger, and the drives' members."""

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Any, Generic, TypeVar
from uuid import UUID

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.hot import members, people
from ledger_pipeline.hot.acting import acting
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.hot.members import DriveAccess, Member
from ledger_pipeline.hot.people import Agent, Customer, Drive, User

T = TypeVar("T", Agent, Customer, Drive, User)


class Rows(Generic[T]):
    """One kind of them: each method is one statement with the rights of the connection."""

    def __init__(self, connection: Connection, of: type[T], create: Callable[..., T]) -> None:
        self._connection = connection
        self._of: type[T] = of
        self._create = create

    def create(self, name: str, **fields: Any) -> T:
        """Makes one; its fields are those of `hot.people.create_…`. Raises InvalidInput for another."""
        parameters = signature(self._create).parameters.values()
        allowed = [parameter.name for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]
        for field in fields:
            if field not in allowed:
                raise InvalidInput(
                    f"{field}: none of a new {self._of.__name__.lower()}'s; allowed: {', '.join(allowed)}"
                )
        return self._create(self._connection, name, **fields)

    def get(self, id: UUID | str) -> T:
        """One by its id; raises NotFound for an unknown one and for one that may not be seen."""
        return people.get(self._connection, self._of, id)

    def list(self, *, after: UUID | str | None = None, limit: int = 100) -> list[T]:
        """A page in order of the ids, after the id given."""
        return people.list_rows(self._connection, self._of, after=after, limit=limit)

    def update(self, id: UUID | str, *, reason: str | None = None, **changes: Any) -> T:
        """Changes what is given, recorded with its reason; raises NotFound for one that may not be changed."""
        with acting(self._connection, reason=reason):
            return people.update(self._connection, self._of, id, **changes)

    def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Deletes one with the executions that it owns, recorded with its reason; events stay.

        Raises DeletionRefused, and deletes nothing, while any of these executions has events in the hot store.
        """
        with acting(self._connection, reason=reason):
            people.delete(self._connection, self._of, id)


class People:
    """Who works with the ledger, as far as the connection may see and change them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.customers = Rows(connection, Customer, people.create_customer)
        self.users = Rows(connection, User, people.create_user)
        self.agents = Rows(connection, Agent, people.create_agent)
        self.drives = Rows(connection, Drive, people.create_drive)

    def members(self, drive_id: UUID | str) -> Sequence[Member]:
        """The members of a drive; none for one that may not be seen."""
        return members.members(self._connection, drive_id)

    def set_member(self, drive_id: UUID | str, user_id: UUID | str, access: DriveAccess | str) -> Member:
        """Gives a user access to a drive, or another access than before."""
        return members.set_member(self._connection, drive_id, user_id, access)

    def remove_member(self, drive_id: UUID | str, user_id: UUID | str) -> None:
        """Takes a user's access to a drive away; raises NotFound unless he is a member who may be removed."""
        members.remove_member(self._connection, drive_id, user_id)
