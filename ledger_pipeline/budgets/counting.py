"""Counting: what each usage adds to the totals of budgets, and which thresholds it crosses."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ledger_pipeline.budgets.budget import Budget
from ledger_pipeline.budgets.periods import begins, name
from ledger_pipeline.events.enums import BudgetScope, BudgetUnit


@dataclass(frozen=True)
class Usage:
    """What one event adds: a model call, at its time, or the correction of one, at the call's time.

    `event_id` and `execution_id` are the event's own; everything else is the call's. `usd` is the cost or its estimate,
    of a correction the difference, which may be negative.
    """

    event_id: str
    execution_id: str
    model_call_id: str
    occurred_at: datetime
    drive_id: str | None
    workflow_name: str | None
    agent_id: str | None
    customer_id: str | None
    usd: Decimal
    tokens: int


@dataclass(frozen=True)
class Breach:
    """A threshold of a budget that was crossed: the period's total after the usage that crossed it."""

    budget: Budget
    period: str
    unit: BudgetUnit
    threshold: int
    limit: Decimal | int
    total: Decimal | int
    usage: Usage

    @property
    def key(self) -> str:
        """What this breach is once only: the same threshold of the same limit in the same period."""
        return f"{self.period}:{self.unit}:{self.threshold}:{self.limit}"


@dataclass
class Total:
    """What was used in one period."""

    usd: Decimal = Decimal(0)
    tokens: int = 0


@dataclass
class Count:
    """One budget's totals, by the beginning of their periods; usage before `since` is not counted."""

    budget: Budget
    since: datetime
    totals: dict[datetime, Total] = field(default_factory=dict[datetime, Total])

    def add(self, usage: Usage) -> Iterator[Breach]:
        """Counts a usage of this budget's target; gives the thresholds that it crosses, dollars' before tokens'."""
        budget = self.budget
        if usage.occurred_at < self.since or (budget.drive_id is not None and usage.drive_id != str(budget.drive_id)):
            return
        begin = begins(budget.period, usage.occurred_at)
        total = self.totals.setdefault(begin, Total())
        before = Total(total.usd, total.tokens)
        total.usd += usage.usd
        total.tokens += usage.tokens
        for unit, limit, was, now in (
            (BudgetUnit.USD, budget.limit_usd, before.usd, total.usd),
            (BudgetUnit.TOKENS, budget.limit_tokens, before.tokens, total.tokens),
        ):
            if limit is None:
                continue
            for threshold in budget.thresholds:
                # Reaching a budget is not exceeding it.
                if was * 100 <= limit * threshold < now * 100:
                    yield Breach(budget, name(budget.period, begin), unit, threshold, limit, now, usage)


class Counts:
    """The counts of many budgets, found by whom a usage is of."""

    def __init__(self, counts: Iterable[Count]) -> None:
        self._of: defaultdict[tuple[BudgetScope, str], list[Count]] = defaultdict(list)
        for count in counts:
            self._of[count.budget.scope, count.budget.target].append(count)

    def targets(self, scope: BudgetScope) -> list[str]:
        """The workflows, agents or customers that have budgets."""
        return [target for of, target in self._of if of is scope]

    def add(self, usage: Usage) -> Iterator[Breach]:
        """Counts a usage wherever it belongs; gives the thresholds that it crosses."""
        for scope, target in (
            (BudgetScope.WORKFLOW, usage.workflow_name),
            (BudgetScope.AGENT, usage.agent_id),
            (BudgetScope.CUSTOMER, usage.customer_id),
        ):
            if target is not None:
                for count in self._of.get((scope, target), ()):
                    yield from count.add(usage)
