"""`Budget`: what a workflow, an agent or a customer may use in a period; set, listed and removed.

Everything runs with the rights of the connection: members of a drive see its budgets, its administrators set them.
Changes are recorded in `admin_log`, with the reason of `acting`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from ledger_pipeline.arguments import id_of, id_or_none, one_of, shown, text_or_none, whole_or_none
from ledger_pipeline.budgets.periods import Period
from ledger_pipeline.errors import InvalidInput, InvalidReference, NotFound
from ledger_pipeline.events.columns import MAX_TOKENS, Text, Usd
from ledger_pipeline.events.enums import BudgetScope
from ledger_pipeline.hot.acting import acting
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.hot.people import Agent, Customer, Drive, get
from ledger_pipeline.pages import check_size

MAX_PAGE = 1000
THRESHOLDS = (80, 100)
"""Percent of a limit at which a budget tells, unless something else is said."""
MOST_THRESHOLDS, MOST_PERCENT = 20, 1000
_SQL = files("ledger_pipeline.budgets") / "sql"
_USD: TypeAdapter[Decimal] = TypeAdapter(Usd)
_TEXT: TypeAdapter[str] = TypeAdapter(Text)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A budget; one of `workflow_name`, `agent_id` and `customer_id` says whose, as `scope` does.

    `drive_id` None counts the whole ledger. The last three are of the last period in which something was counted.
    """

    id: UUID
    drive_id: UUID | None
    scope: BudgetScope
    workflow_name: str | None
    agent_id: UUID | None
    customer_id: UUID | None
    period: Period
    limit_usd: Decimal | None
    limit_tokens: int | None
    thresholds: tuple[int, ...]
    created_at: datetime
    updated_at: datetime
    last_period: str | None
    total_usd: Decimal | None
    total_tokens: int | None

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> "Budget":
        """The budget of a row of `sql/budgets.sql`."""
        typed: dict[str, Any] = {
            "scope": BudgetScope(row["scope"]),
            "period": Period(row["period"]),
            "thresholds": tuple(row["thresholds"]),
        }
        return cls(**row | typed)

    @property
    def target(self) -> str:
        """Whose budget it is: the workflow's name, or the id of the agent or the customer."""
        return str(self.workflow_name or self.agent_id or self.customer_id)


class Budgets:
    """The budgets that a connection may see."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(
        self,
        *,
        period: Period | str,
        workflow_name: str | None = None,
        agent_id: UUID | str | None = None,
        customer_id: UUID | str | None = None,
        drive_id: UUID | str | None = None,
        limit_usd: Decimal | str | int | None = None,
        limit_tokens: int | None = None,
        thresholds: Iterable[int] | None = None,
        reason: str | None = None,
    ) -> Budget:
        """Gives a workflow, an agent or a customer a budget for each period, or another one than before.

        A changed limit counts anew from the beginning of the period in which it is changed; totals of earlier periods
        stay. Raises InvalidInput for
        what makes no budget, InvalidReference for an agent, a customer or a drive that is not there to be seen.
        """
        given: dict[str, Any] = {
            "period": one_of("period", period, Period),
            **_target(workflow_name, agent_id, customer_id),
            **_limits(limit_usd, limit_tokens),
            "drive_id": id_or_none("drive_id", drive_id),
            "thresholds": _thresholds(THRESHOLDS if thresholds is None else thresholds),
        }
        for field, of in (("agent_id", Agent), ("customer_id", Customer), ("drive_id", Drive)):
            if given[field] is not None:
                self._require(field, of, given[field])
        with acting(self._connection, reason=reason):
            row = self._connection.execute((_SQL / "set_budget.sql").read_bytes(), given).fetchone()
        assert row is not None
        return self.get(row["id"])

    def get(self, id: UUID | str) -> Budget:
        """One budget; raises NotFound for an unknown one and for one that may not be seen."""
        id = id_of("id", id)
        found = self._rows(id=id)
        if not found:
            raise NotFound(f"budget {id} does not exist, or you may not see it")
        return found[0]

    def list(
        self, *, drive_id: UUID | str | None = None, after: UUID | str | None = None, limit: int = 100
    ) -> list[Budget]:
        """A page of budgets in order of their ids, after the id given."""
        check_size("limit", limit, MAX_PAGE)
        return self._rows(drive_id=id_or_none("drive_id", drive_id), after=id_or_none("after", after), most=limit)

    def remove(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Removes a budget; what it has recorded stays. Raises NotFound for one that may not be removed."""
        id = id_of("id", id)
        with acting(self._connection, reason=reason):
            if self._connection.execute("DELETE FROM budgets WHERE id = %s", (id,)).rowcount == 0:
                raise NotFound(f"budget {id} does not exist, or you may not remove it")

    def _rows(self, **given: Any) -> "list[Budget]":
        parameters = {"id": None, "drive_id": None, "after": None, "most": MAX_PAGE} | given
        with translated():
            rows = self._connection.execute((_SQL / "budgets.sql").read_bytes(), parameters).fetchall()
        return [Budget.of_row(row) for row in rows]

    def _require(self, field: str, of: Any, id: UUID) -> None:
        try:
            get(self._connection, of, id)
        except NotFound as missing:
            raise InvalidReference(f"{field}: {missing}") from None


