"""Who may do what in which drive."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ledger_pipeline.arguments import id_of, one_of
from ledger_pipeline.errors import NotFound
from ledger_pipeline.hot.database import Connection, translated


class DriveAccess(StrEnum):
    """What a member may do in a drive; each includes the ones before it."""

    READ = "read"
    WRITE = "write"
    ADMINISTER = "administer"


@dataclass(frozen=True)
class Member:
    """One user's access to one drive."""

    drive_id: UUID
    user_id: UUID
    access: DriveAccess


def set_member(connection: Connection, drive_id: UUID | str, user_id: UUID | str, access: DriveAccess | str) -> Member:
    """Gives a user access to a drive, or another access than before; for those who administer it."""
    member = Member(id_of("drive_id", drive_id), id_of("user_id", user_id), one_of("access", access, DriveAccess))
    with translated():
        connection.execute(
            "INSERT INTO drive_members (drive_id, user_id, access) VALUES (%s, %s, %s)"
            " ON CONFLICT (drive_id, user_id) DO UPDATE SET access = excluded.access",
            (member.drive_id, member.user_id, member.access),
        )
    return member


def remove_member(connection: Connection, drive_id: UUID | str, user_id: UUID | str) -> None:
    """Takes a user's access to a drive away; raises NotFound unless he is a member whom the caller may remove."""
    drive_id, user_id = id_of("drive_id", drive_id), id_of("user_id", user_id)
    with translated():
        removed = connection.execute(
            "DELETE FROM drive_members WHERE drive_id = %s AND user_id = %s", (drive_id, user_id)
        ).rowcount
    if not removed:
        raise NotFound(f"user_id: drive {drive_id} has no member {user_id} whom you may remove")


def members(connection: Connection, drive_id: UUID | str) -> Sequence[Member]:
    """The members of a drive; none for a drive that may not be seen."""
    drive_id = id_of("drive_id", drive_id)
    with translated():
        rows = connection.execute(
            "SELECT drive_id, user_id, access::text FROM drive_members WHERE drive_id = %s ORDER BY user_id",
            (drive_id,),
        ).fetchall()
    return [Member(row["drive_id"], row["user_id"], DriveAccess(row["access"])) for row in rows]
