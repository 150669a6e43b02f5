"""Legal holds: what must be kept, whatever retention says; placed and lifted by a person with a reason, on record."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.hot.database import Connection, translated


class Scope(StrEnum):
    """What a hold keeps: everything, an execution with all of its events, or the events of a customer or a drive."""

    LEDGER = "ledger"
    EXECUTION = "execution"
    CUSTOMER = "customer"
    DRIVE = "drive"


@dataclass(frozen=True)
class Hold:
    """A hold as it was placed, and as it was lifted; the last three are None while it stands."""

    id: UUID
    scope: Scope
    subject_id: UUID | None
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None


def place_hold(connection: Connection, scope: Scope, subject_id: UUID | None, *, operator: str, reason: str) -> Hold:
    """Places a hold; from its commit on no week that it covers is removed. Raises InvalidInput, PermissionDenied."""
    if (scope is Scope.LEDGER) != (subject_id is None):
        raise InvalidInput(f"subject: a hold on the {scope} {'names none' if subject_id else 'names its id'}")
    _named(operator, reason)
    with translated():
        row = connection.execute(
            "SELECT * FROM place_hold(%s, %s, %s, %s)", (scope.value, subject_id, operator, reason)
        ).fetchone()
    assert row is not None
    return _hold(row)


def lift_hold(connection: Connection, hold_id: UUID, *, operator: str, reason: str) -> Hold:
    """Lifts a hold; it stays on record. Raises InvalidInput for one that isn't there or was lifted."""
    _named(operator, reason)
    with translated():
        row = connection.execute("SELECT * FROM lift_hold(%s, %s, %s)", (hold_id, operator, reason)).fetchone()
    assert row is not None
    return _hold(row)


def holds(connection: Connection, *, lifted: bool = False) -> list[Hold]:
    """The holds that stand, oldest first; with the `lifted` ones too, where that is asked for."""
    with translated():
        rows = connection.execute(
            "SELECT * FROM legal_holds WHERE lifted_at IS NULL OR %s ORDER BY placed_at", (lifted,)
        ).fetchall()
    return [_hold(row) for row in rows]


def _named(operator: str, reason: str) -> None:
    for name, value in (("operator", operator), ("reason", reason)):
        if not value.strip():
            raise InvalidInput(f"{name}: is missing; a hold names who placed or lifted it, and why")


def _hold(row: dict[str, Any]) -> Hold:
    return Hold(
        row["id"],
        Scope(row["scope"]),
        row["subject_id"],
        row["reason"],
        row["placed_by"],
        row["placed_at"],
        row["lifted_at"],
        row["lifted_by"],
        row["lift_reason"],
    )
