"""The simulated streams that are no workflow's: a re-pricing run and a customer's monthly token budget."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any
from uuid import UUID

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import BudgetScope, BudgetUnit, ExecutionKind, OperatorKind
from ledger_pipeline.ingest.simulation.fleet import IN_HOUSE_MODEL
from ledger_pipeline.ingest.simulation.journal import Journal, Operator, bucket_tokens
from ledger_pipeline.ingest.simulation.population import population, uuid7
from ledger_pipeline.ingest.simulation.rhythm import Rhythm

_IN_HOUSE_RATES = {"input": Decimal("0.80"), "output": Decimal("2.40")}
"""What the in-house model costs once somebody has said so, in USD per million tokens."""
_MOST_TARGETS = 500
_REPRICER = Operator("repricing", OperatorKind.SYSTEM)
_GUARD = Operator("budget-guard", OperatorKind.SYSTEM)
_THRESHOLDS = (80, 100)
_PLACES = Decimal("1e-12")


class SideStreams:
    """Watches the workflows' usage, then tells what was corrected and which budgets were crossed."""

    def __init__(self, rhythm: Rhythm) -> None:
        self._rhythm = rhythm
        # Late enough that a re-pricing has something to correct, however short the window is.
        self._repriced_at = rhythm.start + (rhythm.now - rhythm.start) * 0.9
        self._customer = population().customers[0]
        self._unpriced: list[events.TokensUpdated] = []
        self._spent: list[tuple[datetime, UUID, int, str, int]] = []

    def watch(self, event: events.Event) -> None:
        """Takes notice of an event of a workflow."""
        if not isinstance(event, events.TokensUpdated) or event.execution_id is None or event.sequence is None:
            return
        if event.model == IN_HOUSE_MODEL and event.occurred_at < self._repriced_at:
            self._unpriced.append(event)
        if event.customer_id == self._customer.id:
            place = event.occurred_at, event.execution_id, event.sequence
            self._spent.append((*place, event.model_call_id, bucket_tokens(event)))

    def repricing(self, ids: Random) -> list[events.Event]:
        """An execution of its own that corrects the calls of the in-house model, from the oldest on."""
        at = self._repriced_at
        journal = _journal(ExecutionKind.REPRICING, "repricing", at, ids, {})
        reason = f"the price of {IN_HOUSE_MODEL} became known"
        journal.note(events.WorkflowCreated, at, _REPRICER, parameters={"model": IN_HOUSE_MODEL, "reason": reason})
        at += timedelta(milliseconds=40)
        journal.note(events.WorkflowStarted, at, _REPRICER)
        targets = sorted(self._unpriced, key=lambda usage: (usage.occurred_at, str(usage.event_id)))[:_MOST_TARGETS]
        total = Decimal(0)
        for usage in targets:
            at += timedelta(milliseconds=5)
            new = sum((_in_house_cost(usage, kind) for kind in _IN_HOUSE_RATES), Decimal(0))
            difference = new - (usage.cost_usd or Decimal(0))
            total += difference
            journal.note(
                events.CostRecalculated,
                at,
                _REPRICER,
                target_event_id=usage.event_id,
                target_execution_id=usage.execution_id,
                target_occurred_at=usage.occurred_at,
                model_call_id=usage.model_call_id,
                provider=usage.provider,
                model=usage.model,
                old_cost_usd=usage.cost_usd,
                new_cost_usd=new,
                difference_usd=difference,
                reason=reason,
                old_prices=usage.prices,
                new_prices=tuple(
                    {"usage_kind": kind, "tokens": getattr(usage, f"{kind}_tokens"), "usd_per_million": str(rate)}
                    for kind, rate in _IN_HOUSE_RATES.items()
                ),
            )
        at += timedelta(milliseconds=60)
        output = {"calls": len(targets), "difference_usd": str(total)}
        journal.note(events.WorkflowCompleted, at, _REPRICER, output=output)
        return journal.events(None, self._rhythm.now)

    def budget(self, ids: Random) -> list[events.Event]:
        """The stream of one customer's monthly budget: an event a month and threshold that was crossed."""
        at = self._rhythm.start
        journal = _journal(ExecutionKind.BUDGET, "budget", at, ids, {"customer_id": self._customer.id})
        months: defaultdict[str, list[tuple[datetime, str, int]]] = defaultdict(list)
        for instant, _, _, model_call_id, tokens in sorted(self._spent):
            months[instant.strftime("%Y-%m")].append((instant, model_call_id, tokens))
        most = max((sum(tokens for *_, tokens in calls) for calls in months.values()), default=0)
        limit = max(1, most * 3 // 5)
        budget_id = journal.new_id(at)
        budget: dict[str, Any] = {"budget_id": budget_id, "budget_scope": BudgetScope.CUSTOMER}
        parameters = {"customer": self._customer.name, "period": "month", "limit_tokens": limit}
        journal.note(events.WorkflowCreated, at, _GUARD, parameters=parameters)
        journal.note(events.WorkflowStarted, at, _GUARD)
        for month, calls in sorted(months.items()):
            total = 0
            for instant, model_call_id, tokens in calls:
                before, total = total, total + tokens
                for threshold in _THRESHOLDS:
                    if before * 100 <= limit * threshold < total * 100:
                        journal.note(
                            events.BudgetExceeded,
                            instant,
                            _GUARD,
                            **budget,
                            budget_unit=BudgetUnit.TOKENS,
                            budget_period=month,
                            threshold_percent=threshold,
                            limit_tokens=limit,
                            total_tokens=total,
                            model_call_id=model_call_id,
                        )
        return journal.events(None, self._rhythm.now)


def _journal(kind: ExecutionKind, name: str, at: datetime, ids: Random, envelope: dict[str, Any]) -> Journal:
    execution_id = uuid7(at, ids.getrandbits(74))
    return Journal(execution_id, {"workflow_name": name, "execution_kind": kind, **envelope}, None, ids)


def _in_house_cost(usage: events.TokensUpdated, kind: str) -> Decimal:
    tokens = getattr(usage, f"{kind}_tokens")
    return (tokens * _IN_HOUSE_RATES[kind] / 1_000_000).quantize(_PLACES, rounding=ROUND_HALF_UP)