def _target(workflow_name: object, agent_id: object, customer_id: object) -> dict[str, Any]:
    name = text_or_none("workflow_name", workflow_name)
    targets = {
        "workflow_name": None if name is None else _validated("workflow_name", _TEXT, name),
        "agent_id": id_or_none("agent_id", agent_id),
        "customer_id": id_or_none("customer_id", customer_id),
    }
    named = [field for field, value in targets.items() if value is not None]
    if len(named) != 1:
        raise InvalidInput(f"{named[1] if named else 'workflow_name'}: {len(named)} of {', '.join(targets)} are given"
                           "; allowed: exactly one of them")  # fmt: skip
    scope = {
        "workflow_name": BudgetScope.WORKFLOW,
        "agent_id": BudgetScope.AGENT,
        "customer_id": BudgetScope.CUSTOMER,
    }
    return targets | {"scope": scope[named[0]]}


def _limits(limit_usd: object, limit_tokens: object) -> dict[str, Any]:
    if limit_usd is None and limit_tokens is None:
        raise InvalidInput("limit_usd: is missing, and limit_tokens too; at least one of them is needed")
    usd = None
    if limit_usd is not None:
        usd = _validated("limit_usd", _USD, limit_usd)
        if not usd:
            raise InvalidInput(f"limit_usd: is {shown(limit_usd)}; allowed: more than 0")
    tokens = whole_or_none("limit_tokens", limit_tokens, least=1)  # pyright: ignore[reportArgumentType]
    if tokens is not None and tokens > MAX_TOKENS:
        raise InvalidInput(f"limit_tokens: is {tokens}; allowed: a whole number from 1 to {MAX_TOKENS}")
    return {"limit_usd": usd, "limit_tokens": tokens}


def _validated(field: str, kind: TypeAdapter[Any], value: object) -> Any:
    """A value as the events will hold it; raises InvalidInput for one that they could not."""
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{field}: is {shown(value)}; {why[:1].lower()}{why[1:]}") from None


def _thresholds(given: object) -> list[int]:
    allowed = f"allowed: up to {MOST_THRESHOLDS} different whole percents from 1 to {MOST_PERCENT}, at least one"
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidInput(f"thresholds: is {shown(given)}; {allowed}")
    percents: list[Any] = list(given)  # pyright: ignore[reportUnknownArgumentType]
    for percent in percents:
        if isinstance(percent, bool) or not isinstance(percent, int) or not 1 <= percent <= MOST_PERCENT:
            raise InvalidInput(f"thresholds: {shown(percent)} is none; {allowed}")
    if not 1 <= len(percents) <= MOST_THRESHOLDS or len(set(percents)) < len(percents):
        raise InvalidInput(f"thresholds: is {shown(percents)}; {allowed}")
    return sorted(percents)
