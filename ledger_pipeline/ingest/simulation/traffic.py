"""Which executions there are in a window and when each starts; families of them, in order of time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from ledger_pipeline.events.catalogue import Event
from ledger_pipeline.events.enums import OperatorKind
from ledger_pipeline.ingest.simulation.definitions import Workflow, draw
from ledger_pipeline.ingest.simulation.family import Family
from ledger_pipeline.ingest.simulation.fate import Ending, Fate, Run, Stall
from ledger_pipeline.ingest.simulation.journal import SCHEDULER, Budget, Operator, Price, by
from ledger_pipeline.ingest.simulation.population import Member, population
from ledger_pipeline.ingest.simulation.rhythm import Rhythm, randomness
from ledger_pipeline.ingest.simulation.showcase import SCENES, Scene
from ledger_pipeline.ingest.simulation.workflows import WORKFLOWS

_ENDINGS: dict[Ending, float] = {
    Ending.COMPLETED: 83,
    Ending.FAILED: 7,
    Ending.REJECTED: 2,
    Ending.CANCELLED: 3,
    Ending.TIMED_OUT: 2.5,
    Ending.ABORTED: 2.5,
}
_BUDGETS: dict[Budget, float] = {Budget.NONE: 85, Budget.AMPLE: 12, Budget.CROSSED_USD: 2, Budget.CROSSED_TOKENS: 1}
_RERUN_CHANCE = 0.55
_RUNAWAY_CHANCE = 0.004
_SPIKING_MODES = ("coding", "research")
_SETTLED = timedelta(hours=8)
"""A family with a child execution or a re-run starts this long before the window's end, so that both are in it."""


@dataclass(frozen=True)
class _Planned:
    """A family before it is walked."""

    key: str
    rng: Random
    run: Run
    rerun: bool = False


class Traffic:
    """`executions` executions (children and re-runs counted) of the `days` days up to `now`."""

    def __init__(self, executions: int, days: int, seed: int, now: datetime) -> None:
        self.rhythm = Rhythm(days, seed, now)
        self._executions = executions
        self._seed = seed
        self._now = now
        self._key = f"{seed}/{executions}/{days}/{now.isoformat()}"

    def ids(self, name: str) -> Random:
        """Randomness of identifiers: other arguments never make the same ones."""
        return randomness(f"{self._key}/{name}")

    def families(self, price: Price | None) -> Iterator[list[Event]]:
        """The events of each family, families in the order of their starts."""
        for planned in sorted(self._plan(), key=lambda planned: (planned.run.starts, planned.key)):
            family = Family(self.rhythm, planned.rng, self.ids(planned.key))
            family.walk(planned.run, rerun=planned.rerun)
            yield family.events(price, self._now)

    def _plan(self) -> list[_Planned]:
        planned: list[_Planned] = []
        room = self._executions
        for number, scene in enumerate(SCENES):
            if scene.executions <= room:
                planned.append(self._show(number, scene))
                room -= scene.executions
        stalls = min(room, max(len(Stall), self._executions // 400)) if room >= 2 * len(Stall) else 0
        for number in range(stalls):
            planned.append(self._stall(number))
        room -= stalls
        number = 0
        while room > 0:
            family, size = self._draw(number, room)
            planned.append(family)
            room -= size
            number += 1
        return planned

    def _show(self, number: int, scene: Scene) -> _Planned:
        key = f"show/{number}"
        rng = randomness(f"{self._seed}/{key}")
        workflow = WORKFLOWS[scene.workflow]
        # Within the window's first hours, however short the window is.
        starts = self.rhythm.start + timedelta(minutes=2 + 20 * number)
        customer, user, drive = population().owners(rng)
        parameters = draw(workflow.parameters, rng) | scene.parameters
        trigger = by(user, OperatorKind.USER)
        run = Run(workflow, parameters, starts, scene.fate, customer, user, drive, trigger)
        return _Planned(key, rng, run, scene.rerun)

    def _stall(self, number: int) -> _Planned:
        """An execution that has not ended when the window does."""
        key = f"stall/{number}"
        rng = randomness(f"{self._seed}/{key}")
        stall = list(Stall)[number % len(Stall)]
        fitting = [workflow for workflow in WORKFLOWS.values() if not workflow.child_switch and not workflow.scheduled]
        if stall is Stall.INPUT:
            fitting = [workflow for workflow in fitting if any(step.question for step in workflow.steps)]
        if stall is Stall.APPROVAL:
            fitting = [workflow for workflow in fitting if any(step.approval for step in workflow.steps)]
        workflow = rng.choice(fitting)
        at_most = 2 if stall is Stall.PENDING else 90
        starts = self._now - timedelta(seconds=round(rng.uniform(0.3, 1) * at_most * 60))
        asks = next((step.name for step in workflow.steps if step.question), "") if stall is Stall.INPUT else ""
        run = self._run(workflow, starts, Fate(stall=stall, strikes_at=asks, quick=True), rng)
        return _Planned(key, rng, run)

    def _draw(self, number: int, room: int) -> tuple[_Planned, int]:
        """The `number`-th ordinary family, at most `room` executions large, and its size."""
        key = f"run/{number}"
        rng = randomness(f"{self._seed}/{key}")
        workflow = rng.choices(list(WORKFLOWS.values()), weights=[workflow.share for workflow in WORKFLOWS.values()])[0]
        starts = self.rhythm.instant(rng, scheduled=workflow.scheduled)
        more = room > 1 and starts < self._now - _SETTLED
        parameters = draw(workflow.parameters, rng)
        switch = workflow.child_switch
        if switch and not more:
            parameters[switch] = False
        links = bool(switch and parameters[switch])
        ending = rng.choices(list(_ENDINGS), weights=list(_ENDINGS.values()))[0]
        if links:
            ending = Ending.COMPLETED
        rerun = ending is Ending.FAILED and more and rng.random() < _RERUN_CHANCE
        fate = self._fate(workflow, ending, starts, rng, quick=links or rerun)
        run = self._run(workflow, starts, fate, rng)
        return _Planned(key, rng, replace(run, parameters=parameters), rerun), 2 if links or rerun else 1

    def _fate(self, workflow: Workflow, ending: Ending, starts: datetime, rng: Random, *, quick: bool) -> Fate:
        if ending is Ending.ABORTED:
            budget = rng.choice((Budget.CROSSED_USD, Budget.CROSSED_USD, Budget.CROSSED_TOKENS))
        else:
            budget = rng.choices(list(_BUDGETS), weights=list(_BUDGETS.values()))[0]
        factor = self.rhythm.spike(starts) if workflow.mode in _SPIKING_MODES else 1.0
        if rng.random() < _RUNAWAY_CHANCE:
            factor *= rng.uniform(8, 20)
        return Fate(ending, budget=budget, quick=quick, factor=factor)

    def _run(self, workflow: Workflow, starts: datetime, fate: Fate, rng: Random) -> Run:
        customer, user, drive = population().owners(rng)
        return Run(
            workflow, draw(workflow.parameters, rng), starts, fate, customer, user, drive, _trigger(workflow, user, rng)
        )


def _trigger(workflow: Workflow, user: Member, rng: Random) -> Operator:
    if workflow.scheduled:
        return SCHEDULER
    if rng.random() < 0.15:
        return by(population().agent("release-manager"), OperatorKind.AGENT)
    return by(user, OperatorKind.USER)
