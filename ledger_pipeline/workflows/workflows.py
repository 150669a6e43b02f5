"""`Workflows`: the commands by which an application runs workflows through the ledger, and what comes next in each.

Every command judges its input by the execution's state, records what happened as events and appends them; refused input
leaves nothing. The work itself, calling agents and tools, is the caller's. `at` is when it happened, by default now.
A step is named by id, path or name; a call by its id or, while one call of it is open, by its step.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from ledger_pipeline.errors import InvalidInput, LedgerError, NotFound, SequenceConflict
from ledger_pipeline.events.catalogue import WorkflowCreated
from ledger_pipeline.events.enums import ArtifactType, Decision, LogLevel, OperatorKind, WorkflowType
from ledger_pipeline.events.state import ExecutionState, initial
from ledger_pipeline.hot.artifacts import StoredArtifact, content_type_of, open_artifact, store_artifact
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.templates import Templates
from ledger_pipeline.templates.reading import Document, read_definition
from ledger_pipeline.workflows import closing, dispatching, ending, facts, starting, waiting
from ledger_pipeline.workflows.answers import Dispatched, NextSteps, Recorded, Started
from ledger_pipeline.workflows.dispatching import ChildRequest, Given
from ledger_pipeline.workflows.limits import Overdue, overdue
from ledger_pipeline.workflows.next_steps import next_steps
from ledger_pipeline.workflows.recorder import TRIES, Recorder, Store
from ledger_pipeline.workflows.recording import Operator, Recording
from ledger_pipeline.workflows.references import StepRef
from ledger_pipeline.workflows.starting import Workflow

_AGENTS = "SELECT name, min(id::text)::uuid AS id FROM agents WHERE name = ANY(%s) GROUP BY name"
EXPIRED_AT_ONCE = 100
"""Limits that one call of `expire` records at most."""


class Workflows:
    """The commands on a ledger's executions, given by one operator."""

    def __init__(
        self,
        store: Store,
        connection: Connection,
        artifacts: Path,
        now: Callable[[], datetime],
        operator: Operator | None = None,
    ) -> None:
        self._store = store
        self._connection = connection
        self._artifacts = artifacts
        self._now = now
        self._recorder = Recorder(store, connection, now, operator or Operator())

    def acting_as(self, operator_id: str, kind: OperatorKind | str = OperatorKind.USER) -> "Workflows":
        """The same commands, given by another operator, whom their events will name."""
        return Workflows(
            self._store, self._connection, self._artifacts, self._now, Operator(operator_id, OperatorKind(kind))
        )

    # What comes next ----------------------------------------------------------------------------------------------

    def state(self, execution_id: UUID) -> ExecutionState:
        """The execution's present state, from its rows; raises NotFound."""
        return self._recorder.state(execution_id)

    def next_steps(self, execution_id: UUID) -> NextSteps:
        """What may be dispatched now, what runs, and what the execution waits for."""
        return next_steps(self.state(execution_id))

    # Beginnings ---------------------------------------------------------------------------------------------------

    def start(self, template: UUID | str | None = None, **given: Any) -> Started:
        """Creates an execution and sets it going; takes what `create` takes."""
        return self._create(template, begin=True, **given)

    def create(self, template: UUID | str | None = None, **given: Any) -> Started:
        """Creates an execution, which waits until `begin`.

        It is made from a stored `template` (its id, or its name in `drive_id`, at a `version`), or from a `definition`
        at hand. `input` is checked and its defaults filled. A template must be active or deprecated; what is doubtful,
        a deprecated template or a workflow without steps, is a warning in the answer and in the execution's log.
        """
        return self._create(template, begin=False, **given)

    def begin(self, execution_id: UUID, *, at: datetime | None = None) -> Recorded:
        """Sets a created execution going."""
        return self._run(execution_id, at, starting.begin)

    def _create(
        self,
        template: UUID | str | None,
        *,
        begin: bool,
        definition: Document | None = None,
        version: int | str | None = None,
        input: Any = None,
        execution_id: UUID | None = None,
        drive_id: UUID | None = None,
        customer_id: UUID | None = None,
        user_id: UUID | None = None,
        agent_id: UUID | None = None,
        agent_name: str | None = None,
        mode: str | None = None,
        workflow_type: WorkflowType | str | None = None,
        budget_usd: Decimal | None = None,
        budget_tokens: int | None = None,
        trigger_context: Mapping[str, Any] | None = None,
        triggered_by: str | None = None,
        triggered_by_kind: OperatorKind | str | None = None,
        parent_execution_id: UUID | None = None,
        parent_step_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Started:
        workflow, drive = self._workflow(template, definition, drive_id, version)
        operator = self._recorder.operator
        recording = self._recorder.recording(initial(), at)
        chosen = execution_id or recording.new_id()
        starting.create(
            recording,
            chosen,
            workflow,
            input,
            metadata,
            drive_id=drive,
            customer_id=customer_id,
            user_id=user_id,
            agent_id=agent_id,
            agent_name=agent_name,
            mode=mode,
            workflow_type=workflow_type,
            budget_usd=budget_usd,
            budget_tokens=budget_tokens,
            trigger_context=None if trigger_context is None else dict(trigger_context),
            triggered_by=triggered_by or operator.id,
            triggered_by_kind=triggered_by_kind or operator.kind,
            parent_execution_id=parent_execution_id,
            parent_step_id=parent_step_id,
        )
        if begin:
            starting.begin(recording)
        recorded = self._recorder.append(chosen, recording)
        return Started(chosen, recorded.last_sequence, recorded.warnings)

    def _workflow(
        self,
        template: UUID | str | None,
        definition: Document | None,
        drive_id: UUID | None,
        version: int | str | None = None,
    ) -> tuple[Workflow, UUID | None]:
        """What an execution is made from, and the drive that it belongs to."""
        if (template is None) == (definition is None):
            raise InvalidInput("template: give a stored template or a definition, one of the two")
        if definition is not None:
            reading = read_definition(definition)
            # That there are no steps is said by the creation itself.
            warnings = tuple(str(fault) for fault in reading.warnings if fault.where != "steps")
            return Workflow(reading.definition, warnings=warnings, agents=self._agents(reading.definition)), drive_id
        assert template is not None
        stored = Templates(self._connection).get(template, drive_id=drive_id, version=version)
        warnings = tuple(str(fault) for fault in stored.check_runnable())
        workflow = Workflow(
            stored.definition,
            template_id=stored.id,
            template_version=stored.version_number,
            version_tag=stored.version_tag,
            step_ids=stored.step_ids,
            agents=self._agents(stored.definition),
            warnings=warnings,
        )
        return workflow, stored.drive_id

    def _agents(self, definition: Any) -> dict[str, UUID]:
        names = starting.agent_names(definition)
        if not names:
            return {}
        return {row["name"]: row["id"] for row in self._connection.execute(_AGENTS, (names,)).fetchall()}

    def rerun(
        self,
        execution_id: UUID,
        *,
        new_execution_id: UUID | None = None,
        trigger_context: Mapping[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Started:
        """Runs a failed, timed out, aborted or cancelled execution again: a new one with the same plan and input."""
        starting.check_rerun(self.state(execution_id))
        first = WorkflowCreated.from_row(next(self._store.events(execution_id)))
        if first.template_id is not None:
            Templates(self._connection).get(first.template_id).check_runnable()
        recording = self._recorder.recording(initial(), at)
        chosen, operator = new_execution_id or recording.new_id(), self._recorder.operator
        starting.rerun(
            recording,
            chosen,
            first,
            retry_of=execution_id,
            triggered_by=operator.id,
            triggered_by_kind=operator.kind,
            trigger_context=None if trigger_context is None else dict(trigger_context),
        )
        starting.begin(recording)
        recorded = self._recorder.append(chosen, recording)
        return Started(chosen, recorded.last_sequence, recorded.warnings)

    # Steps --------------------------------------------------------------------------------------------------------

    def dispatch(
        self,
        execution_id: UUID,
        step: StepRef | None = None,
        *,
        call_id: UUID | None = None,
        input: Any = None,
        tool_parameters: Any = None,
        agent_id: UUID | None = None,
        agent_name: str | None = None,
        at: datetime | None = None,
    ) -> Dispatched:
        """Opens a call of a step that is ready, by default the first, and answers the work with variables filled in.

        A condition is judged and its branch taken, a loop begins its first iteration, a parallel step makes its
        branches ready, and a workflow link starts its child execution, all recorded at once.
        """
        given = Given(call_id, input, tool_parameters, agent_id, agent_name)
        return self._dispatch(execution_id, at, partial(dispatching.dispatch, reference=step, given=given))

    def dispatch_unplanned(
        self,
        execution_id: UUID,
        *,
        name: str | None = None,
        agent: str | None = None,
        prompt: str | None = None,
        tool_name: str | None = None,
        parameters: Any = None,
        retry_count: int = 0,
        call_id: UUID | None = None,
        at: datetime | None = None,
    ) -> Dispatched:
        """Opens a call of an action that the plan lacks; the step joins the end of the plan."""
        fields = {
            "type": "action",
            "name": name,
            "agent_id": agent,
            "prompt_template": prompt,
            "tool_name": tool_name,
            "parameters": parameters,
            "retry_count": retry_count or None,
        }
        config = {field: value for field, value in fields.items() if value is not None}
        starting.check_unplanned(config)

        def command(recording: Recording) -> tuple[Dispatched, ChildRequest | None]:
            entry = starting.unplanned_entry(recording.state, recording.new_id(), config)
            return dispatching.dispatch_unplanned(recording, entry, Given(call_id=call_id))

        return self._dispatch(execution_id, at, command)

    def _dispatch(
        self,
        execution_id: UUID,
        at: datetime | None,
        command: Callable[[Recording], tuple[Dispatched, ChildRequest | None]],
    ) -> Dispatched:
        for attempt in range(TRIES):
            recording = self._recorder.recording(self.state(execution_id), at)
            dispatched, request = command(recording)
            try:
                if request is None:
                    self._recorder.append(execution_id, recording)
                else:
                    # Parent and child together: neither a link to nothing nor a child that nobody knows of.
                    child = self._child(recording, request)
                    self._recorder.append_together({execution_id: recording, request.execution_id: child})
                    dispatched = replace(dispatched, warnings=(*dispatched.warnings, *child.warnings))
                return dispatched
            except SequenceConflict:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _child(self, parent: Recording, request: ChildRequest) -> Recording:
        """The recording of a link's child: of the parent's drive, customer, user and mode."""
        state = parent.state
        drive = None if state.drive_id is None else UUID(state.drive_id)
        workflow, drive = self._workflow(request.workflow_name, None, drive)
        child = self._recorder.recording(initial(), parent.at)
        starting.create(
            child,
            request.execution_id,
            workflow,
            request.input,
            None,
            drive_id=drive,
            customer_id=state.customer_id,
            user_id=state.user_id,
            mode=state.mode,
            triggered_by=self._recorder.operator.id or state.triggered_by,
            triggered_by_kind=self._recorder.operator.kind or state.triggered_by_kind,
            trigger_context={"parent_execution_id": state.id, "step_name": request.step_name},
            parent_execution_id=state.id,
            parent_step_id=request.step_id,
        )
        starting.begin(child)
        return child

    def complete_step(
        self,
        execution_id: UUID,
        call: StepRef,
        output: Any = None,
        *,
        tool_result: Any = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Closes a call that ended well; a top-level step's output joins the context as `step_<n>_output`."""
        return self._run(
            execution_id, at, partial(closing.complete_step, call=call, output=output, tool_result=tool_result)
        )

    def fail_step(
        self,
        execution_id: UUID,
        call: StepRef,
        message: str,
        *,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        retriable: bool = True,
        delay_ms: int | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Closes a call that ended with an error.

        The step is retried while it has attempts left, unless the error is not `retriable`; then its `on_failure` says
        how the execution goes on. `fail`, the default, fails it in the same append.
        """
        command = partial(
            closing.fail_step,
            call=call,
            message=message,
            code=code,
            details=details,
            retriable=retriable,
            delay_ms=delay_ms,
        )
        return self._run(execution_id, at, command)

    def retry_step(
        self, execution_id: UUID, step: StepRef, *, delay_ms: int | None = None, at: datetime | None = None
    ) -> Recorded:
        """Lets a failed step that the execution went past run again; refused beyond its maximum of attempts."""
        return self._run(execution_id, at, partial(closing.retry_step, reference=step, delay_ms=delay_ms))

    def skip_step(
        self, execution_id: UUID, step: StepRef, reason: str | None = None, *, at: datetime | None = None
    ) -> Recorded:
        """Passes over a step that has not run."""
        return self._run(execution_id, at, partial(closing.skip_step, reference=step, reason=reason))

    def collect_child(self, execution_id: UUID, step: StepRef, *, at: datetime | None = None) -> Recorded:
        """Ends a workflow link as its child execution has ended: with its output, or with its error."""
        linked = closing.linked_step(self.state(execution_id), step)
        child = self.state(UUID(linked.child_execution_id))
        return self._run(execution_id, at, partial(closing.collect_child, reference=linked.id, child=child))

    # Waiting ------------------------------------------------------------------------------------------------------

    def pause(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """Nothing new is dispatched until the execution is resumed."""
        return self._run(execution_id, at, partial(waiting.pause, reason=reason))

    def resume(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """The execution goes on after a pause."""
        return self._run(execution_id, at, partial(waiting.resume, reason=reason))

    def request_input(
        self,
        execution_id: UUID,
        step: StepRef | None = None,
        *,
        prompt: str | None = None,
        schema: dict[str, Any] | bool | None = None,
        at: datetime | None = None,
    ) -> UUID:
        """Pauses the execution for a person's input to a step, by default the first that is ready; answers its id.

        Prompt and schema are the step's own where they are left out.
        """
        command = partial(waiting.request_input, reference=step, prompt=prompt, schema=schema)
        return self._recorder.run(execution_id, at, command)[0]

    def receive_input(self, execution_id: UUID, user_input: Any, *, at: datetime | None = None) -> Recorded:
        """Takes the input that was asked for, checked against the schema it was asked with; the execution goes on."""
        asked: dict[str, Any] | None = None
        for row in self._store.events(execution_id):
            asked = row if row["event_type"] == "InputRequested" else asked
        if asked is None:
            raise InvalidInput("user_input: this execution has not asked for any")
        schema = waiting.requested_schema(asked)
        command = partial(
            waiting.receive_input, value=user_input, asked_step=UUID(str(asked["step_id"])), schema=schema
        )
        return self._run(execution_id, at, command)

    def request_approval(
        self,
        execution_id: UUID,
        subject: str,
        *,
        approval_id: UUID | None = None,
        requested_from: str | None = None,
        call: StepRef | None = None,
        details: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> UUID:
        """Asks somebody to decide, about the execution or about an open call; answers the approval's id."""
        command = partial(
            waiting.request_approval,
            subject=subject,
            approval_id=approval_id,
            requested_from=requested_from,
            call=call,
            details=details,
        )
        return self._recorder.run(execution_id, at, command)[0]

    def apply_approval(
        self,
        execution_id: UUID,
        approval_id: UUID,
        decision: Decision | str,
        comment: str | None = None,
        *,
        at: datetime | None = None,
    ) -> Recorded:
        """Records the decision on an approval; who decided is the operator."""
        command = partial(waiting.apply_approval, approval_id=approval_id, decision=decision, comment=comment)
        return self._run(execution_id, at, command)

    # Facts beside the course --------------------------------------------------------------------------------------

    def update_context(self, execution_id: UUID, patch: dict[str, Any], *, at: datetime | None = None) -> Recorded:
        """Changes the accumulated context by an RFC 7396 merge patch."""
        return self._run(execution_id, at, partial(facts.update_context, patch=patch))

    def log(
        self,
        execution_id: UUID,
        message: str,
        *,
        level: LogLevel | str = LogLevel.INFO,
        step: StepRef | None = None,
        details: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Adds an entry to the execution's log."""
        return self._run(execution_id, at, partial(facts.log, message=message, level=level, step=step, details=details))

    def record_usage(
        self,
        execution_id: UUID,
        model_call_id: str,
        model: str,
        *,
        call: StepRef | None = None,
        at: datetime | None = None,
        **usage: Any,
    ) -> Recorded:
        """Records one request to a model: `provider`, `input_tokens`, `output_tokens` and the other fields of
        TokensUpdated; the price book says what it cost."""
        command = partial(facts.record_usage, model_call_id=model_call_id, model=model, call=call, usage=usage)
        return self._run(execution_id, at, command)

    def record_artifact(
        self,
        execution_id: UUID,
        name: str,
        artifact_type: ArtifactType | str,
        *,
        source: Path | bytes | BinaryIO | None = None,
        uri: str | None = None,
        size_bytes: int | None = None,
        sha256: str | None = None,
        content_type: str | None = None,
        artifact_id: UUID | None = None,
        step: StepRef | None = None,
        metadata: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> UUID:
        """Records an artifact, a copy of `source` under the home or a `uri` as it is given; answers its id."""
        if (source is None) == (uri is None):
            raise InvalidInput("source: give the bytes to copy, or the uri of what lies elsewhere, one of the two")
        if source is not None:
            self.state(execution_id)  # an unknown execution leaves no copy
            stored = store_artifact(self._artifacts, source, name, content_type)
        else:
            stored = StoredArtifact(str(uri), size_bytes, sha256, content_type or content_type_of(name))
        command = partial(
            facts.record_artifact,
            artifact=stored,
            name=name,
            artifact_type=artifact_type,
            artifact_id=artifact_id,
            step=step,
            metadata=metadata,
        )
        return self._recorder.run(execution_id, at, command)[0]

    def open_artifact(self, execution_id: UUID, artifact_id: UUID) -> BufferedReader:
        """An artifact's bytes, verified; raises ArtifactDamaged for a missing or altered file."""
        artifact = self.state(execution_id).artifacts.get(str(artifact_id))
        if artifact is None:
            raise NotFound(f"artifact_id: {artifact_id} is no artifact of execution {execution_id}")
        return open_artifact(self._artifacts, artifact.uri, artifact.sha256)

    # Ends ---------------------------------------------------------------------------------------------------------

    def complete(
        self, execution_id: UUID, output: Any = None, *, skip_remaining: bool = False, at: datetime | None = None
    ) -> Recorded:
        """Ends an execution well; its output is checked against the definition's outputs."""
        return self._run(execution_id, at, partial(ending.complete, output=output, skip_remaining=skip_remaining))

    def fail(
        self,
        execution_id: UUID,
        message: str,
        *,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> Recorded:
        """Ends an execution with an error."""
        return self._run(execution_id, at, partial(ending.fail, message=message, code=code, details=details))

    def cancel(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """Ends an execution because somebody wants it."""
        return self._run(execution_id, at, partial(ending.cancel, reason=reason))

    def abort(self, execution_id: UUID, reason: str | None = None, *, at: datetime | None = None) -> Recorded:
        """Ends an execution from outside, for instance over its budget."""
        return self._run(execution_id, at, partial(ending.abort, reason=reason))

    def time_out(
        self,
        execution_id: UUID,
        limit_seconds: int | None = None,
        reason: str | None = None,
        *,
        at: datetime | None = None,
    ) -> Recorded:
        """Ends an execution that has run longer than it may."""
        return self._run(execution_id, at, partial(ending.time_out, limit_seconds=limit_seconds, reason=reason))

    def expire(
        self, now: datetime, most: int = EXPIRED_AT_ONCE
    ) -> tuple[list[Overdue], list[tuple[Overdue, LedgerError]]]:
        """Records limits that have passed by then: executions time out, calls fail; answers which, and what refused.

        Whoever else moves an execution meanwhile wins; a repetition records nothing twice.
        """
        recorded: list[Overdue] = []
        refused: list[tuple[Overdue, LedgerError]] = []
        for each in overdue(self._connection, now, most):
            try:
                if each.call_id is None:
                    reason = f"ran longer than its limit of {each.limit_seconds // 60} minutes"
                    self.time_out(each.execution_id, each.limit_seconds, reason, at=now)
                else:
                    command = partial(closing.time_out_step, reference=each.call_id, limit_seconds=each.limit_seconds)
                    self._recorder.run(each.execution_id, now, command)
                recorded.append(each)
            except LedgerError as error:
                refused.append((each, error))
        return recorded, refused

    def _run(self, execution_id: UUID, at: datetime | None, command: Callable[[Recording], object]) -> Recorded:
        return self._recorder.run(execution_id, at, command)[1]
