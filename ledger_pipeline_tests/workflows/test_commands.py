"""Random commands of `Workflows`: a legal one moves its execution as its events say, an illegal one nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg import sql

from ledger_pipeline import Ledger
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.events.fold import fold
from ledger_pipeline.events.state import ExecutionState, StepState, initial
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
MOST_EXECUTIONS = 4
TONE = {"type": "object", "required": ["tone"], "properties": {"tone": {"enum": ["dry", "warm"]}}}
CONTAINERS = ("condition", "parallel", "loop")
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


def runs(state: ExecutionState) -> bool:
    """Whether a call of the execution is open that somebody works on."""
    working = (step.status == "running" and step.step_type == "action" for step in state.steps.values())
    return allows(state, "StepCompleted") and any(working)


class WorkflowCommands(RuleBasedStateMachine):
    """A few executions of two drives, each beside the fold of its events."""

    ledger: Ledger
    owners: list[tuple[UUID, UUID]]
    outcomes: dict[str, list[int]]

    def __init__(self) -> None:
        super().__init__()
        self.workflows: Workflows = self.ledger.workflows.acting_as("orchestrator", "system")
        self.states: dict[UUID, ExecutionState] = {}
        self.known = digest(self.ledger.connection)

    def teardown(self) -> None:
        """Ends what goes on: `expire` would find it in the next run of the machine."""
        for execution_id, state in self.states.items():
            if state.position not in ENDED:
                self.workflows.cancel(execution_id)

    # What holds of every command ----------------------------------------------------------------------------------

    def attempt(
        self,
        command: Callable[[], Any],
        execution_id: UUID | None,
        event_type: str,
        legal: bool | None,
        others: set[UUID] | None = None,
    ) -> None:
        """Gives a command; `legal` says whether it must be taken, None that its subject decides.

        The first event that it appends is of the type; no execution moves but its own, `others`, and linked children.
        """
        connection, before = self.ledger.connection, self.known
        counted = self.outcomes.setdefault(event_type, [0, 0])
        refused: LedgerError | None = None
        answer: Any = None
        try:
            answer = command()
        except LedgerError as error:
            refused = error
        if refused is not None:
            assert legal is not True, refused
            counted[1] += 1
            assert digest(connection) == before
            return
        assert legal is not False, f"{event_type} was taken"
        counted[0] += 1
        self.known = digest(connection)
        moved = {owner for (_, owner), _ in self.known.items() ^ before.items()}
        assert None not in moved, "a row changed that is of no execution"
        own = execution_id or getattr(answer, "execution_id", None)
        expected = {own} | (others or set())
        for each in sorted(moved, key=lambda one: one != own):
            assert each is not None
            appended = self.follow(each)
            assert each in expected, "an execution moved that the command does not concern"
            if each == own:
                assert appended[0]["event_type"] == event_type
            expected |= {row["child_execution_id"] for row in appended}
        if moved:
            report = check_projections(connection, NO_COLD, sorted(each for each in moved if each))
            assert report.ok, report.first

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

    def chosen(
        self, data: st.DataObject, fits: Callable[[ExecutionState], bool] = lambda state: state.position not in ENDED
    ) -> tuple[UUID, ExecutionState]:
        """An execution, rather one that fits: that goes on, where nothing else is wanted."""
        fitting = [each for each, state in self.states.items() if fits(state)]
        execution_id = data.draw(st.sampled_from(fitting * 6 + list(self.states)))
        return execution_id, self.states[execution_id]

    def step(self, data: st.DataObject, state: ExecutionState, *statuses: str) -> tuple[UUID, StepState | None]:
        """A step, rather one of a status, seldom none of the execution's."""
        steps = list(state.steps.values())
        fitting = [step for step in steps if step.status in statuses]
        found = data.draw(st.sampled_from([*fitting * 6, *steps, None]))
        return (NOBODY, None) if found is None else (UUID(found.id), found)

    # Beginnings ---------------------------------------------------------------------------------------------------

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """There is an execution."""
        self.start(data, template=True, right=True)

    @rule(data=st.data(), template=st.booleans(), right=st.sampled_from([True, True, True, False]))
    def start(self, data: st.DataObject, template: bool, right: bool) -> None:
        """From a template of a drive, or from a definition at hand; an input that lacks what is required is refused."""
        if sum(state.position not in ENDED for state in self.states.values()) >= MOST_EXECUTIONS and right:
            return
        definition = data.draw(st.sampled_from(DEFINITIONS if right else [SETUP_VM_BACKUP, DEPLOY_EVERYWHERE]))
        user, drive = data.draw(st.sampled_from(self.owners))
        given: dict[str, Any] = {"drive_id": drive, "user_id": user, "input": INPUT if right else {"n": 1}}
        if "timeout_minutes" in definition and data.draw(st.booleans()):
            given["at"] = datetime.now(UTC) - timedelta(hours=2)
        name = definition["name"] if template else None
        if not template:
            given["definition"] = definition
        given["budget_tokens"] = data.draw(st.sampled_from([None, 10])) or 1000
        act = data.draw(st.sampled_from([self.workflows.start, self.workflows.start, self.workflows.create]))
        self.attempt(lambda: act(name, **given), None, "WorkflowCreated", right)

    @rule(data=st.data())
    def set_going(self, data: st.DataObject) -> None:
        """A created execution is set going, once."""
        one, state = self.chosen(data)
        self.attempt(lambda: self.workflows.begin(one), one, "WorkflowStarted", allows(state, "WorkflowStarted"))

    @rule(data=st.data())
    def run_again(self, data: st.DataObject) -> None:
        """What ended otherwise than well is run again, as another execution."""
        one = data.draw(st.sampled_from(list(self.states)))
        if len(self.states) >= 3 * MOST_EXECUTIONS:
            return
        legal = self.states[one].status in ("failed", "timeout", "aborted", "cancelled")
        self.attempt(lambda: self.workflows.rerun(one), None, "WorkflowCreated", legal)

    # Steps --------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), first=st.booleans())
    def dispatch(self, data: st.DataObject, first: bool) -> None:
        """A step is dispatched when it is among those that come next, and no other."""
        if first and not any(next_steps(each).ready for each in self.states.values()):
            self.start(data, template=data.draw(st.booleans()), right=True)
        one, state = self.chosen(data, lambda each: bool(next_steps(each).ready))
        ready = {each.step_id: each for each in next_steps(state).ready}
        if first:
            named, which = None, next(iter(ready), NOBODY)
        else:
            named = which = data.draw(st.sampled_from([*list(ready) * 4, *map(UUID, state.steps), NOBODY]))
        legal: bool | None = which in ready
        # A person's input, a judged condition and a linked workflow are more than the step's state.
        if legal and (ready[which].needs_input or ready[which].step_type in ("condition", "workflow_link")):
            legal = None
        self.attempt(lambda: self.workflows.dispatch(one, named), one, "StepDispatched", legal)

    @rule(data=st.data(), wrong=st.sampled_from([False, False, True]))
    def dispatch_unplanned(self, data: st.DataObject, wrong: bool) -> None:
        """A step that the plan lacks joins its end."""
        one, state = self.chosen(data)
        given = {"name": f"extra_{len(state.steps)}"} | ({} if wrong else {"tool_name": "extra"})
        legal = not wrong and allows(state, "StepDispatched")
        self.attempt(lambda: self.workflows.dispatch_unplanned(one, **given), one, "StepDispatched", legal)

    @rule(data=st.data(), well=st.sampled_from([True, True, False]), by_call=st.booleans())
    def close(self, data: st.DataObject, well: bool, by_call: bool) -> None:
        """A call is completed or failed while it is open, named by itself or by its step."""
        if not any(map(runs, self.states.values())):
            self.dispatch(data, first=True)
        one, state = self.chosen(data, runs)
        named, step = self.step(data, state, "running")
        working = [each for each in state.steps.values() if each.status == "running" and each.step_type == "action"]
        if working and data.draw(st.integers(0, 3)):
            step = data.draw(st.sampled_from(working))
            named = UUID(step.id)
        event_type = "StepCompleted" if well else "StepFailed"
        legal: bool | None = step is not None and step.status == "running" and allows(state, event_type)
        if legal and step is not None and step.step_type in CONTAINERS:
            legal = False if well else None
        if by_call and step is not None:
            calls = [call.id for call in state.calls.values() if call.step_id == step.id]
            named = UUID(calls[-1]) if calls else named
        if well:
            output = data.draw(st.sampled_from([None, "x", {"release": "1.0", "schedule": "day"}]))
            self.attempt(lambda: self.workflows.complete_step(one, named, output), one, event_type, legal)
        else:
            retriable = data.draw(st.booleans())
            fail = self.workflows.fail_step
            # A container fails with what is open below it: the first event is of that.
            if legal is not None:
                self.attempt(lambda: fail(one, named, "no", retriable=retriable), one, event_type, legal)

    @rule(data=st.data())
    def work_on(self, data: st.DataObject) -> None:
        """The next step is dispatched and its call closed."""
        self.dispatch(data, first=True)
        self.close(data, well=data.draw(st.integers(0, 2)) > 0, by_call=False)

    @rule(data=st.data(), again=st.booleans())
    def retry_or_skip(self, data: st.DataObject, again: bool) -> None:
        """A failed step is tried again while it has attempts left; one that has not run is passed over."""
        event_type = "StepRetried" if again else "StepSkipped"
        allowed = RULES[event_type].step_from
        one, state = self.chosen(
            data, lambda each: allows(each, event_type) and any(step.status in allowed for step in each.steps.values())
        )
        named, step = self.step(data, state, *RULES[event_type].step_from)
        legal = step is not None and step.status in RULES[event_type].step_from and allows(state, event_type)
        if again:
            legal = legal and step is not None and step.attempt < step.max_attempts and step.step_type not in CONTAINERS
            self.attempt(lambda: self.workflows.retry_step(one, named), one, event_type, legal)
        else:
            self.attempt(lambda: self.workflows.skip_step(one, named, "not now"), one, event_type, legal)

    @rule(data=st.data())
    def collect_child(self, data: st.DataObject) -> None:
        """A link ends as its child has ended, and not before."""
        one, state = self.chosen(data, lambda each: any(step.child_execution_id for step in each.steps.values()))
        links = [UUID(step.id) for step in state.steps.values() if step.step_type == "workflow_link"]
        named = data.draw(st.sampled_from([*links * 4, *map(UUID, state.steps), NOBODY]))
        step = state.steps.get(str(named))
        child = step.child_execution_id if step else None
        ended = self.states[UUID(child)] if child else None
        legal = step is not None and step.status == "running" and allows(state, "StepCompleted")
        legal = legal and ended is not None and ended.position in ENDED
        kind = "StepCompleted" if ended is not None and ended.status == "completed" else "StepFailed"
        self.attempt(lambda: self.workflows.collect_child(one, named), one, kind, legal)

    # Waiting ------------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        """A running execution pauses, a paused one goes on."""
        one, state = self.chosen(data)
        act, event_type = data.draw(
            st.sampled_from([(self.workflows.pause, "WorkflowPaused"), (self.workflows.resume, "WorkflowResumed")])
        )
        self.attempt(lambda: act(one, "lunch"), one, event_type, allows(state, event_type))

    @rule(data=st.data(), right=st.sampled_from([True, True, False]))
    def request_input(self, data: st.DataObject, right: bool) -> None:
        """An execution waits for a person's input to one of its steps."""
        one, state = self.chosen(data)
        named, step = self.step(data, state, "pending")
        schema = TONE if right else {"type": "objekt"}
        legal = right and step is not None and allows(state, "InputRequested")
        self.attempt(
            lambda: self.workflows.request_input(one, named, prompt="Tone?", schema=schema),
            one,
            "InputRequested",
            legal,
        )

    @rule(data=st.data(), value=st.sampled_from([{"tone": "dry"}, {"tone": "warm"}, {"tone": "loud"}, {}, None]))
    def receive_input(self, data: st.DataObject, value: Any) -> None:
        """The input is taken when it was asked for and its schema allows it."""
        waiting = [each for each, state in self.states.items() if allows(state, "InputReceived")]
        one = data.draw(st.sampled_from([*waiting * 5, *self.states]))
        legal = one in waiting and bool(value) and value["tone"] in ("dry", "warm")
        self.attempt(lambda: self.workflows.receive_input(one, value), one, "InputReceived", legal)

    @rule(data=st.data())
    def request_approval(self, data: st.DataObject) -> None:
        """Somebody is asked to decide; under an id that was not used before."""
        one, state = self.chosen(data)
        approval = data.draw(st.sampled_from([uuid4(), uuid4(), *map(UUID, state.approvals)]))
        legal = allows(state, "ApprovalRequested") and str(approval) not in state.approvals
        ask = self.workflows.request_approval
        self.attempt(lambda: ask(one, "deploy", approval_id=approval), one, "ApprovalRequested", legal)

    @rule(data=st.data(), decision=st.sampled_from(["approved", "rejected", "perhaps"]))
    def apply_approval(self, data: st.DataObject, decision: str) -> None:
        """A pending approval is decided once, one way or the other."""
        one, state = self.chosen(data, lambda each: bool(each.approvals_pending))
        approval = data.draw(st.sampled_from([*map(UUID, state.approvals), NOBODY]))
        known = state.approvals.get(str(approval))
        legal = known is not None and known.status == "pending" and decision != "perhaps"
        legal = legal and allows(state, "ApprovalApplied")
        decide = self.workflows.apply_approval
        self.attempt(lambda: decide(one, approval, decision), one, "ApprovalApplied", legal)

    # Facts --------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), patch=st.sampled_from([{"n": 3}, {"a": {"b": None}}, {"servers": None}, [1], None]))
    def update_context(self, data: st.DataObject, patch: Any) -> None:
        """The context takes a merge patch, an object."""
        one, state = self.chosen(data)
        legal = isinstance(patch, dict) and allows(state, "ContextUpdated")
        self.attempt(lambda: self.workflows.update_context(one, patch), one, "ContextUpdated", legal)

    @rule(data=st.data(), level=st.sampled_from(["info", "error", "loud"]))
    def log(self, data: st.DataObject, level: str) -> None:
        """An entry of the log may follow an end."""
        one, state = self.chosen(data)
        legal = level != "loud" and allows(state, "LogRecorded")
        self.attempt(lambda: self.workflows.log(one, "x", level=level, details={"a": 1}), one, "LogRecorded", legal)

    @rule(data=st.data(), kind=st.sampled_from(["report", "chart", "poem"]))
    def record_artifact(self, data: st.DataObject, kind: str) -> None:
        """An artifact of a known kind, under an id of its own."""
        one, state = self.chosen(data)
        artifact = data.draw(st.sampled_from([uuid4(), uuid4(), *map(UUID, state.artifacts)]))
        legal = kind != "poem" and str(artifact) not in state.artifacts and allows(state, "ArtifactRecorded")
        record = self.workflows.record_artifact
        self.attempt(
            lambda: record(one, "r.md", kind, uri="file:r", artifact_id=artifact), one, "ArtifactRecorded", legal
        )

    @rule(data=st.data(), tokens=st.sampled_from([0, 7, -1]))
    def record_usage(self, data: st.DataObject, tokens: int) -> None:
        """A model call's usage counts once, perhaps over the budget."""
        one, state = self.chosen(data)
        name = data.draw(st.sampled_from(["call-1", "call-2", str(uuid4())]))
        used = self.ledger.connection.execute(
            "SELECT FROM usage_keys WHERE execution_id = %s AND model_call_id = %s", (one, name)
        ).rowcount
        legal = tokens >= 0 and not used and allows(state, "TokensUpdated")
        record = self.workflows.record_usage
        self.attempt(
            lambda: record(one, name, "gpt-5-mini", provider="openai", input_tokens=tokens), one, "TokensUpdated", legal
        )

    # Ends ---------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), seldom=st.integers(0, 2))
    def end(self, data: st.DataObject, seldom: int) -> None:
        """An execution ends once, one way or the other."""
        if seldom:
            return
        one, state = self.chosen(data)
        act, event_type = data.draw(
            st.sampled_from(
                [
                    (self.workflows.cancel, "WorkflowCancelled"),
                    (self.workflows.abort, "ExecutionAborted"),
                    (self.workflows.time_out, "WorkflowTimedOut"),
                    (lambda each: self.workflows.fail(each, "no", code="E1"), "WorkflowFailed"),
                ]
            )
        )
        self.attempt(lambda: act(one), one, event_type, allows(state, event_type))

    @rule(data=st.data(), skip=st.booleans())
    def complete(self, data: st.DataObject, skip: bool) -> None:
        """An execution completes once nothing is left to do, or the rest is skipped, and its output is right."""
        one, state = self.chosen(data)
        if skip and data.draw(st.integers(0, 2)):
            return
        legal = allows(state, "WorkflowCompleted") and not state.open_calls
        legal = legal and (skip or next_steps(state).may_complete)
        output = data.draw(st.sampled_from([{"schedule": "day"}, {"schedule": "day"}, {}]))
        needs_schedule = state.workflow_name == "setup_vm_backup"
        legal = legal and not (needs_schedule and not output)
        complete = self.workflows.complete
        self.attempt(lambda: complete(one, output, skip_remaining=skip), one, "WorkflowCompleted", legal)

    @rule(seldom=st.integers(0, 3))
    def expire(self, seldom: int) -> None:
        """Executions beyond their limit time out, all of them and no others."""
        now = datetime.now(UTC)
        late = {
            each
            for each, state in self.states.items()
            if state.workflow_name == "write_and_publish"
            and state.position not in ENDED
            and state.started_at is not None
            and state.started_at < now - timedelta(hours=1)
        }
        if not late and seldom:
            return
        self.attempt(lambda: self.workflows.expire(now), None, "WorkflowTimedOut", legal=True, others=late)
        assert {str(self.states[each].status) for each in late} <= {"timeout"}

    @rule(data=st.data())
    def command_nothing(self, data: st.DataObject) -> None:
        """There is no such execution."""
        act: Callable[[UUID], Any] = data.draw(
            st.sampled_from(
                [self.workflows.begin, self.workflows.cancel, self.workflows.dispatch, self.workflows.rerun]
            )
        )
        self.attempt(lambda: act(NOBODY), NOBODY, "NotFound", legal=False)


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
    outcomes: dict[str, list[int]] = {}
    machine = type(
        "CommandsOnWorkflows", (WorkflowCommands,), {"ledger": ledger, "owners": owners, "outcomes": outcomes}
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=6,
            stateful_step_count=50,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
    # Commands were taken as well as refused: a machine that only meets refusals proves little.
    taken, refused = (sum(counted[nth] for counted in outcomes.values()) for nth in (0, 1))
    assert min(taken, refused) > 40, outcomes
