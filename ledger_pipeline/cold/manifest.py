"""The archive manifest: what was rolled, in which files, and how far a roll has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Self, TypeVar
from uuid import UUID

from ledger_pipeline.errors import ColdStoreDamaged, EventsRemoved
from ledger_pipeline.events.schema import SCHEMA_VERSION
from ledger_pipeline.hot.database import Connection


class WeekState(StrEnum):
    """The steps of a week's roll, in order; only a committed week is read from its files."""

    SEALED = "sealed"
    WRITTEN = "written"
    VERIFIED = "verified"
    COMMITTED = "committed"


@dataclass(frozen=True)
class StoredFile:
    """One file of a week: its name below the cold store's root, its hash and its size."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class ColdFile(StoredFile):
    """A file with how many events it holds, and of which executions."""

    events: int
    first_execution_id: str
    last_execution_id: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The file as its manifest row names it; raises ColdStoreDamaged for a row that isn't one of ours."""
        try:
            return cls(**value)
        except TypeError:
            raise ColdStoreDamaged(f"the manifest describes a file in a form that isn't known: {dict(value)}") from None


@dataclass(frozen=True)
class RolledWeekRow:
    """A row of the manifest; bounds are feed positions (epoch, tx), inclusive.

    `removal` says when, by whom and why the files were removed under retention; None while they are there.
    """

    week: date
    state: WeekState
    fencing_token: int
    instance_id: UUID
    events: int
    first: tuple[int, int]
    last: tuple[int, int]
    root: bytes | None
    bytes: int
    named_files: tuple[ColdFile, ...]
    removal: str | None = None

    @property
    def files(self) -> tuple[ColdFile, ...]:
        """The files to read; raises EventsRemoved for a removed week, so that nobody reads past it unawares."""
        return _unless_removed(self.week, self.removal, self.named_files)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Raises ColdStoreDamaged for files of a schema version that this code doesn't know."""
        _check_schema_version(row)
        return cls(
            week=row["week"],
            state=WeekState(row["state"]),
            fencing_token=row["fencing_token"],
            instance_id=row["instance_id"],
            events=row["events"],
            first=(row["first_epoch"], row["first_tx"]),
            last=(row["last_epoch"], row["last_tx"]),
            root=row["root"],
            bytes=row["bytes"] or 0,
            named_files=tuple(ColdFile.from_json(file) for file in row["files"] or ()),
            removal=row.get("removal"),
        )


@dataclass(frozen=True)
class WeekFiles:
    """A committed week's files, to read events from."""

    week: date
    named_files: tuple[StoredFile, ...]
    removal: str | None = None

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files; raises EventsRemoved for a removed week."""
        return _unless_removed(self.week, self.removal, self.named_files)


_Files = TypeVar("_Files", bound=tuple[StoredFile, ...])


def _unless_removed(week: date, removal: str | None, files: _Files) -> _Files:
    if removal is not None:
        # Of an execution the text names its events; of a whole week it begins with how it went.
        raise EventsRemoved(
            removal if removal.startswith("events ") else f"the events of the week {week} were {removal}"
        )
    return files


def files_by_week(
    connection: Connection, first: date | None = None, last: date | None = None, execution_id: UUID | None = None
) -> list[WeekFiles]:
    """The files of the committed weeks between two Mondays, both included, oldest first; any role may ask.

    They hold events of every drive: whoever reads them for one user leaves out what is not of the user's drives. Of one
    execution: the files that may hold events of it, none unless the session may read it; of removed weeks those that
    held events of it.
    """
    rows = connection.execute("SELECT * FROM cold_files(%s, %s, %s)", (first, last, execution_id)).fetchall()
    for row in rows:
        _check_schema_version(row)
    return [WeekFiles(row["week"], tuple(StoredFile(**file) for file in row["files"]), row["removal"]) for row in rows]


def committed_weeks(connection: Connection, first: date | None = None, last: date | None = None) -> list[RolledWeekRow]:
    """The weeks between two Mondays, both included, whose truth is their files, oldest first.

    Raises PermissionDenied for a role that reads the drives of one user: those rows are of every drive.
    """
    rows = connection.execute(
        """
        SELECT m.*, removal_text(r) AS removal FROM archive_manifest m LEFT JOIN removed_weeks r USING (week)
        WHERE state = 'committed' AND week BETWEEN coalesce(%s::date, '-infinity') AND coalesce(%s::date, 'infinity')
        ORDER BY week
        """,
        (first, last),
    ).fetchall()
    return [RolledWeekRow.from_row(row) for row in rows]


def week_row(connection: Connection, week: date) -> RolledWeekRow | None:
    """The manifest's row of one week, whatever its state."""
    row = connection.execute(
        "SELECT m.*, removal_text(r) AS removal FROM archive_manifest m LEFT JOIN removed_weeks r USING (week)"
        " WHERE week = %s",
        (week,),
    ).fetchone()
    return None if row is None else RolledWeekRow.from_row(row)


def unfinished_weeks(connection: Connection) -> list[date]:
    """Weeks whose roll was begun and not committed, oldest first."""
    rows = connection.execute("SELECT week FROM archive_manifest WHERE state <> 'committed' ORDER BY week").fetchall()
    return [row["week"] for row in rows]


def _check_schema_version(row: Mapping[str, Any]) -> None:
    if row["schema_version"] not in (None, SCHEMA_VERSION):
        raise ColdStoreDamaged(
            f"the files of week {row['week']} have schema version {row['schema_version']}; "
            f"this version of ledger-pipeline reads {SCHEMA_VERSION}: upgrade it"
        )
