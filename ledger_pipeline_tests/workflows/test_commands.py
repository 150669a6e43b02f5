"""Random commands of `Workflows`: a legal one moves its execution as its events say, an illegal one nothing.

Each run of the machine gives every command twice, in random order and on random executions: once where it is legal,
making such a place where there is none, and once where it isn't.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from psycopg import sql

from ledger_pipeline import Ledger
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.events.fold import fold
from ledger_pipeline.events.state import ExecutionState, initial
from ledger_pipeline.events.states import ENDED, RULES
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.replay.check_projections import check_projections
from ledger_pipeline.templates import Templates
from ledger_pipeline.workflows.next_steps import next_steps
from ledger_pipeline.workflows.workflows import Workflows
from ledger_pipeline_tests.workflows.definitions import (
    BACKUP_AND_NOTIFY,
    DEPLOY_EVERYWHERE,
    SETUP_VM_BACKUP,
    action,
)

NO_COLD = Path("/nonexistent")
NOBODY = UUID(int=7)
TONE = {"type": "object", "required": ["tone"], "properties": {"tone": {"enum": ["dry", "warm"]}}}
DEFINITIONS: list[dict[str, Any]] = [
    SETUP_VM_BACKUP,
    BACKUP_AND_NOTIFY,
    DEPLOY_EVERYWHERE,
    {
        "name": "write_and_publish",
        "timeout_minutes": 60,
        "steps": [
            action("draft", retry_count=2, on_failure="continue"),
            {
                "name": "write",
                "type": "action",
                "agent_id": "writer",
                "prompt_template": "Write",
                "requires_user_input": True,
                "input_schema": TONE,
            },
            {"name": "long", "type": "condition", "condition": "{{n}} > 1", "on_true": "publish", "on_false": "end"},
            action("publish", retry_count=1),
        ],
    },
    {
        "name": "back_up_first",
        "steps": [
            {
                "name": "back_up",
                "type": "workflow_link",
                "workflow_name": "setup_vm_backup",
                "parameters": {"vm_id": "vm-1"},
                "retry_count": 1,
            },
            action("upgrade"),
        ],
    },
]
INPUT = {"servers": ["a", "b"], "n": 2, "vm_id": "vm-1"}
COMMANDS = (
    *("start", "create", "set_going", "rerun"),
    *("dispatch", "dispatch_unplanned", "complete_step", "fail_step", "retry_step", "skip_step", "collect_child"),
    *("pause", "resume", "request_input", "receive_input", "request_approval", "apply_approval"),
    *("update_context", "log", "record_artifact", "record_usage"),
    *("cancel", "abort", "time_out", "fail", "complete", "expire"),
)
"""Each a method of the machine below that gives the command, where it is legal or where it isn't."""
Digest = dict[tuple[str, UUID | None], str]


