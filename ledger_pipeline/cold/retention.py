"""Retention after the cold store: weeks that are old enough are removed, one explicit step, and say so ever after.

A week's manifest row stays, with count, root and hashes. Beside it stands who removed the week and why, where each
execution's events began and ended, and what its model calls cost: so chain, tree, notes and totals of the past go on.
A legal hold stops a removal. The files go after the transaction that says so; whoever comes next finishes that.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb

from ledger_pipeline.cold.feed import Position
from ledger_pipeline.cold.files import Orphan, check_file, remove_orphan, unnamed_files
from ledger_pipeline.cold.manifest import RolledWeekRow, committed_weeks
from ledger_pipeline.cold.notes import sign_tree
from ledger_pipeline.cold.sessions import (
    ROLL_LOCK,
    own_transactions,
    retry_while_locked,
    sessions_holding,
    sole,
)
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.settings import ColdStore, Settings

LOCK_WAIT_SECONDS = 300.0
COSTS_FORMAT = "ledger-removed-costs-1"

_SEGMENTS = """
    SELECT execution_id, min(sequence) AS first_sequence, max(sequence) AS last_sequence,
        hex(arg_min(leaf, sequence)) AS first_leaf, hex(arg_min(hash, sequence)) AS first_hash,
        hex(arg_max(hash, sequence)) AS last_hash
    FROM read_parquet($files, hive_partitioning = false) GROUP BY execution_id
"""
_SUBJECTS = """
    SELECT list(DISTINCT customer_id) FILTER (customer_id IS NOT NULL),
        list(DISTINCT drive_id) FILTER (drive_id IS NOT NULL)
    FROM read_parquet($files, hive_partitioning = false)
"""

Costs = Callable[[date], Sequence[Mapping[str, Any]]]
"""What a week's model calls cost, as rows in the columns of the mart `cost_daily`."""


@dataclass(frozen=True)
class Removable:
    """A week past retention: what its removal takes away, and what stands against it; nothing when it may go."""

    week: date
    events: int
    bytes: int
    obstacles: tuple[str, ...]


@dataclass(frozen=True)
class RemovedWeek:
    """A week that was removed: what went, and who did it when and why."""

    week: date
    events: int
    executions: int
    bytes: int
    removed_at: datetime
    removed_by: str
    reason: str


@dataclass(frozen=True)
class _Contents:
    """Whom a week's events are of."""

    segments: list[dict[str, Any]]
    customers: list[UUID]
    drives: list[UUID]

    @property
    def executions(self) -> list[UUID]:
        return [UUID(segment["execution_id"]) for segment in self.segments]


def removable_weeks(connection: Connection, cold_dir: ColdStore, now: datetime, days: int) -> list[Removable]:
    """The weeks in the cold store whose last instant is `days` old, oldest first, with what holds each."""
    with translated():
        found: list[Removable] = []
        for week in _past(connection, now, days):
            contents = _contents(cold_dir, week)
            found.append(
                Removable(week.week, week.events, week.bytes, _obstacles(connection, week, now, days, contents))
            )
    return found


def remove_weeks(
    connection: Connection,
    settings: Settings,
    held: Position,
    costs_of: Costs,
    now: datetime,
    days: int,
    *,
    operator: str,
    reason: str,
    progress: Callable[[date], None] | None = None,
) -> list[RemovedWeek]:
    """Removes every week past retention that nothing holds; `held` is what the published marts hold, `costs_of` theirs.

    A week whose events the marts don't hold stays. The tree is signed before, so that what goes is under a note.
    Finishes what an earlier removal left of its files. Raises ColdStoreDamaged for a week whose files are not what was
    rolled, InvalidInput without a reason or a person.
    """
    for name, value in (("operator", operator), ("reason", reason)):
        if not value.strip():
            raise InvalidInput(f"{name}: is missing; a removal names who did it and why")
    removed: list[RemovedWeek] = []
    with own_transactions(connection), translated(), _only_roll(connection):
        for week in _past(connection, now, days):
            if week.last >= (held.epoch, held.tx):
                continue
            contents = _contents(settings.cold_dir, week)
            if _obstacles(connection, week, now, days, contents):
                continue
            if not removed:
                sign_tree(connection, settings)
            row = _put_tombstone(connection, week, now, days, operator, reason, contents, costs_of(week.week))
            removed.append(
                RemovedWeek(week.week, week.events, row["executions"], week.bytes, row["removed_at"], operator, reason)
            )
            if progress:
                progress(week.week)
        if removed:
            sign_tree(connection, settings)
        _remove_files(connection, settings.cold_dir)
    return removed


