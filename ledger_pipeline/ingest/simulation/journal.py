"""What happened in one simulated execution, noted in any order and made into its gapless stream of events."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Any
from uuid import UUID

from ledger_pipeline.events.catalogue import USAGE_KINDS, BudgetExceeded, Event, PlanStep, TokensUpdated
from ledger_pipeline.events.enums import BudgetUnit, OperatorKind
from ledger_pipeline.ingest.simulation.definitions import Step
from ledger_pipeline.ingest.simulation.population import Member, uuid7

Price = Callable[[TokensUpdated], TokensUpdated]
"""Fills the costs of a usage event from a price book."""


@dataclass(frozen=True)
class Operator:
    """Who did an event."""

    id: str
    kind: OperatorKind


SCHEDULER = Operator("scheduler", OperatorKind.SYSTEM)
WATCHDOG = Operator("watchdog", OperatorKind.SYSTEM)


def by(member: Member, kind: OperatorKind) -> Operator:
    """A user or an agent as operator."""
    return Operator(str(member.id), kind)


@dataclass
class Position:
    """A step of one execution: its definition, its plan entry and the attempt it is at."""

    step: Step
    entry: PlanStep
    agent: Member
    children: list["Position"] = field(default_factory=list["Position"])
    attempt: int = 1


_OF_CALL = ("step_id", "step_name", "agent_id", "agent_name", "attempt", "call_id", "model_call_id")


class Budget(StrEnum):
    """What an execution may spend: nothing said, more than it needs, or less in dollars or tokens."""

    NONE = "none"
    AMPLE = "ample"
    CROSSED_USD = "crossed_usd"
    CROSSED_TOKENS = "crossed_tokens"


@dataclass
class Note:
    """An event to be: its class, its fields, and whether this usage is the one that crosses the budget."""

    kind: type[Event]
    fields: dict[str, Any]
    crosses: bool = False


def bucket_tokens(usage: TokensUpdated) -> int:
    """All tokens of a model call."""
    return sum(getattr(usage, f"{kind}_tokens") for kind in USAGE_KINDS)


def spent_usd(usage: TokensUpdated) -> Decimal:
    """What a model call adds to a dollar budget: its cost, else the estimate, else nothing."""
    return usage.cost_usd or usage.estimated_cost_usd or Decimal(0)


class Journal:
    """The notes of one execution. `envelope` holds the columns that all its events share."""

    def __init__(self, execution_id: UUID, envelope: dict[str, Any], owner: Member | None, ids: Random) -> None:
        self.execution_id = execution_id
        self._envelope = {"execution_id": execution_id, "source": "simulate", **envelope}
        if owner:
            self._envelope |= {"agent_id": owner.id, "agent_name": owner.name}
        self._ids = ids
        self._notes: list[Note] = []
        self.budget = Budget.NONE

    def new_id(self, at: datetime) -> UUID:
        """A UUIDv7 for something that comes into being at `at`."""
        return uuid7(at, self._ids.getrandbits(74))

    def note(
        self,
        kind: type[Event],
        at: datetime,
        operator: Operator,
        position: Position | None = None,
        **fields: Any,
    ) -> Note:
        """Notes an event; one of a step carries its name, agent and attempt."""
        row = self._envelope | {
            "event_id": self.new_id(at),
            "occurred_at": at,
            "operator_id": operator.id,
            "operator_kind": operator.kind,
        }
        if position:
            row |= {
                "step_id": position.entry.step_id,
                "step_name": position.entry.step_name,
                "agent_id": position.agent.id,
                "agent_name": position.agent.name,
                "attempt": position.attempt,
            }
        note = Note(kind, row | fields)
        self._notes.append(note)
        return note

    @property
    def usages(self) -> list[Note]:
        """The model calls noted so far."""
        return [note for note in self._notes if note.kind is TokensUpdated]

    def events(self, price: Price | None, until: datetime) -> list[Event]:
        """The events up to `until`, in order of time; what would come later has not happened yet.

        Which usage crosses a budget is a fact of the simulation; the limit is then set between the totals before and
        after it. So the stream's shape does not depend on prices: without them a dollar budget is one of tokens.
        """
        notes: list[Note] = []
        for note in sorted(self._notes, key=lambda note: note.fields["occurred_at"]):
            notes.append(note)
            if note.crosses:
                breach = {
                    "event_id": self.new_id(note.fields["occurred_at"]),
                    "operator_id": "budget-guard",
                    "operator_kind": OperatorKind.SYSTEM,
                }
                shared = {key: note.fields[key] for key in ("occurred_at", *_OF_CALL)}
                notes.append(Note(BudgetExceeded, self._envelope | shared | breach))
        usages: dict[int, TokensUpdated] = {}
        for sequence, note in enumerate(notes, 1):
            note.fields["sequence"] = sequence
            if note.kind is TokensUpdated:
                usage = TokensUpdated.model_validate(note.fields)
                usages[sequence] = price(usage) if price else usage
        self._set_budget(notes, usages, priced=price is not None)
        return [
            usages.get(sequence) or note.kind.model_validate(note.fields)
            for sequence, note in enumerate(notes, 1)
            if note.fields["occurred_at"] <= until
        ]

    def _set_budget(self, notes: list[Note], usages: dict[int, TokensUpdated], *, priced: bool) -> None:
        if self.budget is Budget.NONE:
            return
        usd = Decimal(0)
        tokens = 0
        created = notes[0].fields
        for sequence, note in enumerate(notes, 1):
            if note.kind is not TokensUpdated:
                continue
            usd_before, tokens_before = usd, tokens
            usd += spent_usd(usages[sequence])
            tokens += bucket_tokens(usages[sequence])
            if not note.crosses:
                continue
            breach = notes[sequence].fields
            if self.budget is Budget.CROSSED_USD and priced and usd > usd_before:
                created["budget_usd"] = limit = round_limit(usd_before, usd)
                breach |= {"budget_unit": BudgetUnit.USD, "limit_usd": limit, "total_usd": usd}
            else:
                created["budget_tokens"] = limit = int(round_limit(Decimal(tokens_before), Decimal(tokens)))
                breach |= {"budget_unit": BudgetUnit.TOKENS, "limit_tokens": limit, "total_tokens": tokens}
        if self.budget is Budget.AMPLE:
            created["budget_tokens"] = (tokens // 50_000 + 1) * 100_000
            if usd:
                created["budget_usd"] = usd.quantize(Decimal(1)) * 2 + 1


def round_limit(before: Decimal, after: Decimal) -> Decimal:
    """The roundest limit that a total keeps at `before` and exceeds at `after`."""
    middle = (before + after) / 2
    for exponent in range(6, -13, -1):
        limit = middle.quantize(Decimal(1).scaleb(exponent))
        if limit > 0 and before <= limit < after:
            return +limit.quantize(Decimal("1e-12"))
    return before
