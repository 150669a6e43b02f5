"""Executions that belong together, walked and made into events: a root, its child executions, its re-run."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from ledger_pipeline.events.catalogue import Event
from ledger_pipeline.events.enums import ExecutionKind, OperatorKind
from ledger_pipeline.ingest.simulation.calls import later
from ledger_pipeline.ingest.simulation.definitions import draw
from ledger_pipeline.ingest.simulation.fate import Ending, Fate, Run
from ledger_pipeline.ingest.simulation.journal import Journal, Position, Price, by
from ledger_pipeline.ingest.simulation.population import population, uuid7
from ledger_pipeline.ingest.simulation.rhythm import Rhythm
from ledger_pipeline.ingest.simulation.walk import Walk
from ledger_pipeline.ingest.simulation.workflows import WORKFLOWS


class Family:
    """Walks a root run and what follows from it; `rng` decides what happens, `ids` only names it."""

    def __init__(self, rhythm: Rhythm, rng: Random, ids: Random) -> None:
        self._rhythm = rhythm
        self._rng = rng
        self._ids = ids
        self._journals: list[Journal] = []

    def walk(self, run: Run, *, rerun: bool) -> None:
        """Walks the root; with `rerun` a failed one runs again as a new execution."""
        walk = self._walk(run)
        if rerun and walk.ended and run.fate.ending in (Ending.FAILED, Ending.REJECTED):
            again = replace(run.fate, ending=Ending.COMPLETED, strikes_at="", quick=True)
            user = by(run.user, OperatorKind.USER)
            starts = later(walk.ended, 600, self._rng)
            self._walk(replace(run, starts=starts, fate=again, trigger=user, retry_of=walk.journal.execution_id))

    def events(self, price: Price | None, until: datetime) -> list[Event]:
        """All events up to `until` in order of time, so that whatever an event refers to comes before it."""
        events = [event for journal in self._journals for event in journal.events(price, until)]
        return sorted(events, key=lambda event: event.occurred_at)

    def _walk(self, run: Run) -> Walk:
        envelope: dict[str, Any] = {
            "workflow_name": run.workflow.name,
            "workflow_type": run.workflow.type,
            "mode": run.workflow.mode,
            "drive_id": run.drive.id,
            "customer_id": run.customer.id,
            "user_id": run.user.id,
            "execution_kind": ExecutionKind.WORKFLOW,
        }
        execution_id = uuid7(run.starts, self._ids.getrandbits(74))
        owner = population().agent(run.workflow.agent)
        journal = Journal(execution_id, envelope, owner, self._ids)
        self._journals.append(journal)

        def link(position: Position, at: datetime) -> tuple[UUID, datetime, datetime]:
            child = self._walk(
                replace(
                    run,
                    workflow=(workflow := WORKFLOWS[position.step.link]),
                    parameters=draw(workflow.parameters, self._rng),
                    starts=at + timedelta(milliseconds=20),
                    fate=Fate(quick=True, habits=run.fate.habits),
                    trigger=by(position.agent, OperatorKind.AGENT),
                    parent=(execution_id, position.entry.step_id),
                    retry_of=None,
                )
            )
            return child.journal.execution_id, at + timedelta(milliseconds=20), child.ended or at

        walk = Walk(run, journal, self._rhythm, self._rng, link)
        walk.go()
        return walk