def removed_weeks(connection: Connection) -> list[RemovedWeek]:
    """The weeks that were removed, oldest first."""
    with translated():
        rows = connection.execute(
            "SELECT r.week, r.events, r.executions, m.bytes, r.removed_at, r.removed_by, r.reason"
            " FROM removed_weeks r JOIN archive_manifest m USING (week) ORDER BY week"
        ).fetchall()
    return [RemovedWeek(**row) for row in rows]


def removed_costs(connection: Connection) -> list[dict[str, Any]]:
    """What the removed weeks' model calls cost, with the week; money is text."""
    rows = connection.execute("SELECT week, costs FROM removed_weeks ORDER BY week").fetchall()
    return [{"week": row["week"], **cost} for row in rows for cost in json.loads(row["costs"])["costs"]]


def files_left(connection: Connection, cold_dir: ColdStore) -> list[str]:
    """Files of removed weeks that are still there: a removal was interrupted, and the next one finishes it."""
    gone = [week for week in committed_weeks(connection) if week.removal is not None]
    return [file.name for week in gone for file in _there(cold_dir, week)]


def _past(connection: Connection, now: datetime, days: int) -> list[RolledWeekRow]:
    if days < 1:
        raise InvalidInput(f"retention days: must be 1 or more, got {days}")
    try:
        last = (now - timedelta(days=days + 7)).date()
    except OverflowError:
        raise InvalidInput(f"retention days: {days} days before {now.isoformat()} there is no calendar") from None
    return [week for week in committed_weeks(connection, None, last) if week.removal is None]


def _contents(cold_dir: ColdStore, week: RolledWeekRow) -> _Contents:
    files = {"files": [str(check_file(cold_dir, file, again=True)) for file in week.files]}
    with duckdb.connect() as database:
        cursor = database.execute(_SEGMENTS, files)
        names = [column[0] for column in cursor.description or ()]
        segments = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        (subjects,) = database.execute(_SUBJECTS, files).fetchall()
    for segment in segments:
        for name in ("first_leaf", "first_hash", "last_hash"):
            segment[name] = f"\\x{segment[name]}"
    customers, drives = ([UUID(each) for each in ids or ()] for ids in subjects)
    return _Contents(segments, customers, drives)


def _obstacles(
    connection: Connection, week: RolledWeekRow, now: datetime, days: int, contents: _Contents
) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT o AS obstacle FROM removal_obstacles(%s, %s, %s, %s, %s, %s) o",
        (week.week, days, now, contents.executions, contents.customers, contents.drives),
    ).fetchall()
    return tuple(row["obstacle"] for row in rows)


def _put_tombstone(
    connection: Connection,
    week: RolledWeekRow,
    now: datetime,
    days: int,
    operator: str,
    reason: str,
    contents: _Contents,
    costs: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    parameters = (
        *(week.week, days, now, operator, reason, json.dumps(contents.segments)),
        *(contents.customers, contents.drives, json.dumps({"format": COSTS_FORMAT, "costs": costs}, default=_plain)),
    )
    row = retry_while_locked(
        lambda: connection.execute(
            "SELECT * FROM remove_week(%s, %s, %s, %s, %s, %s::json, %s, %s, %s)", parameters
        ).fetchone(),
        LOCK_WAIT_SECONDS,
        lambda: f"the week {week.week} cannot be removed while {sessions_holding(connection, None)} reads: try again",
    )
    assert row is not None
    return row


def _plain(value: object) -> str:
    match value:
        case Decimal() | UUID():
            return str(value)
        case date():
            return value.isoformat()
        case _:
            raise TypeError(f"{type(value).__name__} is no type of a cost's column")


def _remove_files(connection: Connection, cold_dir: ColdStore) -> None:
    for week in committed_weeks(connection):
        if week.removal is not None:
            for file in _there(cold_dir, week):
                remove_orphan(cold_dir, file)


def _there(cold_dir: ColdStore, week: RolledWeekRow) -> list[Orphan]:
    names = {file.name for file in week.named_files}
    found: Collection[Orphan] = unnamed_files(cold_dir, week.instance_id, ())
    return [file for file in found if file.name in names]


def _only_roll(connection: Connection) -> Any:
    return sole(connection, ROLL_LOCK, "a roll is under way in", "wait for its end", LOCK_WAIT_SECONDS)