def digest(connection: Connection) -> Digest:
    """Count and hash of every table's rows, by the execution that they belong to."""
    tables = connection.execute(
        "SELECT c.relname AS name, CASE WHEN a.attname IS NOT NULL THEN 'execution_id'"
        "  WHEN c.relname IN ('execution_heads', 'workflow_executions') THEN 'id' END AS owner"
        " FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'execution_id'"
        " WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    ).fetchall()
    each = sql.SQL(
        "SELECT {} AS name, {} AS owner, count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) AS rows"
        " FROM {} t GROUP BY 2"
    )
    query = sql.SQL(" UNION ALL ").join(
        each.format(
            sql.Literal(table["name"]),
            sql.Identifier(table["owner"]) if table["owner"] else sql.SQL("NULL::uuid"),
            sql.Identifier(table["name"]),
        )
        for table in tables
    )
    return {(row["name"], row["owner"]): row["rows"] for row in connection.execute(query)}


def allows(state: ExecutionState, event_type: str) -> bool:
    """Whether the execution's state allows an event."""
    return state.position in RULES[event_type].execution_from


def working(state: ExecutionState) -> list[UUID]:
    """Running actions: their calls are somebody's to close."""
    if not allows(state, "StepCompleted"):
        return []
    return [UUID(each.id) for each in state.steps.values() if each.status == "running" and each.step_type == "action"]


def has_ended(state: ExecutionState) -> bool:
    """Whether the execution has ended."""
    return state.position in ENDED


def plain(state: ExecutionState) -> list[UUID]:
    """Actions that come next and need no input: nothing but their state decides whether they are dispatched."""
    ready = next_steps(state).ready
    return [each.step_id for each in ready if each.step_type == "action" and not each.needs_input]


def retriable(state: ExecutionState) -> list[UUID]:
    """Failed actions with attempts left, that the execution went past."""
    if not allows(state, "StepRetried"):
        return []
    failed = (each for each in state.steps.values() if each.status == "failed" and each.step_type == "action")
    return [UUID(each.id) for each in failed if each.attempt < each.max_attempts]


def pending(state: ExecutionState) -> list[UUID]:
    """Steps that may be skipped."""
    if not allows(state, "StepSkipped"):
        return []
    return [UUID(each.id) for each in state.steps.values() if each.status in RULES["StepSkipped"].step_from]


class WorkflowCommands(RuleBasedStateMachine):
    """A few executions of two drives, each beside the fold of its events."""

    ledger: Ledger
    owners: list[tuple[UUID, UUID]]
    outcomes: Counter[tuple[str, bool]]
    """How often each command was taken, and refused."""

    def __init__(self) -> None:
        super().__init__()
        self.workflows: Workflows = self.ledger.workflows.acting_as("orchestrator", "system")
        self.states: dict[UUID, ExecutionState] = {}
        self.known = digest(self.ledger.connection)
        self.agenda: list[tuple[str, bool]] = []

    def teardown(self) -> None:
        """Ends what goes on: `expire` would find it in the next run of the machine."""
        for execution_id, state in self.states.items():
            if not has_ended(state):
                self.workflows.cancel(execution_id)

    @initialize(agenda=st.permutations([(name, right) for name in COMMANDS for right in (True, False)]))
    def begin(self, agenda: list[tuple[str, bool]]) -> None:
        """What will be done, in what order."""
        self.agenda = agenda

    @precondition(lambda self: self.agenda)
    @rule(data=st.data())
    def command(self, data: st.DataObject) -> None:
        """The next command, where it is legal or where it isn't."""
        name, right = self.agenda.pop()
        note(f"{name}, {'legal' if right else 'illegal'}")
        getattr(self, name)(data, right)
        self.outcomes[name, right] += 1

    # What holds of every command ----------------------------------------------------------------------------------

    def attempt(
        self,
        command: Callable[[], Any],
        execution_id: UUID | None,
        event_type: str,
        right: bool,
        others: Iterable[UUID] = (),
    ) -> UUID:
        """Gives a command, which must be taken when it is right and else refused; answers the execution that moved.

        The first event that it appends is of the type; no execution moves but its own, `others`, and linked children.
        """
        connection, before = self.ledger.connection, self.known
        if not right:
            with pytest.raises(LedgerError):
                command()
            assert digest(connection) == before
            return execution_id or NOBODY
        answer = command()
        self.known = digest(connection)
        moved = {owner for (_, owner), _ in self.known.items() ^ before.items()}
        assert None not in moved, "a row changed that is of no execution"
        own = execution_id or getattr(answer, "execution_id", None)
        expected = {own, *others}
        for each in sorted(moved, key=lambda one: one != own):
            assert each is not None
            appended = self.follow(each)
            assert each in expected, "an execution moved that the command does not concern"
            if each == own:
                assert appended[0]["event_type"] == event_type
            expected |= {row["child_execution_id"] for row in appended}
        report = check_projections(connection, NO_COLD, sorted(each for each in moved if each))
        assert report.ok, report.first
        return own or NOBODY

    def follow(self, execution_id: UUID) -> list[dict[str, Any]]:
        """Folds the events that were appended; the stored state is what they give, and other rows are as they were."""
        state = self.states.get(execution_id, initial())
        rows = self.ledger.connection.execute(
            "SELECT *, payload::text AS payload FROM workflow_events WHERE execution_id = %s AND sequence > %s"
            " ORDER BY sequence",
            (execution_id, state.last_sequence),
        ).fetchall()
        assert rows, "rows changed without an event"
        for row in rows:
            state = fold(state, row)
        assert state.problems == ()
        assert self.workflows.state(execution_id) == replace(state, latest_occurred_at=None, log_entries=0)
        self.states[execution_id] = state
        return rows

    def some(
        self, data: st.DataObject, fits: Callable[[ExecutionState], Any], make: Callable[[st.DataObject], UUID]
    ) -> tuple[UUID, ExecutionState]:
        """An execution that fits: one of those there are, or else one that is made."""
        fitting = [each for each, state in self.states.items() if fits(state)] or [make(data)]
        chosen = data.draw(st.sampled_from(fitting))
        assert fits(self.states[chosen])
        return chosen, self.states[chosen]

    def nowhere(self, data: st.DataObject) -> UUID:
        """An execution that has ended, or that doesn't exist: no command but of late facts is legal there."""
        return data.draw(st.sampled_from([NOBODY, self.some(data, has_ended, self.an_ended_one)[0]]))

    def where(self, data: st.DataObject, event_type: str, right: bool) -> UUID:
        """An execution whose state allows the event, or not."""
        if right:
            return self.some(data, lambda state: allows(state, event_type), self.a_running_one)[0]
        refusing = [each for each, state in self.states.items() if not allows(state, event_type)]
        return data.draw(st.sampled_from([*refusing, NOBODY]))

    # Executions to command ----------------------------------------------------------------------------------------

    def made(self, data: st.DataObject, name: str, act: str = "start") -> UUID:
        user, drive = data.draw(st.sampled_from(self.owners))
        given: dict[str, Any] = {"drive_id": drive, "user_id": user, "input": INPUT, "budget_tokens": 10}
        return self.attempt(lambda: getattr(self.workflows, act)(name, **given), None, "WorkflowCreated", right=True)

    def a_running_one(self, data: st.DataObject) -> UUID:
        """An execution that runs, an action next."""
        return self.made(data, "write_and_publish")

    def an_ended_one(self, data: st.DataObject) -> UUID:
        one = self.a_running_one(data)
        return self.attempt(lambda: self.workflows.cancel(one), one, "WorkflowCancelled", right=True)

    def one_at_work(self, data: st.DataObject) -> UUID:
        one, state = self.some(data, plain, self.a_running_one)
        step = data.draw(st.sampled_from(plain(state)))
        return self.attempt(lambda: self.workflows.dispatch(one, step), one, "StepDispatched", right=True)

    def one_with_a_failure(self, data: st.DataObject) -> UUID:
        one = self.a_running_one(data)
        step = plain(self.states[one])[0]
        self.attempt(lambda: self.workflows.dispatch(one, step), one, "StepDispatched", right=True)
        fail = self.workflows.fail_step
        return self.attempt(lambda: fail(one, step, "no", retriable=False), one, "StepFailed", right=True)

    def one_with_a_child(self, data: st.DataObject) -> UUID:
        one = self.made(data, "back_up_first")
        self.attempt(lambda: self.workflows.dispatch(one), one, "StepDispatched", right=True)
        child = next(
            UUID(step.child_execution_id) for step in self.states[one].steps.values() if step.child_execution_id
        )
        if data.draw(st.booleans()):
            self.attempt(lambda: self.workflows.abort(child), child, "ExecutionAborted", right=True)
        else:
            act = self.workflows.complete
            done = {"schedule": "day"}
            self.attempt(lambda: act(child, done, skip_remaining=True), child, "WorkflowCompleted", right=True)
        return one

    def one_that_waits(self, data: st.DataObject) -> UUID:
        one, state = self.some(data, lambda each: allows(each, "InputRequested") and each.steps, self.a_running_one)
        step = UUID(data.draw(st.sampled_from(list(state.steps))))
        ask = self.workflows.request_input
        return self.attempt(lambda: ask(one, step, prompt="Tone?", schema=TONE), one, "InputRequested", right=True)

    def a_paused_one(self, data: st.DataObject) -> UUID:
        one = self.where(data, "WorkflowPaused", right=True)
        return self.attempt(lambda: self.workflows.pause(one, "lunch"), one, "WorkflowPaused", right=True)

    def one_to_decide(self, data: st.DataObject) -> UUID:
        one = self.where(data, "ApprovalRequested", right=True)
        ask = self.workflows.request_approval
        return self.attempt(lambda: ask(one, "deploy"), one, "ApprovalRequested", right=True)

    # Beginnings ---------------------------------------------------------------------------------------------------

    def start(self, data: st.DataObject, right: bool) -> None:
        """From a template of a drive, or from a definition at hand; an input that lacks what is required is refused."""
        definition = data.draw(st.sampled_from(DEFINITIONS if right else [SETUP_VM_BACKUP, DEPLOY_EVERYWHERE]))
        user, drive = data.draw(st.sampled_from(self.owners))
        given: dict[str, Any] = {"drive_id": drive, "user_id": user, "input": INPUT if right else {"n": 1}}
        name = definition["name"] if data.draw(st.booleans()) else None
        if name is None:
            given["definition"] = definition
        self.attempt(lambda: self.workflows.start(name, **given), None, "WorkflowCreated", right)

    def create(self, data: st.DataObject, right: bool) -> None:
        """An execution that begins later; under an id of its own."""
        taken = self.some(data, lambda _: True, self.a_running_one)[0]
        given: dict[str, Any] = {
            "definition": data.draw(st.sampled_from(DEFINITIONS)),
            "input": INPUT,
            "drive_id": self.owners[0][1],
        }
        given["execution_id"] = uuid4() if right else taken
        self.attempt(lambda: self.workflows.create(**given), None, "WorkflowCreated", right)

    def set_going(self, data: st.DataObject, right: bool) -> None:
        """A created execution is set going, once."""
        one = self.where(data, "WorkflowStarted", right=False)
        if right:
            one, _ = self.some(
                data,
                lambda state: allows(state, "WorkflowStarted"),
                lambda data: self.made(data, "backup_and_notify", "create"),
            )
        self.attempt(lambda: self.workflows.begin(one), one, "WorkflowStarted", right)

    def rerun(self, data: st.DataObject, right: bool) -> None:
        """What ended otherwise than well is run again, as another execution."""
        badly = ("failed", "timeout", "aborted", "cancelled")
        if right:
            one, _ = self.some(data, lambda state: state.status in badly, self.an_ended_one)
        else:
            others = [each for each, state in self.states.items() if state.status not in badly]
            one = data.draw(st.sampled_from([*others, NOBODY]))
        self.attempt(lambda: self.workflows.rerun(one), None, "WorkflowCreated", right)

    # Steps --------------------------------------------------------------------------------------------------------

    def dispatch(self, data: st.DataObject, right: bool) -> None:
        """A step is dispatched when it is among those that come next, and no other."""
        one, state = self.some(data, plain, self.a_running_one)
        others = set(map(UUID, state.steps)) - {each.step_id for each in next_steps(state).ready}
        step = data.draw(st.sampled_from(plain(state) if right else [*sorted(others), NOBODY]))
        self.attempt(lambda: self.workflows.dispatch(one, step), one, "StepDispatched", right)

    def dispatch_unplanned(self, data: st.DataObject, right: bool) -> None:
        """A step that the plan lacks joins its end; it is an action."""
        wrong_place = not right and data.draw(st.booleans())
        one = self.where(data, "StepDispatched", right=not wrong_place)
        given: dict[str, Any] = {"name": f"extra_{uuid4()}"} | ({"tool_name": "extra"} if right or wrong_place else {})
        self.attempt(lambda: self.workflows.dispatch_unplanned(one, **given), one, "StepDispatched", right)

    def closable(self, data: st.DataObject, right: bool) -> tuple[UUID, UUID]:
        """An execution and an open call of it, named by itself or by its step, or something else."""
        one, state = self.some(data, working, self.one_at_work)
        if not right:
            idle = [UUID(each.id) for each in state.steps.values() if each.status != "running"]
            return one, data.draw(st.sampled_from([*idle, NOBODY]))
        step = data.draw(st.sampled_from(working(state)))
        calls = [UUID(call.id) for call in state.calls.values() if call.step_id == str(step)]
        return one, data.draw(st.sampled_from([step, calls[-1]]))

    def complete_step(self, data: st.DataObject, right: bool) -> None:
        """An open call ends well, with any output."""
        one, named = self.closable(data, right)
        output = data.draw(st.sampled_from([None, "x", {"release": "1.0", "schedule": "day"}]))
        self.attempt(lambda: self.workflows.complete_step(one, named, output), one, "StepCompleted", right)

    def fail_step(self, data: st.DataObject, right: bool) -> None:
        """An open call fails, to be tried again or not."""
        one, named = self.closable(data, right)
        again = data.draw(st.booleans())
        fail = self.workflows.fail_step
        self.attempt(lambda: fail(one, named, "no", retriable=again), one, "StepFailed", right)

    def retry_step(self, data: st.DataObject, right: bool) -> None:
        """A failed step is tried again while it has attempts left."""
        one, state = self.some(data, retriable, self.one_with_a_failure)
        others = sorted(set(map(UUID, state.steps)) - set(retriable(state)))
        step = data.draw(st.sampled_from(retriable(state) if right else [*others, NOBODY]))
        self.attempt(lambda: self.workflows.retry_step(one, step), one, "StepRetried", right)

    def skip_step(self, data: st.DataObject, right: bool) -> None:
        """A step that has not run is passed over."""
        one, state = self.some(data, pending, self.a_running_one)
        others = sorted(set(map(UUID, state.steps)) - set(pending(state)))
        step = data.draw(st.sampled_from(pending(state) if right else [*others, NOBODY]))
        self.attempt(lambda: self.workflows.skip_step(one, step, "not now"), one, "StepSkipped", right)

    def collectable(self, state: ExecutionState) -> list[UUID]:
        """Links whose child has ended."""
        if not allows(state, "StepCompleted"):
            return []
        return [
            UUID(step.id)
            for step in state.steps.values()
            if step.status == "running"
            and step.child_execution_id
            and has_ended(self.states[UUID(step.child_execution_id)])
        ]

    def collect_child(self, data: st.DataObject, right: bool) -> None:
        """A link ends as its child has ended, and not before."""
        one, state = self.some(data, self.collectable, self.one_with_a_child)
        others = sorted(set(map(UUID, state.steps)) - set(self.collectable(state)))
        step = data.draw(st.sampled_from(self.collectable(state) if right else [*others, NOBODY]))
        kind = "StepCompleted"
        if right:
            child = self.states[UUID(state.steps[str(step)].child_execution_id or "")]
            kind = "StepCompleted" if child.status == "completed" else "StepFailed"
        self.attempt(lambda: self.workflows.collect_child(one, step), one, kind, right)

    # Waiting ------------------------------------------------------------------------------------------------------

    def pause(self, data: st.DataObject, right: bool) -> None:
        """A running execution pauses."""
        one = self.where(data, "WorkflowPaused", right)
        self.attempt(lambda: self.workflows.pause(one, "lunch"), one, "WorkflowPaused", right)

    def resume(self, data: st.DataObject, right: bool) -> None:
        """A paused execution goes on."""
        one = self.where(data, "WorkflowResumed", right=False)
        if right:
            one, _ = self.some(data, lambda state: allows(state, "WorkflowResumed"), self.a_paused_one)
        self.attempt(lambda: self.workflows.resume(one, "back"), one, "WorkflowResumed", right)

    def request_input(self, data: st.DataObject, right: bool) -> None:
        """An execution waits for a person's input to one of its steps."""
        one, state = self.some(data, lambda each: allows(each, "InputRequested") and each.steps, self.a_running_one)
        step, schema = UUID(data.draw(st.sampled_from(list(state.steps)))), TONE
        if not right:
            step, schema = data.draw(st.sampled_from([(step, {"type": "objekt"}), (NOBODY, TONE)]))
        ask = self.workflows.request_input
        self.attempt(lambda: ask(one, step, prompt="Tone?", schema=schema), one, "InputRequested", right)

    def receive_input(self, data: st.DataObject, right: bool) -> None:
        """The input is taken when it was asked for and its schema allows it."""
        one, _ = self.some(data, lambda state: allows(state, "InputReceived"), self.one_that_waits)
        value: Any = {"tone": data.draw(st.sampled_from(["dry", "warm"]))}
        if not right:
            elsewhere = self.where(data, "InputReceived", right=False)
            one, value = data.draw(
                st.sampled_from([(one, {"tone": "loud"}), (one, {}), (one, None), (elsewhere, value)])
            )
        self.attempt(lambda: self.workflows.receive_input(one, value), one, "InputReceived", right)

    def request_approval(self, data: st.DataObject, right: bool) -> None:
        """Somebody is asked to decide; under an id that was not used before."""
        one, approval = self.where(data, "ApprovalRequested", right=True), uuid4()
        if not right:
            used = self.some(data, lambda state: state.approvals, self.one_to_decide)[1].approvals
            elsewhere = self.where(data, "ApprovalRequested", right=False)
            one, approval = data.draw(st.sampled_from([(one, UUID(next(iter(used)))), (elsewhere, approval)]))
        ask = self.workflows.request_approval
        self.attempt(lambda: ask(one, "deploy", approval_id=approval), one, "ApprovalRequested", right)

    def apply_approval(self, data: st.DataObject, right: bool) -> None:
        """A pending approval is decided once, one way or the other."""

        def undecided(state: ExecutionState) -> list[UUID]:
            if not allows(state, "ApprovalApplied"):
                return []
            return [UUID(each.id) for each in state.approvals.values() if each.status == "pending"]

        one, state = self.some(data, undecided, self.one_to_decide)
        approval = data.draw(st.sampled_from(undecided(state)))
        decision = data.draw(st.sampled_from(["approved", "rejected"]))
        if not right:
            decided = [UUID(each.id) for each in state.approvals.values() if each.status != "pending"]
            wrong = [(approval, "perhaps"), *((each, decision) for each in [*decided, NOBODY])]
            approval, decision = data.draw(st.sampled_from(wrong))
        decide = self.workflows.apply_approval
        self.attempt(lambda: decide(one, approval, decision), one, "ApprovalApplied", right)

    # Facts --------------------------------------------------------------------------------------------------------

    def update_context(self, data: st.DataObject, right: bool) -> None:
        """The context takes a merge patch, an object."""
        patch: Any = data.draw(st.sampled_from([{"n": 3}, {"a": {"b": None}}, {"servers": None}]))
        one = self.where(data, "ContextUpdated", right=True)
        if not right:
            one, patch = data.draw(st.sampled_from([(one, [1]), (one, None), (self.nowhere(data), patch)]))
        self.attempt(lambda: self.workflows.update_context(one, patch), one, "ContextUpdated", right)

    def log(self, data: st.DataObject, right: bool) -> None:
        """An entry of the log may follow an end."""
        one, _ = self.some(data, lambda _: True, self.a_running_one)
        level = data.draw(st.sampled_from(["info", "error"]))
        if not right:
            one, level = data.draw(st.sampled_from([(one, "loud"), (NOBODY, level)]))
        self.attempt(lambda: self.workflows.log(one, "x", level=level, details={"a": 1}), one, "LogRecorded", right)

    def record_artifact(self, data: st.DataObject, right: bool) -> None:
        """An artifact of a known kind, under an id of its own."""
        one, state = self.some(data, lambda _: True, self.a_running_one)
        kind, artifact = data.draw(st.sampled_from(["report", "chart"])), uuid4()
        if not right:
            taken = [("report", UUID(each)) for each in state.artifacts]
            kind, artifact = data.draw(st.sampled_from([("poem", artifact), *taken]))
        record = self.workflows.record_artifact
        self.attempt(
            lambda: record(one, "r.md", kind, uri="file:r", artifact_id=artifact), one, "ArtifactRecorded", right
        )

    def record_usage(self, data: st.DataObject, right: bool) -> None:
        """A model call's usage counts once, perhaps over the budget."""
        one, _ = self.some(data, lambda _: True, self.a_running_one)
        name, tokens = str(uuid4()), data.draw(st.sampled_from([0, 7, 20]))
        if not right:
            used = self.ledger.connection.execute(
                "SELECT model_call_id FROM usage_keys WHERE execution_id = %s", (one,)
            ).fetchall()
            wrong = [(name, -1), *((row["model_call_id"], tokens) for row in used)]
            name, tokens = data.draw(st.sampled_from(wrong))
        record = self.workflows.record_usage
        self.attempt(
            lambda: record(one, name, "gpt-5-mini", provider="openai", input_tokens=tokens), one, "TokensUpdated", right
        )

    # Ends ---------------------------------------------------------------------------------------------------------

    def cancel(self, data: st.DataObject, right: bool) -> None:
        """Somebody ends it."""
        one = self.where(data, "WorkflowCancelled", right)
        self.attempt(lambda: self.workflows.cancel(one), one, "WorkflowCancelled", right)

    def abort(self, data: st.DataObject, right: bool) -> None:
        """It is ended from outside."""
        one = self.where(data, "ExecutionAborted", right)
        self.attempt(lambda: self.workflows.abort(one), one, "ExecutionAborted", right)

    def time_out(self, data: st.DataObject, right: bool) -> None:
        """It ran too long, somebody says."""
        one = self.where(data, "WorkflowTimedOut", right)
        self.attempt(lambda: self.workflows.time_out(one), one, "WorkflowTimedOut", right)

    def fail(self, data: st.DataObject, right: bool) -> None:
        """It ends with an error."""
        one = self.where(data, "WorkflowFailed", right)
        self.attempt(lambda: self.workflows.fail(one, "no", code="E1"), one, "WorkflowFailed", right)

    def complete(self, data: st.DataObject, right: bool) -> None:
        """An execution completes once nothing is left to do, or the rest is skipped, and its output is right."""

        def completable(state: ExecutionState) -> bool:
            return allows(state, "WorkflowCompleted") and not state.open_calls

        one, state = self.some(data, completable, self.a_running_one)
        output, skip = {"schedule": "day"}, True
        if not right:
            wrong = [(self.nowhere(data), True)]
            wrong += [(each, True) for each, other in self.states.items() if other.open_calls]
            wrong += [(one, False)] if not next_steps(state).may_complete else []
            one, skip = data.draw(st.sampled_from(wrong))
        act = self.workflows.complete
        self.attempt(lambda: act(one, output, skip_remaining=skip), one, "WorkflowCompleted", right)

    def expire(self, data: st.DataObject, right: bool) -> None:
        """Executions beyond their limit time out, all of them and no others; the time has a zone."""
        now = datetime.now(UTC)
        late: set[UUID] = set()
        if right:
            user, drive = data.draw(st.sampled_from(self.owners))
            given: dict[str, Any] = {"drive_id": drive, "user_id": user, "input": INPUT, "at": now - timedelta(hours=2)}
            self.attempt(
                lambda: self.workflows.start("write_and_publish", **given), None, "WorkflowCreated", right=True
            )
            late = {
                each
                for each, state in self.states.items()
                if state.workflow_name == "write_and_publish"
                and not has_ended(state)
                and state.started_at is not None
                and state.started_at < now - timedelta(hours=1)
            }
        when: Any = now if right else data.draw(st.sampled_from(["now", now.replace(tzinfo=None)]))
        self.attempt(lambda: self.workflows.expire(when), None, "WorkflowTimedOut", right, others=late)
        assert {str(self.states[each].status) for each in late} <= {"timeout"}


@pytest.mark.slow
@pytest.mark.mission("E4")
@pytest.mark.mission("E3")
@pytest.mark.mission("A9")
def test_legal_commands_move_their_execution_alone_and_illegal_ones_nothing(ledger: Ledger) -> None:
    owners: list[tuple[UUID, UUID]] = []
    for name in ("Engineering", "Research"):
        user, drive = uuid4(), uuid4()
        ledger.connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (user, name))
        ledger.connection.execute("INSERT INTO drives (id, name) VALUES (%s, %s)", (drive, name))
        for definition in DEFINITIONS:
            Templates(ledger.connection).save(definition, drive_id=drive)
        owners.append((user, drive))
    outcomes: Counter[tuple[str, bool]] = Counter()
    machine = type(
        "CommandsOnWorkflows", (WorkflowCommands,), {"ledger": ledger, "owners": owners, "outcomes": outcomes}
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=5,
            phases=[Phase.generate],  # to shrink a run of so many commands takes minutes
            stateful_step_count=2 * len(COMMANDS),
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
    lacking = {(name, right) for name in COMMANDS for right in (True, False)} - set(outcomes)
    assert not lacking, "no such command was taken (True), or refused (False)"
