"""Where an execution stands in its plan: what may be dispatched now, and what already follows from what happened.

The rules. The steps of a line run one after the other; a target names where the work goes on after a step: `next` at
the following one, `end` nowhere any more, a name at that step, with those in between skipped; an inline step runs
first, and goes on as its own targets say. A failed step goes on at `on_failure` (`fail` when left out, `continue` is
`next`). A parallel step ends when all its branches have, a loop with its last iteration, or with one that goes on
outside. What fails inside fails the step around it, and in the execution's own line the execution.
"""

from dataclasses import dataclass
from typing import Any

from ledger_pipeline.events.enums import StepStatus, StepType
from ledger_pipeline.events.state import ExecutionState, StepState
from ledger_pipeline.templates.conditions import parse_condition
from ledger_pipeline.templates.steps import CONTINUE, END, FAIL, NEXT, RETRY
from ledger_pipeline.workflows.positions import Positions, member, target


@dataclass(frozen=True)
class Skip:
    """A step is passed over."""

    step: StepState
    reason: str


@dataclass(frozen=True)
class Complete:
    """A step that holds others is done."""

    step: StepState
    output: Any


@dataclass(frozen=True)
class Fail:
    """A step that holds others has failed because of one of them."""

    step: StepState
    culprit: StepState


@dataclass(frozen=True)
class Iterate:
    """A loop's next iteration begins."""

    step: StepState
    index: int


@dataclass(frozen=True)
class FailWorkflow:
    """A step of the execution's own line has failed, and nothing catches it."""

    culprit: StepState


Consequence = Skip | Complete | Fail | Iterate | FailWorkflow


def branch_of(step: StepState) -> str:
    """The target that a dispatched condition takes: judged by the values that its dispatch recorded."""
    values = member(step.input_data, "values")
    if not isinstance(values, dict):
        # Recorded by somebody else's commands: its result is known by its branches only.
        return "on_false"
    return "on_true" if parse_condition(step.step_config["condition"]).evaluate(values.get) else "on_false"


def target_name(step: StepState, field: str, positions: Positions) -> str:
    """Where a target leads, as text: a name, `next` and the like, or the inline step's name."""
    given = target(step, field)
    if isinstance(given, dict):
        held = positions.inline(step, field)
        return held.step_name if held else field
    return given or NEXT


class Walk:
    """One walk through a state's steps."""

    def __init__(self, state: ExecutionState) -> None:
        self.ready: list[StepState] = []
        """Steps to dispatch now, in the order of the plan."""
        self.consequence: Consequence | None = None
        """What follows first from what has happened and has not been recorded yet."""
        self.positions = Positions(state)
        self._culprit: StepState | None = None
        outcome = self._line(self.positions.top())
        self.done = outcome not in (None, FAIL)
        """Whether nothing is left to do."""
        if outcome == FAIL and self._culprit is not None:
            self._follow(FailWorkflow(self._culprit))

    def _follow(self, consequence: Consequence) -> None:
        self.consequence = self.consequence or consequence

    def _line(self, steps: list[StepState]) -> str | None:
        """`next` at the line's end, `end` or a step further out, `fail`, or None while the line goes on."""
        at = 0
        while at < len(steps):
            step = steps[at]
            outcome = self._step(step)
            if outcome is None or outcome == FAIL:
                return outcome
            following = self._place_of(outcome, steps, at)
            for between in steps[at + 1 : following]:
                if between.status in (StepStatus.PENDING, StepStatus.RETRYING):
                    self._follow(Skip(between, f"{step.step_name} goes on at {outcome}"))
            if outcome != NEXT and following == len(steps):
                return outcome
            at = following
        return NEXT

    def _place_of(self, outcome: str, steps: list[StepState], at: int) -> int:
        """The place in the line where it goes on, its length for what is not in the line."""
        if outcome == NEXT:
            return at + 1
        return next((n for n in range(at + 1, len(steps)) if steps[n].step_name == outcome), len(steps))

    def _step(self, step: StepState) -> str | None:
        """Where the line goes on after a step; None while it is not over."""
        match step.status:
            case StepStatus.PENDING | StepStatus.RETRYING:
                self.ready.append(step)
                return None
            case StepStatus.RUNNING:
                self._running(step)
                return None
            case StepStatus.SKIPPED:
                return NEXT
            case StepStatus.COMPLETED:
                if step.step_type == StepType.LOOP and isinstance(left_for := member(step.output_data, "target"), str):
                    return left_for
                if step.step_type == StepType.PARALLEL and END in map(self._step, self.positions.body(step)):
                    return END
                return self._goes_on(step, branch_of(step) if step.step_type == StepType.CONDITION else "on_success")
            case StepStatus.FAILED:
                outcome = self._goes_on(step, "on_failure")
                if outcome == FAIL:
                    self._culprit = step
                return outcome

    def _goes_on(self, step: StepState, field: str) -> str | None:
        held = self.positions.inline(step, field)
        if held is not None:
            return self._step(held)
        given = target(step, field)
        if field == "on_failure":
            return {None: FAIL, RETRY: FAIL, CONTINUE: NEXT}.get(given, given)
        return given or NEXT

    def _running(self, step: StepState) -> None:
        match step.step_type:
            case StepType.CONDITION:
                self._branch(step)
            case StepType.PARALLEL:
                self._branches(step)
            case StepType.LOOP:
                self._iterations(step)
            case _:
                pass

    def _branch(self, step: StepState) -> None:
        taken = branch_of(step)
        held = self.positions.inline(step, taken)
        outcome = NEXT if held is None else self._step(held)
        if outcome == FAIL and held is not None:
            self._follow(Fail(step, self._culprit or held))
        elif outcome is not None:
            result = {"result": taken == "on_true", "target": target_name(step, taken, self.positions)}
            output = {} if held is None else {"output": held.output_data}
            self._follow(Complete(step, result | output))

    def _branches(self, step: StepState) -> None:
        branches = self.positions.body(step)
        outcomes: list[str | None] = []
        culprit: StepState | None = None
        for branch in branches:
            outcomes.append(self._step(branch))
            if outcomes[-1] == FAIL:
                culprit = culprit or self._culprit or branch
        if None in outcomes:
            return
        if culprit is not None:
            self._follow(Fail(step, culprit))
        else:
            self._follow(Complete(step, {branch.step_name: branch.output_data for branch in branches}))

    def _iterations(self, step: StepState) -> None:
        iterations = self.positions.iterations(step)
        if iterations:
            outcome = self._line(iterations[-1])
            if outcome is None:
                return
            if outcome == FAIL:
                self._follow(Fail(step, self._culprit or iterations[-1][-1]))
                return
            if outcome != NEXT:
                self._follow(Complete(step, {"iterations": len(iterations), "target": outcome}))
                return
        if len(iterations) < len(member(step.input_data, "collection") or ()):
            self._follow(Iterate(step, len(iterations)))
        else:
            results = [{each.step_name: each.output_data for each in iteration} for iteration in iterations]
            self._follow(Complete(step, {"iterations": len(iterations), "results": results}))
